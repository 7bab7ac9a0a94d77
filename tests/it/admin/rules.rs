//! `/api/v1/rules`

mod edit;
mod order;
mod simulation;
mod trial;
mod warnings;
