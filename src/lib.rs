//! Atryum: a permissions gateway for the Model Context Protocol.

pub mod app;
pub mod backoff;
pub mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod downstream;
pub mod gate;
pub mod guard;
pub mod http;
pub mod identity;
pub mod invocation;
pub mod journal;
pub mod mcp;
pub mod metrics;
pub mod store;
pub mod supervision;
pub mod telemetry;
pub mod upstream;
pub mod vault;

/// An error and its causes on one line, for a log or an operator.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
