//! Batches of the journal: many rows in one statement.
//!
//! New rows and moves between states come in, which moves took place goes out. A batch travels as one JSON parameter,
//! so that each statement's text never changes and is prepared once, however many rows there are. Nothing is judged:
//! the journal made sure that the moves are legal.
//!
//! SQLite takes the rows apart with `jsonb_each` (3.51 and later; ours is compiled in): its text twin `json_each` renders
//! each row anew for every column, which costs three times as much.

pub(super) mod at_once;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, IdenStatic, Iterable as _, Statement};
use serde::Serialize;

use super::audit::Tail;
use super::{Store, StoreError, approval, invocation};
use crate::trail::Event;

/// What becomes of one invocation. A field that is absent keeps what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// which invocation
    pub id: String,
    /// the state it must be in; otherwise nothing is changed
    pub from_state: &'static str,
    /// the state it goes to
    pub state: &'static str,
    /// the arguments that a person put in place of the agent's
    pub arguments: Option<String>,
    /// over those
    pub arguments_digest: Option<String>,
    /// what was decided
    pub action: Option<String>,
    /// the rule that matched; with an action and without a rule none did, and none is kept
    pub rule_id: Option<String>,
    /// of the rule set that decided
    pub rule_set_revision: Option<i64>,
    /// `rule`, `default` or `person`
    pub decided_by: Option<String>,
    /// the approval, when one was asked for
    pub approval_id: Option<String>,
    /// the approval whose yes lets this call go; if that can't be spent, nothing is changed
    pub spends: Option<String>,
    /// by which rules it goes on that yes; told in the audit, while the row says which rule asked
    #[serde(skip)]
    pub released: Option<Released>,
    /// the tool said that it failed
    pub is_error: Option<bool>,
    /// why there is no result
    pub error: Option<String>,
    /// the JSON text, cut
    pub result: Option<String>,
    /// its length before the cut
    pub result_bytes: Option<i64>,
    /// ms
    pub decided_at: Option<i64>,
    /// ms
    pub dispatched_at: Option<i64>,
    /// ms
    pub finished_at: Option<i64>,
    /// microseconds between dispatch and answer
    pub upstream_us: Option<i64>,
    /// microseconds spent in the gateway
    pub overhead_us: Option<i64>,
}

/// What the rules said when a person's yes was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// `allow` or `ask`
    pub action: &'static str,
    /// the rule that matched
    pub rule_id: Option<String>,
    /// of the rule set that decided
    pub rule_set_revision: i64,
}

/// The columns that a [`Change`] may alter, with their types in PostgreSQL.
const CHANGED: [(&str, &str); 16] = [
    ("arguments", "text"),
    ("arguments_digest", "text"),
    ("action", "text"),
    ("rule_id", "text"),
    ("rule_set_revision", "bigint"),
    ("decided_by", "text"),
    ("approval_id", "text"),
    ("is_error", "boolean"),
    ("error", "text"),
    ("result", "text"),
    ("result_bytes", "bigint"),
    ("decided_at", "bigint"),
    ("dispatched_at", "bigint"),
    ("finished_at", "bigint"),
    ("upstream_us", "bigint"),
    ("overhead_us", "bigint"),
];

/// Rows that are written together or not at all.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// calls that are new
    pub invocations: Vec<&'a invocation::Row>,
    /// the questions that some of them ask first
    pub approvals: Vec<&'a approval::Row>,
    /// calls that move on; no id twice, as a database may take either of the two
    pub changes: Vec<&'a Change>,
    /// what the audit tells of the new calls
    pub told: Vec<Event>,
    /// what the audit tells of each change, should it take place
    pub told_of_changes: Vec<Event>,
}

impl Batch<'_> {
    /// A new call stands at the seat of its gateway, which is another one when it was lost a moment ago.
    fn demand_seat(&self, turn: &Tail) -> Result<(), StoreError> {
        let is_here = self.invocations.iter().all(|call| call.seat == turn.seat());
        if is_here { Ok(()) } else { Err(StoreError::Unseated) }
    }
}

/// Commits a batch on the journal's connection and returns the ids of the changes that took place.
pub async fn write(store: &Store, batch: Batch<'_>) -> Result<HashSet<String>, StoreError> {
    // what spends an answer has to see that it was there to be spent, before the call moves
    let is_plain = batch.changes.iter().all(|change| change.spends.is_none());
    if is_plain && let Some(moved) = at_once::write(store, &batch).await? {
        return Ok(moved);
    }
    let mut edit = store.begin_journal().await?;
    batch.demand_seat(&edit.turn)?;
    let moved = write_on(edit.connection(), &batch).await?;
    let Batch { changes, told, told_of_changes, .. } = batch;
    let took_place = changes.into_iter().zip(told_of_changes).filter(|(change, _)| moved.contains(&change.id));
    for event in told.into_iter().chain(took_place.map(|(_, event)| event)) {
        edit.tell(event);
    }
    edit.commit().await?;
    Ok(moved)
}

async fn write_on(connection: &impl ConnectionTrait, batch: &Batch<'_>) -> Result<HashSet<String>, StoreError> {
    let backend = connection.get_database_backend();
    if !batch.invocations.is_empty() {
        insert_all(connection, &INSERT_INVOCATIONS, &batch.invocations).await?;
    }
    if !batch.approvals.is_empty() {
        insert_all(connection, &INSERT_APPROVALS, &batch.approvals).await?;
    }
    let spending: Vec<_> = batch.changes.iter().filter(|change| change.spends.is_some()).collect();
    let mut changes: Vec<_> = batch.changes.iter().filter(|change| change.spends.is_none()).collect();
    if !spending.is_empty() {
        let spent = ids(connection, statement(backend, text(&SPEND_APPROVALS, backend), &spending)?).await?;
        changes.extend(spending.into_iter().filter(|change| spent.contains(&change.id)));
    }
    if changes.is_empty() {
        return Ok(HashSet::new());
    }
    ids(connection, statement(backend, text(&CHANGE_INVOCATIONS, backend), &changes)?).await
}

async fn ids(connection: &impl ConnectionTrait, statement: Statement) -> Result<HashSet<String>, StoreError> {
    let rows = connection.query_all_raw(statement).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// Inserts rows as one parameter.
pub(super) async fn insert_all(
    connection: &impl ConnectionTrait,
    texts: &'static Texts,
    rows: &[impl Serialize],
) -> Result<(), StoreError> {
    let backend = connection.get_database_backend();
    connection.execute_raw(statement(backend, text(texts, backend), rows)?).await?;
    Ok(())
}

fn statement<T: Serialize>(backend: DbBackend, text: &str, rows: &[T]) -> Result<Statement, StoreError> {
    let rows = serde_json::to_string(rows)
        .map_err(|error| StoreError::Refused { source: sea_orm::DbErr::Json(error.to_string()) })?;
    Ok(Statement::from_sql_and_values(backend, text, [rows.into()]))
}

/// The same statement for both databases: SQLite's text, then PostgreSQL's.
pub(super) type Texts = LazyLock<(String, String)>;

fn text(texts: &'static Texts, backend: DbBackend) -> &'static str {
    let (sqlite, postgres) = &**texts;
    if backend == DbBackend::Sqlite { sqlite } else { postgres }
}

static INSERT_INVOCATIONS: Texts = LazyLock::new(|| {
    let columns: Vec<_> = entity::invocation::Column::iter().collect();
    insert("invocation", columns.iter().map(IdenStatic::as_str))
});

static INSERT_APPROVALS: Texts = LazyLock::new(|| {
    let columns: Vec<_> = entity::approval::Column::iter().collect();
    insert("approval", columns.iter().map(IdenStatic::as_str))
});

static CHANGE_INVOCATIONS: Texts = LazyLock::new(|| {
    let mut set = String::from("state = c.state");
    let mut sqlite = String::from(
        "json_extract(value, '$.id') AS id, json_extract(value, '$.from_state') AS from_state, \
         json_extract(value, '$.state') AS state",
    );
    let mut postgres = String::from("id text, from_state text, state text");
    for (column, kind) in CHANGED {
        // writing to a String cannot fail
        let _ = match column {
            // where the default decides, no rule does: the one that asked must not stand there as if it had
            "rule_id" => {
                write!(set, ", rule_id = CASE WHEN c.action IS NULL THEN invocation.rule_id ELSE c.rule_id END")
            }
            _ => write!(set, ", {column} = coalesce(c.{column}, invocation.{column})"),
        };
        let _ = write!(sqlite, ", json_extract(value, '$.{column}') AS {column}");
        let _ = write!(postgres, ", {column} {kind}");
    }
    let update = format!("UPDATE invocation SET {set} FROM");
    let matching = "WHERE invocation.id = c.id AND invocation.state = c.from_state";
    (
        format!("{update} (SELECT {sqlite} FROM jsonb_each(?)) AS c {matching} RETURNING id"),
        format!("{update} json_to_recordset($1::json) AS c({postgres}) {matching} RETURNING invocation.id"),
    )
});

/// A yes is spent once, while it holds, and on a call that still waits. Where two calls of a batch want the same one, the
/// database takes either; what is returned names the call that got it.
static SPEND_APPROVALS: Texts = LazyLock::new(|| {
    let update = "UPDATE approval SET used_at = c.dispatched_at, used_by = c.id FROM";
    let matching = "WHERE approval.id = c.spends AND approval.status = 'approved' AND approval.used_at IS NULL \
                    AND approval.holds_until > c.dispatched_at \
                    AND EXISTS (SELECT 1 FROM invocation WHERE invocation.id = c.id AND invocation.state = c.from_state)";
    let columns = "json_extract(value, '$.id') AS id, json_extract(value, '$.from_state') AS from_state, \
                   json_extract(value, '$.spends') AS spends, \
                   json_extract(value, '$.dispatched_at') AS dispatched_at";
    (
        format!("{update} (SELECT {columns} FROM jsonb_each(?)) AS c {matching} RETURNING used_by"),
        format!(
            "{update} json_to_recordset($1::json) AS c(id text, from_state text, spends text, dispatched_at bigint) \
             {matching} RETURNING approval.used_by"
        ),
    )
});

pub(super) fn insert<'a>(table: &str, columns: impl Iterator<Item = &'a str> + Clone) -> (String, String) {
    let names = columns.clone().collect::<Vec<_>>().join(", ");
    let values = columns.map(|column| format!("json_extract(value, '$.{column}')")).collect::<Vec<_>>().join(", ");
    (
        format!("INSERT INTO {table} ({names}) SELECT {values} FROM jsonb_each(?)"),
        format!("INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, $1::json)"),
    )
}
