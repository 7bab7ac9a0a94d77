//! A batch and its events in one round trip, which is what a call waits for twice.
//!
//! The events are made before it is known which changes take place, as nearly always all of them do. Where one does not,
//! the events do not fit, the database refuses the whole, and the batch is written again the long way, step by step.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, IdenStatic as _, Iterable as _, Statement, Value};
use serde::Serialize;

use super::{Batch, CHANGE_INVOCATIONS, INSERT_APPROVALS, INSERT_INVOCATIONS, text};
use crate::store::audit::INSERT as INSERT_EVENTS;
use crate::store::{Store, StoreError};
use crate::trail::Link;

/// PostgreSQL's texts, by which parts there are; the parts are the bits of the place.
static POSTGRES: LazyLock<[String; 8]> = LazyLock::new(|| std::array::from_fn(|parts| postgres(Parts::of_bits(parts))));

/// Which statements a batch takes.
#[derive(Clone, Copy)]
struct Parts {
    has_invocations: bool,
    has_approvals: bool,
    has_changes: bool,
}

impl Parts {
    fn of(batch: &Batch<'_>) -> Self {
        Self {
            has_invocations: !batch.invocations.is_empty(),
            has_approvals: !batch.approvals.is_empty(),
            has_changes: !batch.changes.is_empty(),
        }
    }

    fn of_bits(bits: usize) -> Self {
        Self { has_invocations: bits & 1 != 0, has_approvals: bits & 2 != 0, has_changes: bits & 4 != 0 }
    }

    fn bits(self) -> usize {
        usize::from(self.has_invocations) | usize::from(self.has_approvals) << 1 | usize::from(self.has_changes) << 2
    }
}

/// Commits a batch and returns the changes that took place; none when it has to be written the long way.
pub(super) async fn write(store: &Store, batch: &Batch<'_>) -> Result<Option<HashSet<String>>, StoreError> {
    store.inner.guard.demand()?;
    let mut turn = Arc::clone(&store.inner.turn).lock_owned().await;
    let connection = &store.inner.journal;
    batch.demand_seat(&turn)?;
    let told = batch.told.iter().chain(&batch.told_of_changes).cloned();
    let Some((head, links)) = turn.place(told) else { return Ok(None) };
    let backend = connection.get_database_backend();
    let statement = if backend == DbBackend::Sqlite { of_sqlite(batch, &links)? } else { of_postgres(batch, &links)? };
    match connection.execute_raw(statement).await.map_err(StoreError::from) {
        Ok(_) => {
            turn.moved_to(Some(head));
            Ok(Some(batch.changes.iter().map(|change| change.id.clone()).collect()))
        }
        // what is refused for what it is gets its own answer the long way
        Err(error) if error.is_retryable() => {
            store.inner.failed_commits.fetch_add(1, Ordering::Relaxed);
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

/// Nothing where there are no rows.
fn json<T: Serialize>(rows: &[T]) -> Result<Value, StoreError> {
    if rows.is_empty() {
        return Ok(None::<String>.into());
    }
    let text = serde_json::to_string(rows);
    let text = text.map_err(|error| StoreError::Refused { source: DbErr::Json(error.to_string()) })?;
    Ok(text.into())
}

fn columns() -> Vec<&'static str> {
    entity::audit_event::Column::iter().map(|column| column.as_str()).collect()
}

/// SQLite has a view that is written to, which only the connection sees; each insert carries a whole batch, and what it
/// sets off is done with it or not at all. Several statements in a transaction would do the same and cost a hand-over to
/// the connection's thread each.
///
/// A batch in which a change does not take place is refused.
pub(in crate::store) fn prepare_sqlite() -> [String; 2] {
    let of = |texts, part: &str| {
        let text = text(texts, DbBackend::Sqlite).replace("(?)", &format!("(NEW.{part})"));
        text.replace(" RETURNING id", "")
    };
    let (invocations, approvals) = (of(&INSERT_INVOCATIONS, "invocations"), of(&INSERT_APPROVALS, "approvals"));
    let (changes, events) = (of(&CHANGE_INVOCATIONS, "changes"), of(&INSERT_EVENTS, "events"));
    let guard = "SELECT RAISE(ABORT, 'a change did not take place') WHERE changes() <> NEW.changed";
    [
        "CREATE TEMP VIEW journal_batch AS \
         SELECT NULL AS invocations, NULL AS approvals, NULL AS changes, NULL AS changed, NULL AS events"
            .to_owned(),
        format!(
            "CREATE TEMP TRIGGER journal_batch_is_written INSTEAD OF INSERT ON journal_batch BEGIN \
             {invocations}; {approvals}; {changes}; {guard}; {events}; END"
        ),
    ]
}

fn of_sqlite(batch: &Batch<'_>, links: &[Link]) -> Result<Statement, StoreError> {
    let text = "INSERT INTO journal_batch (invocations, approvals, changes, changed, events) VALUES (?, ?, ?, ?, ?)";
    let changed = i64::try_from(batch.changes.len()).unwrap_or(i64::MAX);
    let values =
        [json(&batch.invocations)?, json(&batch.approvals)?, json(&batch.changes)?, changed.into(), json(links)?];
    Ok(Statement::from_sql_and_values(DbBackend::Sqlite, text, values))
}

fn of_postgres(batch: &Batch<'_>, links: &[Link]) -> Result<Statement, StoreError> {
    let parts = Parts::of(batch);
    let mut values: Vec<Value> = Vec::with_capacity(5);
    if parts.has_invocations {
        values.push(json(&batch.invocations)?);
    }
    if parts.has_approvals {
        values.push(json(&batch.approvals)?);
    }
    if parts.has_changes {
        values.push(json(&batch.changes)?);
        values.push(i64::try_from(batch.changes.len()).unwrap_or(i64::MAX).into());
    }
    values.push(json(links)?);
    let text = POSTGRES.get(parts.bits()).map(String::as_str).unwrap_or_default();
    Ok(Statement::from_sql_and_values(DbBackend::Postgres, text, values))
}

/// PostgreSQL runs one statement with several parts. Events that do not fit have no chain, which the table refuses.
fn postgres(parts: Parts) -> String {
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("${number}")
    };
    let mut with = Vec::new();
    let mut part = |name: &str, texts| {
        let text = text(texts, DbBackend::Postgres).replace("$1", &next());
        with.push(format!("{name} AS ({text})"));
    };
    if parts.has_invocations {
        part("new_calls", &INSERT_INVOCATIONS);
    }
    if parts.has_approvals {
        part("new_approvals", &INSERT_APPROVALS);
    }
    if parts.has_changes {
        part("moved", &CHANGE_INVOCATIONS);
    }
    let guard =
        parts.has_changes.then(|| format!("CASE WHEN (SELECT count(*) FROM moved) = {} THEN chain END", next()));
    let values = columns().into_iter().map(|column| match &guard {
        Some(guard) if column == "chain" => guard.clone(),
        _ => column.to_owned(),
    });
    let (names, values) = (columns().join(", "), values.collect::<Vec<_>>().join(", "));
    let events = next();
    with.push(format!(
        "told AS (INSERT INTO audit_event ({names}) SELECT {values} \
         FROM json_populate_recordset(NULL::audit_event, {events}::json))"
    ));
    format!("WITH {} SELECT 1", with.join(", "))
}
