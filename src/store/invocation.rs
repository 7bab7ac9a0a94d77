//! The record of calls.
//!
//! Batches come in from the journal, rows go out to lists. Which moves between states are legal is decided by the
//! journal; here a move names the state it starts from and changes nothing when that is not the stored one.

use super::{Listed, Page, Store, StoreError};

/// A row of the table.
pub type Row = entity::invocation::Model;

/// Which invocations a list holds; what is absent does not narrow.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// the agent's name
    pub agent: Option<String>,
    /// the server's name
    pub server: Option<String>,
    /// the tool's name
    pub tool: Option<String>,
    /// what was decided: `allow`, `deny`, `ask`
    pub decision: Option<String>,
    /// the state
    pub state: Option<String>,
    /// ms; received then or later
    pub since: Option<i64>,
    /// ms; received before then
    pub until: Option<i64>,
    /// a part of the tool's name or of the arguments, in any case
    pub q: Option<String>,
}

/// How many rows a recovery moved, by what they became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// calls that were in flight
    pub unknown: u64,
    /// calls that were not decided
    pub cancelled: u64,
    /// approvals that nobody waits for any more
    pub approvals: u64,
}

/// Returns a page of invocations, newest first.
pub async fn list(store: &Store, filter: &Filter, page: &Page) -> Result<Listed<Row>, StoreError> {
    todo!()
}

/// Returns the invocation with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    todo!()
}

/// Ends every invocation that an earlier process left open, and cancels the approvals nobody waits for.
///
/// For the start of the gateway, before it listens: a call that was in flight becomes `unknown`, one that was not
/// decided becomes `cancelled`.
pub async fn recover(store: &Store, now: i64) -> Result<Recovered, StoreError> {
    todo!()
}

/// Removes up to `rows_max` ended invocations received before `before`, oldest first; returns how many.
pub async fn delete_older(store: &Store, before: i64, rows_max: u64) -> Result<u64, StoreError> {
    todo!()
}
