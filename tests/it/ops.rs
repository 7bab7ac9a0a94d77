//! What those who run the gateway ask it.

mod audit;
mod health;
mod listening;
mod metrics;
mod stopping;
