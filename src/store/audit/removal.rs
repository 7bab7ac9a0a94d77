//! The removal of old events: whole segments, each up to a checkpoint, which stays.
//!
//! What a removal says is signed, as the verifier believes it. So nothing is believed here that is not signed either: a
//! checkpoint with another time or size would have this gateway sign away what is not old.

use entity::audit_event::{Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::list;
use crate::store::{Store, StoreError};
use crate::trail::{Checkpoint, Event, PublicKey, REMOVED, Removal, Sign};

/// How many checkpoints that nobody signed are passed over at once.
const STRANGE_MAX: u64 = 100;

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// the number of the first event that is gone
    pub from: i64,
    /// the number of the last one
    pub to: i64,
}

/// Removes the events that are older than `before` (ms), and as many of the oldest as it takes to keep no more than
/// `bytes_max`; and tells so. Only what a checkpoint stands for is removed, and never what the last one stands for.
///
/// `segments_max` bounds how much is removed at once; whoever is told that something was may ask again.
pub async fn remove_old(
    store: &Store,
    before: Option<i64>,
    bytes_max: Option<i64>,
    segments_max: u64,
    signer: &impl Sign,
) -> Result<Option<Removed>, StoreError> {
    // nobody else removes events of this chain, so nobody has to wait while it is worked out which
    let (connection, chain) = (store.reads(), store.seat());
    let Some(first) = first_event(connection, chain).await? else { return Ok(None) };
    let segments = Segments::read(connection, (chain, first), segments_max, &signer.public_key()).await?;
    let Some(last) = segments.and_then(|segments| segments.last_to_remove(before, bytes_max)) else { return Ok(None) };
    let mut edit = store.begin_edit().await?;
    if edit.turn.seat() != chain {
        // meanwhile this gateway took another seat
        return Ok(None);
    }
    let gone = Entity::delete_many().filter(Column::Chain.eq(chain)).filter(Column::Seq.lte(last.seq));
    gone.exec(edit.connection()).await?;
    let removal = Removal::of(first, &last, signer);
    edit.tell(Event::new(REMOVED, format!("chain:{chain}"), &removal.data()));
    edit.commit().await?;
    Ok(Some(Removed { from: first, to: last.seq }))
}

async fn first_event(connection: &impl ConnectionTrait, chain: i64) -> Result<Option<i64>, StoreError> {
    let first = Entity::find().select_only().column(Column::Seq).filter(Column::Chain.eq(chain));
    Ok(first.order_by_asc(Column::Seq).limit(1).into_tuple().one(connection).await?)
}

/// The oldest checkpoints whose events are still there, each signed by this gateway.
struct Segments {
    oldest: Vec<Checkpoint>,
    /// the size of all events when the first of those that are still there was written; none if nobody signed for it
    gone_bytes: Option<i64>,
    /// the size of all events now
    all_bytes: i64,
}

impl Segments {
    /// Reads up to `segments_max` of them, without the last one of the chain, as what that one stands for stays.
    async fn read(
        connection: &impl ConnectionTrait,
        (chain, first): (i64, i64),
        segments_max: u64,
        key: &PublicKey,
    ) -> Result<Option<Self>, StoreError> {
        let before = first.saturating_sub(1);
        let Some(last) = list::last_signed_in(connection, chain, i64::MAX, key).await? else { return Ok(None) };
        let gone = list::last_signed_in(connection, chain, before, key).await?.filter(|gone| gone.seq == before);
        let gone_bytes = if before == 0 { Some(0) } else { gone.map(|gone| gone.bytes) };
        let rows_max = segments_max.saturating_add(STRANGE_MAX);
        let mut oldest = list::checkpoints_in(connection, chain, Some(before), rows_max).await?;
        oldest.retain(|segment| segment.seq < last.seq && segment.is_signed_by(key));
        oldest.truncate(usize::try_from(segments_max).unwrap_or(usize::MAX));
        Ok(Some(Self { oldest, gone_bytes, all_bytes: last.bytes }))
    }

    fn last_to_remove(self, before: Option<i64>, bytes_max: Option<i64>) -> Option<Checkpoint> {
        let all_bytes = self.all_bytes;
        let mut gone_bytes = self.gone_bytes;
        let go = |segment: &Checkpoint| {
            let is_old = before.is_some_and(|before| segment.at < before);
            let kept = gone_bytes.map(|gone| all_bytes.saturating_sub(gone));
            let is_too_much = kept.zip(bytes_max).is_some_and(|(kept, bytes_max)| kept > bytes_max);
            gone_bytes = Some(segment.bytes);
            is_old || is_too_much
        };
        self.oldest.into_iter().take_while(go).last()
    }
}
