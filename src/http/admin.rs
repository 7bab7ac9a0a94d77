//! The REST surface for operators: one file a resource, each handler a page that reads from top to bottom.
//!
//! A handler reads its input, edits the store, tells the room concerned to look again (never what to see), and answers
//! with what is stored and what is seen. It knows no rules of its own.

pub mod agents;
pub mod approvals;
pub mod audit;
pub mod channels;
pub mod definition;
pub mod invocations;
pub mod login;
pub mod rules;
pub mod servers;
pub mod settings;
