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
//! The writers take turns through a fair lock in this process: each appends to the audit what it did, so that an edit and
//! its event are one transaction, and the audit's chain has one end ([`audit`]). Several gateways may share a PostgreSQL
//! database: each has a [`seat`], and a chain of its own.

mod connection;
mod error;
mod guard;
mod page;
mod schema;

pub mod agent;
pub mod agent_key;
pub mod approval;
pub mod audit;
pub mod batch;
pub mod channel;
pub mod credential;
pub mod delivery;
pub mod envelope;
pub mod invocation;
pub mod login;
pub mod login_link;
pub mod news;
pub mod oauth_flow;
pub mod pledge;
pub mod rule;
pub mod seat;
pub mod secret;
pub mod server;
pub mod setting;
pub mod tool_pin;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::sea_query::LikeExpr;
use sea_orm::sqlx::PgPool;
use sea_orm::{
    AccessMode, DatabaseConnection, DatabaseTransaction, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::trail::Event;
use audit::Tail;
use connection::{Address, Pools};
use guard::Guard;
use news::{Announced, Topic};
use seat::Company;

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

/// An open database: its pools, and this process's place at it. Cloning gives another handle to the same.
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
    /// whose turn it is to write, and where the audit's chain ends
    turn: Arc<Mutex<Tail>>,
    is_postgres: bool,
    /// where other gateways' edits are heard of, on PostgreSQL
    news: Option<PgPool>,
    /// commits that failed, with what the audit would have told
    failed_commits: Arc<AtomicU64>,
    /// this process's place, for as long as this lives
    guard: Guard,
}

impl Store {
    /// Opens the database at `url` with [`Durability::Process`]; see [`Store::open_with`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Durability::default()).await
    }

    /// Opens the database at `url`, takes a place at it for this process and brings its schema up to this release.
    ///
    /// A `sqlite:` file is made when the URL says `mode=rwc`. A file that another process holds, a server at which no seat
    /// is free, a database that is damaged, or that a newer release has migrated, is refused with the reason.
    pub async fn open_with(url: &str, durability: Durability) -> Result<Self, StoreError> {
        Self::open_among(url, durability, Company::Others).await
    }

    /// Opens the database like [`Store::open_with`], for somebody who must have it for themselves.
    pub async fn open_alone(url: &str, durability: Durability) -> Result<Self, StoreError> {
        Self::open_among(url, durability, Company::Nobody).await
    }

    async fn open_among(url: &str, durability: Durability, company: Company) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        // first the lock: not even the check of a file is for two at once
        let guard = Guard::take(&address).await?;
        address.prepare()?;
        let Pools { edits, journal, reads } = address.connect(durability).await?;
        let mut tail = Tail::new();
        match guard.seat() {
            None => schema::bring_up(&edits).await?,
            Some(seat) => {
                seat.begin_migration().await?;
                schema::bring_up(&edits).await?;
                seat.end_migration().await?;
                seat.sit(company, &mut tail).await?;
            }
        }
        let is_postgres = guard.seat().is_some();
        let turn = Arc::new(Mutex::new(tail));
        let news = address.listening();
        let failed_commits = Arc::default();
        let inner = Inner { edits, journal, reads, turn, is_postgres, news, failed_commits, guard };
        let inner = Arc::new(inner);
        if is_postgres {
            tokio::spawn(seat::keep(Arc::downgrade(&inner)));
        }
        Ok(Self { inner })
    }

    /// The number of this process's seat; on SQLite there is one.
    #[must_use]
    pub fn seat(&self) -> i64 {
        self.inner.guard.seat().map_or(1, seat::Seat::number)
    }

    /// Asks the database whether it answers and this process still has its place.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.inner.guard.check().await?;
        Ok(self.inner.reads.ping().await?)
    }

    /// Closes all pools and lets the next process in. Other handles to the same store fail from then on.
    pub async fn close(self) -> Result<(), StoreError> {
        let Inner { edits, journal, reads, news, guard, .. } = &*self.inner;
        if let Some(news) = news {
            news.close().await;
        }
        let reads = reads.close_by_ref().await;
        let journal = journal.close_by_ref().await;
        // last, as SQLite's last connection empties the write-ahead log
        let edits = edits.close_by_ref().await;
        guard.release().await?;
        reads.and(journal).and(edits)?;
        Ok(())
    }

    /// How many commits have failed; with each, an edit and what the audit tells of it.
    #[must_use]
    pub fn failed_commits(&self) -> u64 {
        self.inner.failed_commits.load(Ordering::Relaxed)
    }

    fn reads(&self) -> &DatabaseConnection {
        &self.inner.reads
    }

    /// Begins a transaction in which all questions are answered as of one moment.
    async fn begin_snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let is_postgres = self.inner.is_postgres;
        let options = TransactionOptions {
            // SQLite's readers always see one moment
            isolation_level: is_postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: is_postgres.then_some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        };
        Ok(self.reads().begin_with_options(options).await?)
    }

    /// Waits for the turn to write, and begins a transaction that is fully synced when it is committed.
    async fn begin_edit(&self) -> Result<Edit, StoreError> {
        self.begin_on(&self.inner.edits).await
    }

    /// Begins a transaction of the journal's writer.
    async fn begin_journal(&self) -> Result<Edit, StoreError> {
        self.begin_on(&self.inner.journal).await
    }

    async fn begin_on(&self, pool: &DatabaseConnection) -> Result<Edit, StoreError> {
        self.inner.guard.demand()?;
        let turn = Arc::clone(&self.inner.turn).lock_owned().await;
        // at once the writer: a transaction that reads first and writes later fails when another wrote in between
        let sqlite_transaction_mode = (!self.inner.is_postgres).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
        let transaction = pool.begin_with_options(options).await?;
        let failed_commits = Arc::clone(&self.inner.failed_commits);
        Ok(Edit { transaction, told: Vec::new(), announced: Announced::default(), turn, failed_commits })
    }
}

/// An open transaction; dropped without a commit, it changes nothing.
struct Edit {
    // before the turn, so that it is rolled back while the turn is still held
    transaction: DatabaseTransaction,
    /// what it does, for the audit
    told: Vec<Event>,
    /// what it edits that other gateways hold in memory
    announced: Announced,
    /// taken before the first lock in the database, so that nobody waits for it who holds one
    turn: OwnedMutexGuard<Tail>,
    failed_commits: Arc<AtomicU64>,
}

impl Edit {
    fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Has the audit tell of this edit; the event is committed with it or not at all.
    fn tell(&mut self, event: Event) {
        self.told.push(event);
    }

    /// Has other gateways hear that this is edited, when it is committed.
    fn edits(&mut self, topic: Topic) {
        self.announced.edited(topic);
    }

    /// Has other gateways hear that an approval has its answer, when it is committed.
    fn settles(&mut self, approval_id: &str) {
        self.announced.settled(approval_id);
    }

    async fn commit(self) -> Result<(), StoreError> {
        let failed_commits = Arc::clone(&self.failed_commits);
        let committed = self.try_commit().await;
        failed_commits.fetch_add(u64::from(committed.is_err()), Ordering::Relaxed);
        committed
    }

    async fn try_commit(mut self) -> Result<(), StoreError> {
        let head = self.turn.append(&self.transaction, self.told).await?;
        self.announced.announce(&self.transaction).await?;
        self.transaction.commit().await?;
        self.turn.moved_to(head);
        Ok(())
    }
}

/// Makes an id for a new row: a `UUIDv7`, so that ids sort by age.
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
