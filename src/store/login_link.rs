//! One-time login links, by the digests of their codes.
//!
//! Digests come in; whether a link was consumed goes out.

use super::{Store, StoreError};

/// A row of the table.
pub type Row = entity::login_link::Model;

/// Adds a link.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    todo!()
}

/// Consumes a link: of all who try, one is told true, and only before it expires.
pub async fn consume(store: &Store, digest: &str, now: i64) -> Result<bool, StoreError> {
    todo!()
}

/// Removes links that were used or have expired before `now`; returns how many.
pub async fn delete_spent(store: &Store, now: i64) -> Result<u64, StoreError> {
    todo!()
}
