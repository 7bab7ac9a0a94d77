//! Logins of operators, by the digests of their tokens.
//!
//! Digests come in, rows go out. Whether a login still holds is never decided here.

use super::{Store, StoreError};

/// A row of the table.
pub type Row = entity::login::Model;

/// Adds a login.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    todo!()
}

/// Returns the login whose token has that digest, expired or not.
pub async fn find(store: &Store, digest: &str) -> Result<Option<Row>, StoreError> {
    todo!()
}

/// Notes that a login was used.
pub async fn touch(store: &Store, digest: &str, now: i64) -> Result<(), StoreError> {
    todo!()
}

/// Ends a login; returns whether there was one.
pub async fn delete(store: &Store, digest: &str) -> Result<bool, StoreError> {
    todo!()
}

/// Removes logins that expired before `now`, or were last used before `idle_since`; returns how many.
pub async fn delete_expired(store: &Store, now: i64, idle_since: i64) -> Result<u64, StoreError> {
    todo!()
}
