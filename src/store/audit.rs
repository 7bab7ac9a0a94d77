//! The audit: events in their chain, and the signatures over it.
//!
//! Events come in with the edits that they tell of and are committed by the same transaction. A gateway has one chain, that
//! of its [seat](super::seat), and whoever writes has the turn, which holds the chain's end: so numbers have no gaps, and
//! nobody waits for another gateway. What an event says is never read here, and nothing is signed.

mod archive;
mod list;
mod removal;
mod sink;

use std::fmt;

use entity::audit_event::{Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable as _, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::watch;

use super::{Store, StoreError, batch};
use crate::clock;
use crate::trail::{Checkpoint, Event, Head, Link, Sign};

pub use archive::Archive;
pub use list::{Filter, checkpoints, checkpoints_from, events_after, events_from, last_checkpoint, list};
pub use removal::{Removed, remove_old};
pub use sink::{SinkPosition, begin_sink, end, put_sink_position, sink_position};

/// A row of the table.
pub type Row = entity::audit_event::Model;

/// The chain of the first seat, and of a gateway that has its database for itself.
const FIRST_CHAIN: i64 = 1;
/// How many ends of the chain are kept of which nobody knows whether they were committed.
const TRIED_MAX: usize = 256;

/// Who acts when nobody else is said to.
const GATEWAY: &str = "gateway";

tokio::task_local! {
    static ACTOR: String;
}

/// Runs `act`; whatever it edits is told to be done by `actor`, such as `operator:ann`.
pub async fn acting_as<F: Future>(actor: String, act: F) -> F::Output {
    ACTOR.scope(actor, act).await
}

fn actor() -> String {
    ACTOR.try_with(Clone::clone).unwrap_or_else(|_| GATEWAY.to_owned())
}

/// The end of this gateway's chain. Whoever has it may append.
pub(super) struct Tail {
    /// the number of the chain, which is that of the seat
    chain: i64,
    /// none while it is not certain what was committed last; the database knows
    head: Option<Head>,
    /// at a seat: the hashes of the end that was last certain, and of those that were tried since. If the chain ends
    /// otherwise, somebody else has taken the seat
    mine: Option<Vec<String>>,
    /// the number of the last event that is committed
    committed: watch::Sender<i64>,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { chain: FIRST_CHAIN, head: None, mine: None, committed: watch::Sender::new(0) }
    }

    /// From now on this is the end, and nobody else's to move.
    pub(super) fn sit_at(&mut self, head: Head) {
        self.chain = head.chain;
        self.mine = Some(vec![head.hash.clone()]);
        self.moved_to(Some(head));
    }

    /// Whether a chain that ends like this was written by this gateway last.
    pub(super) fn is_mine(&self, head: &Head) -> bool {
        head.chain == self.chain && self.mine.as_ref().is_none_or(|mine| mine.contains(&head.hash))
    }

    /// The seat that rows have to name that are written in this turn.
    pub(super) fn seat(&self) -> i64 {
        self.chain
    }

    pub(super) fn watch(&self) -> watch::Receiver<i64> {
        self.committed.subscribe()
    }

    /// The end as it is committed, for as long as the turn is held.
    async fn head(&self, connection: &impl ConnectionTrait) -> Result<Head, StoreError> {
        if let Some(head) = &self.head {
            return Ok(head.clone());
        }
        let found = read_head(connection, self.chain).await?;
        if self.is_mine(&found) { Ok(found) } else { Err(StoreError::Unseated) }
    }

    /// Gives events their places after the end, if it is certain; it is not until they are committed.
    pub(super) fn place(&mut self, told: impl IntoIterator<Item = Event>) -> Option<(Head, Vec<Link>)> {
        let mut head = self.head.take()?;
        let (actor, now) = (actor(), clock::now_ms());
        let links = told.into_iter().map(|event| head.append(event, &actor, now)).collect();
        if let Some(mine) = &mut self.mine {
            mine.truncate(TRIED_MAX);
            mine.push(head.hash.clone());
        }
        Some((head, links))
    }

    /// Writes events in the caller's transaction. The end is not certain until that is committed: see [`Tail::moved_to`].
    pub(super) async fn append(
        &mut self,
        connection: &impl ConnectionTrait,
        told: Vec<Event>,
    ) -> Result<Option<Head>, StoreError> {
        if told.is_empty() {
            return Ok(None);
        }
        self.head = Some(self.head(connection).await?);
        let Some((head, links)) = self.place(told) else { return Ok(None) };
        batch::insert_all(connection, &INSERT, &links).await.map_err(contended)?;
        Ok(Some(head))
    }

    /// The events are committed up to here.
    pub(super) fn moved_to(&mut self, head: Option<Head>) {
        if let Some(head) = head {
            if let Some(mine) = &mut self.mine {
                *mine = vec![head.hash.clone()];
            }
            self.committed.send_replace(head.seq);
            self.head = Some(head);
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tail")
    }
}

/// Has the columns of a link, and their names.
pub(super) static INSERT: batch::Texts = std::sync::LazyLock::new(|| {
    let columns: Vec<_> = Column::iter().collect();
    batch::insert("audit_event", columns.iter().map(sea_orm::IdenStatic::as_str))
});

/// Two that append at the same place are one too many; after another look at the end it will go.
fn contended(error: StoreError) -> StoreError {
    match error {
        StoreError::Conflict { .. } => {
            let source = DbErr::Custom("the end of the audit's chain has moved".to_owned());
            StoreError::Unavailable { maybe_done: false, source }
        }
        other => other,
    }
}

/// The end of a chain as it is stored.
pub(super) async fn read_head(connection: &impl ConnectionTrait, chain: i64) -> Result<Head, StoreError> {
    let last = Entity::find().filter(Column::Chain.eq(chain)).order_by_desc(Column::Seq).limit(1);
    let last = last.one(connection).await?;
    let end = |row: Row| Head { chain, seq: row.seq, at: row.at, hash: row.hash };
    Ok(last.map_or_else(|| Head::of_empty(chain), end))
}

/// Appends to a chain that no turn holds the end of, and returns the new one. The caller has the lock of its seat.
pub(super) async fn append_to(
    connection: &impl ConnectionTrait,
    chain: i64,
    told: impl IntoIterator<Item = Event>,
) -> Result<Head, StoreError> {
    let mut head = read_head(connection, chain).await?;
    let (actor, now) = (actor(), clock::now_ms());
    let links: Vec<Link> = told.into_iter().map(|event| head.append(event, &actor, now)).collect();
    batch::insert_all(connection, &INSERT, &links).await.map_err(contended)?;
    Ok(head)
}

/// Writes events that tell of nothing else in the database, such as a refused login.
pub async fn tell(store: &Store, events: impl IntoIterator<Item = Event>) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    for event in events {
        edit.tell(event);
    }
    edit.commit().await
}

/// Tells the number of the last committed event, as it grows.
pub async fn watch(store: &Store) -> watch::Receiver<i64> {
    store.inner.turn.lock().await.watch()
}

/// Has the end of the chain signed, unless it is already.
pub async fn put_checkpoint(store: &Store, signer: &impl Sign) -> Result<Option<Checkpoint>, StoreError> {
    // fully synced, and all events before it with it: whoever keeps it elsewhere relies on its being here, too
    let edit = store.begin_edit().await?;
    let head = edit.turn.head(edit.connection()).await?;
    // not one that somebody else wrote: what it says would be signed for with this one
    let last = list::last_signed_in(edit.connection(), head.chain, head.seq, &signer.public_key()).await?;
    let (last, before) = last.map_or((0, 0), |last| (last.seq, last.bytes));
    if head.seq <= last {
        return Ok(None);
    }
    let since = list::bytes_between(edit.connection(), head.chain, last, head.seq).await?;
    let checkpoint = Checkpoint::of(&head, (last, before.saturating_add(since)), clock::now_ms(), signer);
    list::insert_checkpoint(edit.connection(), &checkpoint).await?;
    let committed = edit.turn.committed.clone();
    edit.commit().await?;
    // the same number, and news all the same for those who are told of checkpoints
    committed.send_modify(|_| {});
    Ok(Some(checkpoint))
}
