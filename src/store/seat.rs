//! Seats: how several gateways have one PostgreSQL database between them.
//!
//! A gateway sits on the lowest free seat, by an advisory lock on a connection of its own. The number of the seat is its
//! chain of the audit, and stands at each call that it has open: so whoever sits there next knows what to end, and does
//! so before it takes calls. When nobody comes, one of the others does it, [`ABSENT_FOR`] after the lock was let go of.
//!
//! A connection can be lost while its gateway lives, and the lock with it. Such a gateway writes nothing until it sits
//! again. What it was about to write meanwhile can't slip in after its calls were ended: whoever takes or clears a seat
//! appends to its chain, nothing is written without an event, and an event that does not follow what this gateway wrote
//! last is refused by the table ([`Tail`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use entity::seat::{ActiveModel, Column, Entity};
use sea_orm::sea_query::OnConflict;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _,
    Statement, TransactionTrait as _,
};
use serde_json::json;

use super::audit::{self, Tail};
use super::connection::connect_postgres;
use super::{Inner, Store, StoreError, credential, invocation};
use crate::clock;
use crate::trail::{Event, Head};

/// How many gateways one database may have.
pub const SEATS_MAX: i64 = 64;
/// How long a seat must have been without its gateway before another ends its calls: one whose connections were cut, as
/// by a restart of the database, is back sooner.
pub const ABSENT_FOR: Duration = Duration::from_secs(5);

/// How often a gateway looks whether it sits, and whether others do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take to say whether a lock is held; one that is silent for longer may have given it away.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a gateway waits for a seat, and whoever wants all of them for those: the server notices that a process was
/// killed a little later.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it looks meanwhile.
const HANDOVER_PAUSE: Duration = Duration::from_millis(50);
/// How long a gateway waits for another one that brings the schema up.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

/// The first number of our advisory locks; it spells `atry`. The second is that of a seat, or one of those below.
const LOCKS: i32 = 1_635_021_433;
/// Held by whoever brings the schema up.
const MIGRATION: i64 = 1_000;

/// Who wants a place at the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// a gateway, beside others
    Others,
    /// somebody who must be alone
    Nobody,
}

/// See the module.
pub(super) struct Seat {
    /// the one connection that holds the lock
    connection: DatabaseConnection,
    /// which seat it is
    number: AtomicI64,
    /// as of the last look; only sitting down makes it true
    is_held: AtomicBool,
}

impl Seat {
    /// Connects, and takes no seat yet.
    pub(super) async fn connect(options: PgConnectOptions) -> Result<Self, StoreError> {
        // a machine that is gone says no word: the server finds out within half a minute, and lets go of the lock
        let patience = [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
        let options = options.application_name("atryum seat").options(patience);
        let connection = connect_postgres(1, options).await?;
        Ok(Self { connection, number: AtomicI64::new(1), is_held: AtomicBool::new(false) })
    }

    /// Which seat it is, or was last.
    pub(super) fn number(&self) -> i64 {
        self.number.load(Ordering::Acquire)
    }

    /// Returns an error unless the seat was held at the last look.
    pub(super) fn demand(&self) -> Result<(), StoreError> {
        if self.is_held.load(Ordering::Acquire) { Ok(()) } else { Err(StoreError::Unseated) }
    }

    /// Makes sure that the seat is held. One that was lost is not taken again by this.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.demand()?;
        let held = tokio::time::timeout(CHECK_TIMEOUT, is_held(&self.connection, self.number())).await;
        if matches!(held, Ok(Ok(true))) {
            return Ok(());
        }
        self.is_held.store(false, Ordering::Release);
        held.unwrap_or_else(|_| Err(StoreError::timed_out())).and(Err(StoreError::Unseated))
    }

    /// Waits until nobody else brings the schema up, and keeps others from it.
    pub(super) async fn begin_migration(&self) -> Result<(), StoreError> {
        let give_up_at = Instant::now() + MIGRATION_TIMEOUT;
        let mut is_told = false;
        while !try_lock(&self.connection, MIGRATION).await? {
            if Instant::now() >= give_up_at {
                let holder = "another gateway has been bringing its schema up for ten minutes".to_owned();
                return Err(StoreError::Locked { holder });
            }
            if !is_told {
                tracing::info!("another gateway brings the schema of the database up; this one waits for it");
                is_told = true;
            }
            tokio::time::sleep(HANDOVER_PAUSE).await;
        }
        Ok(())
    }

    /// Lets others bring the schema up.
    pub(super) async fn end_migration(&self) -> Result<(), StoreError> {
        unlock(&self.connection, MIGRATION).await
    }

    /// Sits down for the first time; from then on `tail` is the end of the seat's chain.
    pub(super) async fn sit(&self, company: Company, tail: &mut Tail) -> Result<(), StoreError> {
        let give_up_at = Instant::now() + HANDOVER_TIMEOUT;
        let number = loop {
            let found = match company {
                Company::Others => self.lock_lowest().await?,
                Company::Nobody => self.lock_all().await?,
            };
            if let Some(number) = found {
                break number;
            }
            if Instant::now() >= give_up_at {
                return Err(taken(company));
            }
            tokio::time::sleep(HANDOVER_PAUSE).await;
        };
        self.sit_on(number, tail, Before::Open).await
    }

    /// Sits down again after the lock was lost: where it sat, if nobody was there in the meantime; else anew, and what is
    /// open at that seat is ended first.
    async fn sit_again(&self, tail: &mut Tail) -> Result<(), StoreError> {
        let before = self.number();
        if !try_lock(&self.connection, before).await? {
            let free = self.lock_lowest().await?.ok_or_else(|| taken(Company::Others))?;
            tracing::warn!(seat = free, "another gateway has taken seat {before}; this one takes another");
            return self.sit_on(free, tail, Before::Ended).await;
        }
        let head = audit::read_head(&self.connection, before).await?;
        if !tail.is_mine(&head) {
            tracing::warn!(seat = before, "the calls of this gateway were ended while its seat was lost");
            return self.sit_on(before, tail, Before::Ended).await;
        }
        if !is_held(&self.connection, before).await? {
            return Err(StoreError::Unseated);
        }
        self.is_held.store(true, Ordering::Release);
        tracing::info!(seat = before, "this gateway has its seat at the database again");
        Ok(())
    }

    /// Takes a seat whose lock this connection has; gives it back if that fails.
    async fn sit_on(&self, number: i64, tail: &mut Tail, before: Before) -> Result<(), StoreError> {
        let head = match self.begin_at(number, before).await {
            Ok(head) => head,
            Err(error) => {
                // a connection that is gone holds no lock
                let _gone = unlock(&self.connection, number).await;
                return Err(error);
            }
        };
        tail.sit_at(head);
        self.number.store(number, Ordering::Release);
        self.is_held.store(true, Ordering::Release);
        Ok(())
    }

    /// In one transaction of the very connection that holds the lock: if it is lost meanwhile, nothing is changed.
    async fn begin_at(&self, number: i64, before: Before) -> Result<Head, StoreError> {
        let transaction = self.connection.begin().await?;
        if !is_held(&transaction, number).await? {
            return Err(StoreError::Unseated);
        }
        put(&transaction, number, true).await?;
        let mut told = vec![Event::new("seat.taken", subject(number), &json!({}))];
        if before == Before::Ended {
            told.extend(end_all(&transaction, number).await?.1);
        }
        let head = audit::append_to(&transaction, number, told).await?;
        transaction.commit().await?;
        Ok(head)
    }

    /// Gives the seat to the next gateway, though other handles to the store may still be about.
    pub(super) async fn leave(&self) -> Result<(), StoreError> {
        self.is_held.store(false, Ordering::Release);
        // said aloud, as the server notices a closed connection only a little later
        let left = self.connection.execute_unprepared("SELECT pg_advisory_unlock_all()").await;
        Ok(self.connection.close_by_ref().await.and(left.map(drop))?)
    }

    async fn lock_lowest(&self) -> Result<Option<i64>, StoreError> {
        for number in 1..=SEATS_MAX {
            if try_lock(&self.connection, number).await? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Locks every seat, or none; whoever has them all sits on the first.
    async fn lock_all(&self) -> Result<Option<i64>, StoreError> {
        for number in 1..=SEATS_MAX {
            if !try_lock(&self.connection, number).await? {
                self.connection.execute_unprepared("SELECT pg_advisory_unlock_all()").await?;
                return Ok(None);
            }
        }
        Ok(Some(1))
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seat").field("number", &self.number()).finish_non_exhaustive()
    }
}

/// What becomes of the calls that are open at a seat when a gateway sits down there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing yet: see [`invocation::recover`].
    Open,
    /// They end.
    Ended,
}

/// Looks after the seat while the store is open, and after those of gateways that are gone.
pub(super) async fn keep(inner: Weak<Inner>) {
    let mut absent = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner };
        if let Err(error) = store.hold_seat().await {
            tracing::error!(error.kind = error.kind(), "this gateway has no seat at the database: {error}");
        } else if let Err(error) = store.clear_absent(&mut absent).await {
            tracing::warn!(error.kind = error.kind(), "what gateways left that are gone is not ended yet: {error}");
        }
    }
}

impl Store {
    async fn hold_seat(&self) -> Result<(), StoreError> {
        let Some(seat) = self.inner.guard.seat() else { return Ok(()) };
        if seat.check().await.is_ok() {
            return Ok(());
        }
        let mut turn = self.inner.turn.clone().lock_owned().await;
        seat.sit_again(&mut turn).await
    }

    /// Ends what is open at the seats of others that have been absent for a while.
    async fn clear_absent(&self, absent: &mut HashMap<i64, Instant>) -> Result<(), StoreError> {
        let now = Instant::now();
        let empty = empty_seats(self.reads()).await?;
        absent.retain(|number, _| empty.contains(number));
        for number in empty {
            let since = *absent.entry(number).or_insert(now);
            if now.duration_since(since) < ABSENT_FOR {
                continue;
            }
            if let Some(ended) = self.clear(number).await? {
                tracing::warn!(
                    seat = number,
                    ?ended,
                    "a gateway is gone; what it left is ended as what is known of it"
                );
            }
        }
        Ok(())
    }

    /// Ends what is open at a seat, unless somebody sits there. The lock is held for just as long as the transaction.
    async fn clear(&self, number: i64) -> Result<Option<Ended>, StoreError> {
        let edit = self.begin_edit().await?;
        if !try_lock_for_transaction(edit.connection(), number).await? {
            return Ok(None);
        }
        let (ended, events) = end_all(edit.connection(), number).await?;
        let cleared = Event::new("seat.cleared", subject(number), &json!({ "by_seat": self.seat() }));
        audit::append_to(edit.connection(), number, std::iter::once(cleared).chain(events)).await?;
        put(edit.connection(), number, false).await?;
        edit.commit().await?;
        Ok(Some(ended))
    }
}

/// What was ended at a seat.
#[derive(Debug)]
struct Ended {
    #[expect(dead_code, reason = "for the log")]
    calls: invocation::Recovered,
    #[expect(dead_code, reason = "for the log")]
    refreshes: u64,
}

async fn end_all(connection: &DatabaseTransaction, number: i64) -> Result<(Ended, Vec<Event>), StoreError> {
    let (calls, events) = invocation::end_of_seat(connection, number, clock::now_ms()).await?;
    let refreshes = credential::end_leases_of(connection, number).await?;
    Ok((Ended { calls, refreshes }, events))
}

/// The seats where somebody sat and nobody does, and that nobody has cleared.
async fn empty_seats(connection: &DatabaseConnection) -> Result<Vec<i64>, StoreError> {
    let taken = format!(
        "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCKS} AND objsubid = 2 AND granted          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let open = format!("SELECT number FROM seat WHERE is_open AND number NOT IN ({taken}) ORDER BY number");
    let rows = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, open)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?)
}

async fn put(connection: &impl ConnectionTrait, number: i64, is_open: bool) -> Result<(), StoreError> {
    let row = ActiveModel { number: Set(number), is_open: Set(is_open), taken_at: Set(clock::now_ms()) };
    let columns: &[Column] = if is_open { &[Column::IsOpen, Column::TakenAt] } else { &[Column::IsOpen] };
    let replace = OnConflict::column(Column::Number).update_columns(columns.iter().copied()).to_owned();
    Entity::insert(row).on_conflict(replace).exec_without_returning(connection).await?;
    Ok(())
}

fn subject(number: i64) -> String {
    format!("seat:{number}")
}

fn taken(company: Company) -> StoreError {
    let holder = match company {
        Company::Others => format!("all its {SEATS_MAX} seats are taken, or somebody changes the master key"),
        Company::Nobody => "a gateway has a seat at it".to_owned(),
    };
    StoreError::Locked { holder }
}

/// Whether this very connection holds the lock.
async fn is_held(connection: &impl ConnectionTrait, number: i64) -> Result<bool, StoreError> {
    let mine = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    yes(connection, &format!("{mine} AND classid = {LOCKS} AND objid = {number} AND objsubid = 2)")).await
}

/// Takes the lock for as long as the connection lasts; it is held once, however often this is called.
async fn try_lock(connection: &impl ConnectionTrait, number: i64) -> Result<bool, StoreError> {
    let mine = "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    let take = format!("THEN true ELSE pg_try_advisory_lock({LOCKS}, {number}) END");
    yes(connection, &format!("{mine} AND classid = {LOCKS} AND objid = {number} AND objsubid = 2) {take}")).await
}

async fn try_lock_for_transaction(connection: &DatabaseTransaction, number: i64) -> Result<bool, StoreError> {
    yes(connection, &format!("SELECT pg_try_advisory_xact_lock({LOCKS}, {number})")).await
}

async fn unlock(connection: &impl ConnectionTrait, number: i64) -> Result<(), StoreError> {
    connection.execute_unprepared(&format!("SELECT pg_advisory_unlock({LOCKS}, {number})")).await?;
    Ok(())
}

async fn yes(connection: &impl ConnectionTrait, question: &str) -> Result<bool, StoreError> {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, question)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("an answer about a lock".to_owned()))?;
    Ok(row.try_get_by_index(0)?)
}
