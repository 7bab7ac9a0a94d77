//! The record of calls.
//!
//! Batches come in from the journal, rows go out to lists. Which moves between states are legal is decided by the
//! journal; here a move names the state it starts from and changes nothing when that is not the stored one.

use entity::invocation::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Order, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany,
};

use serde_json::json;

use super::{Listed, Page, Store, StoreError, approval};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::invocation::Model;

/// The states that are not the end of a call.
const OPEN_STATES: [&str; 3] = ["received", "pending", "dispatched"];

/// The state of nearly all calls, which no index is kept of.
const COMPLETED: &str = "completed";

/// Which invocations a list holds; what is absent does not narrow.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Filter {
    /// the agent's name
    pub agent: Option<String>,
    /// the server's name
    pub server: Option<String>,
    /// the tool's name
    pub tool: Option<String>,
    /// what was decided: `allow`, `deny`, `ask`
    pub decision: Option<String>,
    /// the state
    pub state: Option<String>,
    /// ms; received then or later
    pub since: Option<i64>,
    /// ms; received before then
    pub until: Option<i64>,
    /// a part of the tool's name or of the arguments, in any case
    pub q: Option<String>,
}

/// How many rows a recovery moved, by what they became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// calls that were in flight
    pub unknown: u64,
    /// calls that were not decided
    pub cancelled: u64,
    /// approvals that go on waiting for a person, though no call waits for them now
    pub approvals: u64,
}

/// Returns a page of invocations, newest first.
pub async fn list(store: &Store, filter: &Filter, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = wanted(filter);
    if let Some((received_at, id)) = page.after::<(i64, String)>()? {
        // the first comparison is the one that an index can begin at
        wanted = wanted
            .add(Column::ReceivedAt.lte(received_at))
            .add(Column::ReceivedAt.lt(received_at).or(Column::Id.lt(id)));
    }
    let newest_first = Entity::find().filter(wanted).order_by_desc(Column::ReceivedAt).order_by_desc(Column::Id);
    let rows = newest_first.limit(page.rows_to_read()).all(store.reads()).await?;
    Ok(Listed::cut(rows, page, |row| (row.received_at, row.id.clone())))
}

/// What was asked and what was decided of one call.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Decided {
    /// which call
    pub id: String,
    /// name of the agent
    pub agent: String,
    /// the server's name
    pub server: String,
    /// such as `tools/call`
    pub method: String,
    /// tool or prompt name, or resource URI
    pub tool: Option<String>,
    /// the JSON text
    pub arguments: Option<String>,
    /// what was decided: `allow`, `deny`, `ask`
    pub action: String,
    /// the rule that matched
    pub rule_id: Option<String>,
    /// ms
    pub received_at: i64,
}

/// Returns up to `rows_max` calls received at `since` (ms) or later and before the call `before` (time and id), newest
/// first.
pub async fn list_decided(
    store: &Store,
    since: i64,
    before: Option<(i64, &str)>,
    rows_max: u64,
) -> Result<Vec<Decided>, StoreError> {
    let mut wanted = Condition::all().add(Column::ReceivedAt.gte(since));
    if let Some((received_at, id)) = before {
        wanted = wanted
            .add(Column::ReceivedAt.lte(received_at))
            .add(Column::ReceivedAt.lt(received_at).or(Column::Id.lt(id)));
    }
    let columns = [
        Column::Id,
        Column::Agent,
        Column::Server,
        Column::Method,
        Column::Tool,
        Column::Arguments,
        Column::Action,
        Column::RuleId,
        Column::ReceivedAt,
    ];
    let newest_first = Entity::find().select_only().columns(columns).filter(wanted).order_by_desc(Column::ReceivedAt);
    let rows = newest_first.order_by_desc(Column::Id).limit(rows_max).into_model::<Decided>();
    Ok(rows.all(store.reads()).await?)
}

/// Returns the invocation with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Ends every invocation that whoever sat at this gateway's seat before left open.
///
/// For the start of the gateway, before it listens: a call that was in flight becomes `unknown`, one that was not
/// decided becomes `cancelled`. Approvals stay: a person can answer them, and the same call made again finds the answer.
pub async fn recover(store: &Store, now: i64) -> Result<Recovered, StoreError> {
    let mut edit = store.begin_edit().await?;
    let seat = edit.turn.seat();
    let (recovered, events) = end_of_seat(edit.connection(), seat, now).await?;
    for event in events {
        edit.tell(event);
    }
    edit.commit().await?;
    Ok(recovered)
}

/// Ends what is open at a seat where nobody sits, and returns what is to be told of it.
pub(super) async fn end_of_seat(
    connection: &impl ConnectionTrait,
    seat: i64,
    now: i64,
) -> Result<(Recovered, Vec<Event>), StoreError> {
    let mut events = ends_of(connection, seat, &["dispatched"], "unknown").await?;
    events.extend(ends_of(connection, seat, &["received", "pending"], "cancelled").await?);
    let in_flight = end("unknown", "the gateway stopped while the call was in flight", now)
        .filter(at(seat, &["dispatched"]))
        .exec(connection)
        .await?;
    let undecided = end("cancelled", "the gateway stopped before the call was decided", now)
        .filter(at(seat, &["received", "pending"]))
        .exec(connection)
        .await?;
    let approvals = approval::note_all_left(connection, now).await?;
    Ok((Recovered { unknown: in_flight.rows_affected, cancelled: undecided.rows_affected, approvals }, events))
}

fn at(seat: i64, states: &[&str]) -> Condition {
    let open = Condition::all().add(is_not_completed());
    open.add(Column::Seat.eq(seat)).add(Column::State.is_in(states.iter().copied()))
}

/// What is told of every call that is in one of these states and is about to be ended.
async fn ends_of(
    connection: &impl ConnectionTrait,
    seat: i64,
    from: &[&str],
    to: &str,
) -> Result<Vec<Event>, StoreError> {
    let open = Entity::find().select_only().columns([Column::Id, Column::State]);
    let open = open.filter(at(seat, from)).order_by_asc(Column::Id);
    let open: Vec<(String, String)> = open.into_tuple().all(connection).await?;
    let told = |(id, from): (String, String)| {
        let data = json!({ "error": "the gateway stopped", "from": from });
        Event::new(format!("call.{to}"), format!("invocation:{id}"), &data)
    };
    Ok(open.into_iter().map(told).collect())
}

/// Removes up to `rows_max` ended invocations received before `before`, oldest first, and the answered approvals of that
/// age; returns how many invocations.
pub async fn delete_older(store: &Store, before: i64, rows_max: u64) -> Result<u64, StoreError> {
    let mut edit = store.begin_edit().await?;
    let mut old = Query::select();
    old.column(Column::Id)
        .from(Entity)
        .and_where(Column::ReceivedAt.lt(before))
        .and_where(Column::State.is_not_in(OPEN_STATES))
        .order_by(Column::ReceivedAt, Order::Asc)
        .limit(rows_max);
    let deleted = Entity::delete_many().filter(Column::Id.in_subquery(old)).exec(edit.connection()).await?;
    let approvals = approval::delete_answered(edit.connection(), before).await?;
    if deleted.rows_affected > 0 || approvals > 0 {
        let data = json!({ "approvals": approvals, "count": deleted.rows_affected, "received_before": before });
        edit.tell(Event::new("calls.removed", "invocations", &data));
    }
    edit.commit().await?;
    Ok(deleted.rows_affected)
}

fn wanted(filter: &Filter) -> Condition {
    let texts = [
        (Column::Agent, &filter.agent),
        (Column::Server, &filter.server),
        (Column::Tool, &filter.tool),
        (Column::Action, &filter.decision),
        (Column::State, &filter.state),
    ];
    let mut wanted = Condition::all();
    for (column, text) in texts {
        wanted = wanted.add_option(text.as_ref().map(|text| column.eq(text)));
    }
    if filter.state.as_ref().is_some_and(|state| state != COMPLETED) {
        wanted = wanted.add(is_not_completed());
    }
    wanted = wanted
        .add_option(filter.since.map(|since| Column::ReceivedAt.gte(since)))
        .add_option(filter.until.map(|until| Column::ReceivedAt.lt(until)));
    if let Some(q) = &filter.q {
        let part_of = |column| Func::lower(Expr::col(column)).like(super::part(q));
        wanted = wanted.add(Condition::any().add(part_of(Column::Tool)).add(part_of(Column::Arguments)));
    }
    wanted
}

/// The very words of the index, as a value that is bound would hide what it is.
pub(super) fn is_not_completed() -> Expr {
    Expr::cust("state <> 'completed'")
}

fn end(state: &'static str, error: &'static str, now: i64) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::State, state.into())
        .col_expr(Column::Error, error.into())
        .col_expr(Column::FinishedAt, now.into())
}
