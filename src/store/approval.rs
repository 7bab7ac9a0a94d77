//! Questions to people about single calls.
//!
//! Answers come in, rows go out. An approval leaves `pending` once, by a compare-and-set: of all who answer, one wins.
//! A new approval is written by the journal, together with the call that waits for it.

use super::{Listed, Page, Store, StoreError};

/// A row of the table.
pub type Row = entity::approval::Model;

/// A person's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// the digest of what the person was shown
    pub digest: String,
    /// `approved` or `denied`
    pub status: String,
    /// the person's words
    pub reason: Option<String>,
    /// the operator
    pub by: String,
    /// ms
    pub now: i64,
}

/// Returns a page of approvals, newest first; only those of one status when it is given.
pub async fn list(
    store: &Store,
    status: Option<&str>,
    page: &Page,
) -> Result<Listed<Row>, StoreError> {
    todo!()
}

/// Returns every approval that is pending, oldest first.
pub async fn load_pending(store: &Store) -> Result<Vec<Row>, StoreError> {
    todo!()
}

/// Returns the approval with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    todo!()
}

/// Answers a pending approval, once.
///
/// Returns the row as it stands afterwards. A conflict says why not: it is already decided, it has expired, or what was
/// shown is not what would be approved.
pub async fn decide(store: &Store, id: &str, answer: Answer) -> Result<Row, StoreError> {
    todo!()
}

/// Moves a pending approval's end to `expires_at`. A conflict says that it is already decided.
pub async fn extend(store: &Store, id: &str, expires_at: i64, now: i64) -> Result<Row, StoreError> {
    todo!()
}

/// Lets a pending approval expire. A conflict says that it is already decided.
pub async fn expire(store: &Store, id: &str, now: i64) -> Result<Row, StoreError> {
    todo!()
}

/// Cancels a pending approval because its call is gone. A conflict says that it is already decided.
pub async fn cancel(store: &Store, id: &str, now: i64) -> Result<Row, StoreError> {
    todo!()
}
