//! The tests from outside: one binary, one folder for each room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::disallowed_methods, reason = "a test may look at its own environment and clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test that fails may say more")]
#![allow(clippy::pedantic, reason = "in a test plain words win over the last polish")]
#![allow(unreachable_pub, missing_docs, reason = "nobody reads a test's documentation page")]

mod admin;
mod child;
mod cli;
mod crash;
mod credential;
mod door;
mod egress;
mod gate;
mod leaks;
mod mcp;
mod notify;
mod oauth;
mod ops;
mod postgresql;
mod replicas;
mod store;
mod support;
mod tidy;
mod upstream;
mod vault;
