//! The store, the journal and who is calling: what they promise, on both databases.

mod agent;
mod approval;
mod crash;
mod credential;
mod journal;
mod oauth_flow;
mod opening;
mod operator;
mod rule;
pub mod sample;
mod server;
