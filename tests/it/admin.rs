//! The REST surface for operators; the folders mirror its paths.

mod acts;
mod agents;
mod approvals;
mod audit;
mod authorization;
mod channels;
mod document;
mod invocations;
mod login;
mod rules;
mod servers;
mod user_document;
