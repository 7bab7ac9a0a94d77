//! The store, the journal, the vault and who is calling: what they promise, on both databases.

mod approval;
mod journal;
mod opening;
mod rule;
mod sample;
mod server;
