//! A batch and its events in one round trip, which is what a call waits for twice.
//!
//! The events are made before it is known which changes take place, as nearly always all of them do. Where one does not,
//! the events do not fit, the database refuses the whole, and the batch is written again the long way, step by step.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, IdenStatic as _, Iterable as _, Statement, Value};
use serde::Serialize;

use super::{Batch, CHANGE_INVOCATIONS, INSERT_APPROVALS, INSERT_INVOCATIONS, text};
use crate::store::{Store, StoreError};

/// The statements' texts, by which parts there are; the parts are the bits of the place.
static SQLITE: LazyLock<[String; 8]> = LazyLock::new(|| std::array::from_fn(|parts| sqlite(Parts::of_bits(parts))));
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
    turn.roll_back(connection).await;
    batch.demand_seat(&turn)?;
    let told = batch.told.iter().chain(&batch.told_of_changes).cloned();
    let Some((head, links)) = turn.place(told) else { return Ok(None) };
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
    values.push(json(&links)?);
    let backend = connection.get_database_backend();
    let texts = if backend == DbBackend::Sqlite { &SQLITE } else { &POSTGRES };
    let text = texts.get(parts.bits()).map(String::as_str).unwrap_or_default();
    turn.is_open = backend == DbBackend::Sqlite;
    let written = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await;
    match written.map_err(StoreError::from) {
        Ok(moved) => {
            turn.is_open = false;
            turn.moved_to(Some(head));
            Ok(Some(moved.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, DbErr>>()?))
        }
        Err(error) => {
            turn.roll_back(connection).await;
            // what is refused for what it is gets its own answer the long way
            if error.is_retryable() { Err(error) } else { Ok(None) }
        }
    }
}

fn json(rows: &impl Serialize) -> Result<Value, StoreError> {
    let text = serde_json::to_string(rows);
    let text = text.map_err(|error| StoreError::Refused { source: DbErr::Json(error.to_string()) })?;
    Ok(text.into())
}

fn columns() -> Vec<&'static str> {
    entity::audit_event::Column::iter().map(|column| column.as_str()).collect()
}

/// SQLite runs several statements at once. Events that do not fit have no chain, which the table refuses.
fn sqlite(parts: Parts) -> String {
    let of = |texts| text(texts, DbBackend::Sqlite);
    let mut statements = vec!["BEGIN IMMEDIATE".to_owned()];
    statements.extend(parts.has_invocations.then(|| of(&INSERT_INVOCATIONS).to_owned()));
    statements.extend(parts.has_approvals.then(|| of(&INSERT_APPROVALS).to_owned()));
    statements.extend(parts.has_changes.then(|| of(&CHANGE_INVOCATIONS).to_owned()));
    let values = columns().into_iter().map(|column| {
        let value = format!("json_extract(value, '$.{column}')");
        let is_guard = parts.has_changes && column == "chain";
        if is_guard { format!("CASE WHEN changes() = ? THEN {value} END") } else { value }
    });
    let values = values.collect::<Vec<_>>().join(", ");
    statements.push(format!("INSERT INTO audit_event ({}) SELECT {values} FROM jsonb_each(?)", columns().join(", ")));
    statements.push("COMMIT".to_owned());
    statements.join("; ")
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
    let moved = if parts.has_changes { "SELECT id FROM moved" } else { "SELECT NULL::text AS id WHERE false" };
    format!("WITH {} {moved}", with.join(", "))
}
