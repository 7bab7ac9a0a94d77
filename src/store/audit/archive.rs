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

    /// Returns up to `rows_max` events of a chain after that number, or from its first row, in their order.
    pub async fn events_after(
        &self,
        chain: i64,
        seq: impl Into<Option<i64>>,
        rows_max: u64,
    ) -> Result<Vec<Link>, StoreError> {
        list::events_after_in(&self.reads, chain, seq.into(), rows_max).await
    }

    /// Returns how many rows of events a chain has up to that number, also those that no page shows.
    pub async fn count_events(&self, chain: i64, seq: i64) -> Result<u64, StoreError> {
        list::count_events_in(&self.reads, chain, seq).await
    }

    /// Returns up to `rows_max` checkpoints of a chain after that number, or from its first row, in their order.
    pub async fn checkpoints_after(
        &self,
        chain: i64,
        seq: impl Into<Option<i64>>,
        rows_max: u64,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        list::checkpoints_in(&self.reads, chain, seq.into(), rows_max).await
    }

    /// Returns how many rows of checkpoints a chain has up to that number, also those that no page shows.
    pub async fn count_checkpoints(&self, chain: i64, seq: i64) -> Result<u64, StoreError> {
        list::count_checkpoints_in(&self.reads, chain, seq).await
    }

    /// Lets go of the database.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.reads.close().await?)
    }
}
