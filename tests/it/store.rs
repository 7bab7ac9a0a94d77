//! The store, the journal and who is calling: what they promise, on both databases.

mod agent;
mod approval;
mod audit;
mod crash;
mod credential;
mod delivery;
mod journal;
mod oauth_flow;
mod opening;
mod operator;
mod races;
mod rule;
pub mod sample;
mod seat;
mod server;
mod tampering;
mod tool_pin;
