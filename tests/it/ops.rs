//! What those who run the gateway ask it.

mod health;
mod listening;
mod metrics;
