//! What was told, and what is still to be told: each approval once by each channel that is for it.
//!
//! A delivery leaves `waiting` once. Whoever is going to send one claims it until a time: by a compare-and-set, so that of
//! several gateways one has it, and so that one that a gateway died with is sent by another. What is sent twice has the
//! same id.

use std::collections::HashSet;

use entity::delivery::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use super::channel::{self, Change, Seen};
use super::{Listed, Page, Store, StoreError, approval};

/// A row of the table.
pub type Row = entity::delivery::Model;

/// The state of one that is still to be sent.
pub const WAITING: &str = "waiting";
/// How many are looked at in one step.
const ROWS_MAX: u64 = 500;

/// A notice that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// by which channel
    pub channel_id: String,
    /// what waits
    pub approval_id: String,
    /// ms; not before
    pub next_at: i64,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// it was taken
    Sent,
    /// it was not, and is tried again then (ms); why
    Again(String, i64),
    /// it was not, and is not tried again; why, and whether the channel is to be left alone
    Failed(String, bool),
    /// nobody needs it any more
    Withdrawn,
}

/// Returns a page of what was told by a channel, newest first.
pub async fn list(store: &Store, channel_id: &str, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = Condition::all().add(Column::ChannelId.eq(channel_id));
    if let Some(id) = page.after::<String>()? {
        wanted = wanted.add(Column::Id.lt(id));
    }
    let rows = Entity::find().filter(wanted).order_by_desc(Column::Id).limit(page.rows_to_read());
    Ok(Listed::cut(rows.all(store.reads()).await?, page, |row| row.id.clone()))
}

/// Returns which channels have these approvals told: pairs of channel and approval.
pub async fn known(store: &Store, approval_ids: &[&str]) -> Result<HashSet<(String, String)>, StoreError> {
    let pairs = Entity::find().select_only().columns([Column::ChannelId, Column::ApprovalId]);
    let pairs = pairs.filter(Column::ApprovalId.is_in(approval_ids.iter().copied()));
    Ok(pairs.into_tuple().all(store.reads()).await?.into_iter().collect())
}

/// Adds what is to be told. What is there already, or has lost its channel or approval meanwhile, is passed over.
pub async fn put(store: &Store, wanted: Vec<Wanted>, now: i64) -> Result<(), StoreError> {
    let edit = store.begin_journal().await?;
    for Wanted { channel_id, approval_id, next_at } in wanted {
        if !has_both(edit.connection(), &channel_id, &approval_id).await? {
            continue;
        }
        let row = Row {
            id: super::new_id(),
            channel_id,
            approval_id,
            state: WAITING.to_owned(),
            tries: 0,
            next_at,
            claimed_until: None,
            problem: None,
            created_at: now,
            finished_at: None,
        };
        let once = OnConflict::columns([Column::ChannelId, Column::ApprovalId]).do_nothing().to_owned();
        Entity::insert(row.into_active_model()).on_conflict(once).exec_without_returning(edit.connection()).await?;
    }
    edit.commit().await
}

/// No lock is taken: whoever answers an approval must not wait for this. One that goes at this very moment fails the whole,
/// and the next look does it.
async fn has_both(connection: &impl ConnectionTrait, channel_id: &str, approval_id: &str) -> Result<bool, StoreError> {
    let channel = entity::channel::Entity::find_by_id(channel_id).one(connection).await?;
    let approval = entity::approval::Entity::find_by_id(approval_id).one(connection).await?;
    Ok(channel.is_some() && approval.is_some())
}

/// Ends what waits though its approval does not any more, whatever its channel: nobody needs it. One that failed before has
/// failed. Returns how many there were.
pub async fn end_answered(store: &Store, now: i64) -> Result<usize, StoreError> {
    let waits = Query::select()
        .column(entity::approval::Column::Id)
        .from(entity::approval::Entity)
        .and_where(entity::approval::Column::Status.eq(approval::PENDING))
        .and_where(entity::approval::Column::ExpiresAt.gt(now))
        .take();
    let over = free(now).add(Column::ApprovalId.not_in_subquery(waits));
    let rows = Entity::find().filter(over).limit(ROWS_MAX).all(store.reads()).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let edit = store.begin_journal().await?;
    for row in &rows {
        let state = if row.problem.is_some() { "failed" } else { "withdrawn" };
        let ended = Entity::update_many()
            .col_expr(Column::State, state.into())
            .col_expr(Column::FinishedAt, now.into())
            .filter(as_seen(row));
        ended.exec(edit.connection()).await?;
    }
    edit.commit().await?;
    Ok(rows.len())
}

/// Returns what is to be sent by a channel by now, and nobody has claimed, at most `rows_max`.
pub async fn due(store: &Store, channel_id: &str, now: i64, rows_max: u64) -> Result<Vec<Row>, StoreError> {
    let due = free(now).add(Column::ChannelId.eq(channel_id)).add(Column::NextAt.lte(now));
    let in_turn = Entity::find().filter(due).order_by_asc(Column::NextAt).order_by_asc(Column::Id);
    Ok(in_turn.limit(rows_max).all(store.reads()).await?)
}

/// Claims deliveries until then, each by a compare-and-set, and counts the try. Returns those that are the caller's.
pub async fn claim(store: &Store, rows: Vec<Row>, now: i64, until: i64) -> Result<Vec<Row>, StoreError> {
    let edit = store.begin_journal().await?;
    let mut claimed = Vec::new();
    for row in rows {
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, until.into())
            .col_expr(Column::Tries, Expr::col(Column::Tries).add(1))
            .filter(as_seen(&row).add(unclaimed(now)));
        if claim.exec(edit.connection()).await?.rows_affected == 1 {
            claimed.push(Row { claimed_until: Some(until), tries: row.tries + 1, ..row });
        }
    }
    edit.commit().await?;
    Ok(claimed)
}

/// Writes what came of a delivery that the caller has claimed, and what that shows of its channel. What was taken is
/// written even if the claim is over: it was taken.
pub async fn finish(store: &Store, row: &Row, outcome: &Outcome, now: i64) -> Result<Option<Change>, StoreError> {
    let mut edit = store.begin_journal().await?;
    let (seen, state, problem) = match outcome {
        Outcome::Sent => (Some(Seen::Well), "sent", None),
        Outcome::Again(why, _) => (Some(Seen::Failing(why.clone())), WAITING, Some(why)),
        Outcome::Failed(why, false) => (Some(Seen::Failing(why.clone())), "failed", Some(why)),
        Outcome::Failed(why, true) => (Some(Seen::Gone(why.clone())), "failed", Some(why)),
        Outcome::Withdrawn => (None, "withdrawn", None),
    };
    // first the channel, as whoever removes one does
    let change = match &seen {
        Some(seen) => channel::note_in(&mut edit, &row.channel_id, seen, now).await?,
        None => None,
    };
    let next_at = if let Outcome::Again(_, at) = outcome { *at } else { row.next_at };
    let mine = match outcome {
        Outcome::Sent => Condition::all().add(Column::Id.eq(&row.id)).add(Column::State.eq(WAITING)),
        _ => as_seen(row),
    };
    let finished = Entity::update_many()
        .col_expr(Column::State, state.into())
        .col_expr(Column::Problem, problem.cloned().into())
        .col_expr(Column::NextAt, next_at.into())
        .col_expr(Column::ClaimedUntil, None::<i64>.into())
        .col_expr(Column::FinishedAt, (state != WAITING).then_some(now).into())
        .filter(mine);
    finished.exec(edit.connection()).await?;
    edit.commit().await?;
    Ok(change)
}

/// Has what waits to be told by a channel be tried at once.
pub(super) async fn try_at_once(
    connection: &impl ConnectionTrait,
    channel_id: &str,
    now: i64,
) -> Result<(), StoreError> {
    // what was never tried waits for its time
    let tried = Condition::all().add(Column::ChannelId.eq(channel_id)).add(Column::State.eq(WAITING));
    let tried = tried.add(Column::Tries.gt(0));
    Entity::update_many().col_expr(Column::NextAt, now.into()).filter(tried).exec(connection).await?;
    Ok(())
}

fn free(now: i64) -> Condition {
    Condition::all().add(Column::State.eq(WAITING)).add(unclaimed(now))
}

fn unclaimed(now: i64) -> Condition {
    Condition::any().add(Column::ClaimedUntil.is_null()).add(Column::ClaimedUntil.lte(now))
}

/// The row, if nobody has claimed or ended it since it was read.
fn as_seen(row: &Row) -> Condition {
    let claim = match row.claimed_until {
        Some(until) => Column::ClaimedUntil.eq(until),
        None => Column::ClaimedUntil.is_null(),
    };
    let same = Condition::all().add(Column::Id.eq(&row.id)).add(Column::State.eq(WAITING)).add(claim);
    same.add(Column::Tries.eq(row.tries))
}
