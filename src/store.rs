//! The floor of the house: the only place that knows SQL.
//!
//! Typed questions and edits come in, rows (the entity models) go out; the rooms above parse them. One file per
//! aggregate, each a set of functions over `&Store`. Nothing is decided here: no rules are evaluated, no secret is
//! opened, no state machine is judged.
//!
//! Three pools stand behind a [`Store`], because three kinds of work need three kinds of promise:
//!
//! | pool | for | promise |
//! |---|---|---|
//! | `edits` | what a person did, and what cannot be had again | one transaction an edit, synced to disk |
//! | `journal` | the record of every call | committed before the call goes out; synced when asked for |
//! | `reads` | lists and look-ups | never waits for a writer, never writes |
//!
//! On SQLite the two writers take turns through a fair lock in this process instead of polling the file's lock.

mod connection;
mod error;
mod guard;
mod page;
mod schema;

pub mod agent;
pub mod agent_key;
pub mod approval;
pub mod invocation;
pub mod login;
pub mod login_link;
pub mod rule;
pub mod secret;
pub mod server;
pub mod setting;

use std::sync::Arc;

use sea_orm::sea_query::LikeExpr;
use sea_orm::{DatabaseConnection, DatabaseTransaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use error::StoreError;
pub use page::{Listed, Page};

/// What a committed journal record survives on SQLite; PostgreSQL always keeps `Disk`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// The loss of power too.
    Disk,
}

/// An open database: its pools, and the lock that keeps other processes out. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// what people did: fully synced
    edits: DatabaseConnection,
    /// the record of calls: one connection
    journal: DatabaseConnection,
    /// look-ups: cannot write
    reads: DatabaseConnection,
    /// SQLite: whose turn it is to write
    turn: Option<Arc<Mutex<()>>>,
    /// keeps other processes out for as long as this lives
    guard: guard::Guard,
}

impl Store {
    /// Opens the database at `url`, creating and migrating it as needed, with [`Durability::Process`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Durability::default()).await
    }
}

impl Store {
    /// Opens the database at `url` with a chosen durability of the journal.
    pub async fn open_with(url: &str, durability: Durability) -> Result<Self, StoreError> {
        todo!()
    }

    /// Asks the database whether it answers and still belongs to this process.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Closes all pools and lets the next process in. Other handles to the same store fail from then on.
    pub async fn close(self) -> Result<(), StoreError> {
        todo!()
    }

    pub(crate) fn reads(&self) -> &DatabaseConnection {
        &self.inner.reads
    }

    async fn begin_edit(&self) -> Result<Edit, StoreError> {
        todo!()
    }
}

/// An open transaction on `edits`; dropped without a commit, it changes nothing.
struct Edit {
    // before the turn, so that it is rolled back while the turn is still held
    transaction: DatabaseTransaction,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Edit {
    fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

/// Makes an id for a new row: UUIDv7, so that ids sort by age.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Refuses an edit of a row that is not as the caller saw it.
fn demand_revision(expected: Option<i64>, found: i64) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != found => Err(StoreError::Stale { expected, found }),
        _ => Ok(()),
    }
}

/// Makes the pattern that finds `q` as a part of a text that was put in lower case.
fn part(q: &str) -> LikeExpr {
    let mut pattern = String::with_capacity(q.len() + 2);
    pattern.push('%');
    for char in q.to_lowercase().chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}
