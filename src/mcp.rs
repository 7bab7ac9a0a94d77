//! The protocol, pure: no I/O, no actors, nothing about servers or rules.
//!
//! A relay must not understand more than it has to: messages are cut at the envelope and their insides cross as the text
//! they came in. What is understood here is what the gateway decides on or has to rewrite, and nothing else.

pub mod definition;
pub mod envelope;
pub mod error;
pub mod log_level;
pub mod meta;
pub mod method;
pub mod promise;
pub mod question;
pub mod schema;
pub mod splice;
pub mod strict;
pub mod version;
