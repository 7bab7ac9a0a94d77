//! The command line against a running gateway, as a person or a script uses it.

mod agent;
mod approval;
mod audit;
mod call;
mod channel;
mod local;
mod login;
mod rule;
pub mod run;
mod serve;
mod server;
