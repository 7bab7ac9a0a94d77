//! The audit of a database that may belong to a running gateway: it is only read, without its lock and as it is.

use sea_orm::DatabaseConnection;

use super::list;
use crate::store::StoreError;
use crate::store::connection::Address;
use crate::trail::{Checkpoint, Link};

/// A database that is only read.
#[derive(Debug)]
pub struct Archive {
    reads: DatabaseConnection,
}

impl Archive {
    /// Opens the database at `url`. Nothing is made, migrated or locked.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let reads = Address::parse(url)?.connect_to_read().await?;
        Ok(Self { reads })
    }

    /// Returns the numbers of all chains.
    pub async fn chains(&self) -> Result<Vec<i64>, StoreError> {
        list::chains_in(&self.reads).await
    }

    /// Returns up to `rows_max` events of a chain after that number, in their order.
    pub async fn events_after(&self, chain: i64, seq: i64, rows_max: u64) -> Result<Vec<Link>, StoreError> {
        list::events_after_in(&self.reads, chain, seq, rows_max).await
    }

    /// Returns up to `rows_max` checkpoints of a chain after that number, in their order.
    pub async fn checkpoints_after(&self, chain: i64, seq: i64, rows_max: u64) -> Result<Vec<Checkpoint>, StoreError> {
        list::checkpoints_in(&self.reads, chain, seq, rows_max).await
    }

    /// Lets go of the database.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.reads.close().await?)
    }
}
