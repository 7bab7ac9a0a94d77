//! `/mcp/{name}`, seen by agents.

mod bad_input;
mod bridge;
mod modern;
mod questions;
mod relay;
mod session;
