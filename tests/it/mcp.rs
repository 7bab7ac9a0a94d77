//! `/mcp/{name}`, seen by agents.

mod bad_input;
mod bridge;
mod clients;
mod conformance;
mod leaving;
mod legacy_sse;
mod log;
mod modern;
mod patience;
mod pledges;
mod questions;
mod relay;
mod rounds;
mod session;
mod subscriptions;
mod tasks;
