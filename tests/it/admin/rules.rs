//! `/api/v1/rules`

mod edit;
mod order;
mod trial;
