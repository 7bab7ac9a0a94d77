//! The removal of old events: whole segments, each up to a checkpoint, which stays.

use entity::audit_checkpoint;
use entity::audit_event::{Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use crate::store::{Store, StoreError};
use crate::trail::{Event, REMOVED};

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
    segments_max: usize,
) -> Result<Option<Removed>, StoreError> {
    let mut edit = store.begin_edit().await?;
    let (connection, chain) = (edit.connection(), edit.turn.seat());
    let Some(first) = first_event(connection, chain).await? else { return Ok(None) };
    let mut segments = segments_from(connection, chain, first).await?;
    // what the last one stands for stays, with all that comes after
    segments.pop();
    let mut bytes: i64 = segments.iter().map(|segment| segment.bytes).sum();
    let is_old = |segment: &audit_checkpoint::Model| before.is_some_and(|before| segment.at < before);
    let mut last = None;
    for segment in segments.into_iter().take(segments_max) {
        let is_too_much = bytes_max.is_some_and(|bytes_max| bytes > bytes_max);
        if !is_old(&segment) && !is_too_much {
            break;
        }
        bytes -= segment.bytes;
        last = Some(segment);
    }
    let Some(last) = last else { return Ok(None) };
    let removed = Removed { from: first, to: last.seq };
    let gone = Entity::delete_many().filter(Column::Chain.eq(chain)).filter(Column::Seq.lte(last.seq));
    gone.exec(connection).await?;
    let data = json!({ "from": removed.from, "to": removed.to, "hash": last.hash });
    edit.tell(Event::new(REMOVED, format!("chain:{chain}"), &data));
    edit.commit().await?;
    Ok(Some(removed))
}

async fn first_event(connection: &impl ConnectionTrait, chain: i64) -> Result<Option<i64>, StoreError> {
    let first = Entity::find().select_only().column(Column::Seq).filter(Column::Chain.eq(chain));
    Ok(first.order_by_asc(Column::Seq).limit(1).into_tuple().one(connection).await?)
}

/// The checkpoints whose events are still there, oldest first.
async fn segments_from(
    connection: &impl ConnectionTrait,
    chain: i64,
    first: i64,
) -> Result<Vec<audit_checkpoint::Model>, StoreError> {
    use audit_checkpoint::Column;
    let of_chain = audit_checkpoint::Entity::find().filter(Column::Chain.eq(chain)).filter(Column::Seq.gte(first));
    Ok(of_chain.order_by_asc(Column::Seq).all(connection).await?)
}
