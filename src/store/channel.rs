//! Ways to tell people that something waits for them.
//!
//! Parsed channels come in as rows, rows go out; their secrets are envelopes, and are never opened here. How a channel does
//! is written with the deliveries that show it: see `store::delivery`.

use entity::channel::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait as _, QueryFilter,
    QueryOrder, QuerySelect,
};

use serde_json::{Value, json};

use super::{Edit, Listed, Page, Store, StoreError, delivery};
use crate::clock;
use crate::trail::{Event, difference};

/// A row of the table.
pub type Row = entity::channel::Model;

/// What a channel is called in a refusal.
const WHAT: &str = "channel";

/// A column that holds an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// the address
    Url,
    /// the signing secret, or the token
    Secret,
}

impl Sealed {
    /// The table's name.
    pub const TABLE: &str = "channel";

    /// The column's name.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Secret => "secret",
        }
    }
}

/// What is known of a channel after an attempt to tell something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// it told it
    Well,
    /// it could not; why
    Failing(String),
    /// it says that it is to be left alone for good; why
    Gone(String),
}

/// What an attempt changed about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// it fails from now on
    Failing,
    /// it works again
    Recovered,
    /// it is disabled
    Disabled,
}

/// Returns a page of channels, by name.
pub async fn list(store: &Store, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = Entity::find();
    if let Some(name) = page.after::<String>()? {
        wanted = wanted.filter(Column::Name.gt(name));
    }
    let rows = wanted.order_by_asc(Column::Name).limit(page.rows_to_read());
    Ok(Listed::cut(rows.all(store.reads()).await?, page, |row| row.name.clone()))
}

/// Returns every channel that is enabled.
pub async fn load_enabled(store: &Store) -> Result<Vec<Row>, StoreError> {
    Ok(Entity::find().filter(Column::Enabled.eq(true)).order_by_asc(Column::Name).all(store.reads()).await?)
}

/// Returns the channel of that name.
pub async fn find(store: &Store, name: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find().filter(Column::Name.eq(name)).one(store.reads()).await?)
}

/// Adds a channel, as its first revision. A name that is taken is a conflict.
pub async fn insert(store: &Store, new: Row) -> Result<Row, StoreError> {
    let now = clock::now_ms();
    let row = Row { revision: 1, created_at: now, updated_at: now, ..new };
    let mut edit = store.begin_edit().await?;
    let inserted = Entity::insert(row.clone().into_active_model()).exec_without_returning(edit.connection()).await;
    inserted.map_err(|error| StoreError::from(error).or_taken(|| format!("a channel named {} exists", row.name)))?;
    let data = json!({ "channel": row, "secrets": secrets(None, &row) });
    edit.tell(Event::new("channel.created", subject(&row), &data));
    edit.commit().await?;
    Ok(row)
}

/// Edits a channel: `change` is given the stored row and alters it.
///
/// The revision goes up by one; when `expected_revision` is given and is not the stored one the answer is
/// [`StoreError::Stale`]. The id, the name, the kind and the times are not for `change` to alter. How the channel did is
/// forgotten, and what waits to be told by it is tried at once: it may be what was mended.
pub async fn update<E: From<StoreError>>(
    store: &Store,
    name: &str,
    expected_revision: Option<i64>,
    change: impl FnOnce(&mut Row) -> Result<(), E>,
) -> Result<Row, E> {
    let mut edit = store.begin_edit().await?;
    let old = find_locked(edit.connection(), name).await?;
    super::demand_revision(expected_revision, old.revision)?;
    let mut row = old.clone();
    change(&mut row)?;
    let now = clock::now_ms();
    row.revision = old.revision + 1;
    row.updated_at = now;
    (row.problem, row.failing_since) = (None, None);
    (row.id, row.name, row.kind, row.created_at) = (old.id.clone(), old.name.clone(), old.kind.clone(), old.created_at);
    let all_columns = row.clone().into_active_model().reset_all();
    Entity::update(all_columns).exec(edit.connection()).await.map_err(StoreError::from)?;
    if old.problem.is_some() {
        delivery::try_at_once(edit.connection(), &row.id, now).await?;
    }
    let data = json!({
        "changed": difference(&old, &row),
        "revision": row.revision,
        "secrets": secrets(Some(&old), &row),
    });
    edit.tell(Event::new("channel.updated", subject(&row), &data));
    edit.commit().await?;
    Ok(row)
}

/// Removes a channel with what waits to be told by it, and returns the row that was removed.
pub async fn delete(store: &Store, name: &str) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = find_locked(edit.connection(), name).await?;
    row.clone().delete(edit.connection()).await?;
    edit.tell(Event::new("channel.deleted", subject(&row), &json!({ "channel": row })));
    edit.commit().await?;
    Ok(row)
}

/// Notes what an attempt showed; whoever makes the first of several alike is told that it is a change.
pub async fn note(store: &Store, id: &str, seen: &Seen, now: i64) -> Result<Option<Change>, StoreError> {
    let mut edit = store.begin_journal().await?;
    let change = note_in(&mut edit, id, seen, now).await?;
    edit.commit().await?;
    Ok(change)
}

pub(super) async fn note_in(edit: &mut Edit, id: &str, seen: &Seen, now: i64) -> Result<Option<Change>, StoreError> {
    let found = Entity::find_by_id(id).lock_exclusive().one(edit.connection()).await?;
    let Some(row) = found else { return Ok(None) };
    let update = Entity::update_many().filter(Column::Id.eq(id));
    let (why, is_gone) = match seen {
        Seen::Well => (None, false),
        Seen::Failing(why) => (Some(why.clone()), false),
        Seen::Gone(why) => (Some(why.clone()), true),
    };
    let mut update = update.col_expr(Column::Problem, why.clone().into());
    update = match &why {
        None => update.col_expr(Column::FailingSince, None::<i64>.into()).col_expr(Column::LastSentAt, now.into()),
        Some(_) => update.col_expr(Column::FailingSince, Expr::col(Column::FailingSince).if_null(now)),
    };
    if is_gone && row.enabled {
        update = update.col_expr(Column::Enabled, false.into()).col_expr(Column::UpdatedAt, now.into());
        update = update.col_expr(Column::Revision, Expr::col(Column::Revision).add(1));
    }
    update.exec(edit.connection()).await?;
    let change = match (&row.problem, &why) {
        (_, Some(_)) if is_gone && row.enabled => Some(Change::Disabled),
        (None, Some(_)) => Some(Change::Failing),
        (Some(_), None) => Some(Change::Recovered),
        _ => None,
    };
    if let Some(change) = change {
        let kind = match change {
            Change::Failing => "channel.failing",
            Change::Recovered => "channel.recovered",
            Change::Disabled => "channel.disabled",
        };
        edit.tell(Event::new(kind, subject(&row), &json!({ "problem": why })).by("gateway"));
    }
    Ok(change)
}

fn subject(row: &Row) -> String {
    format!("channel:{}", row.name)
}

/// What the audit tells of changes of secrets: their names and nothing else.
fn secrets(old: Option<&Row>, new: &Row) -> Value {
    let fields = |row: &Row| [(Sealed::Url, row.url.clone()), (Sealed::Secret, row.secret.clone())];
    let before = old.map(fields);
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (at, (field, now)) in fields(new).into_iter().enumerate() {
        let was = before.as_ref().and_then(|before| before.get(at)?.1.clone());
        match (was, now) {
            (was, Some(now)) if was.as_ref() != Some(&now) => set.push(field.column()),
            (Some(_), None) => removed.push(field.column()),
            _ => {}
        }
    }
    json!({ "set": set, "removed": removed })
}

async fn find_locked(connection: &impl ConnectionTrait, name: &str) -> Result<Row, StoreError> {
    let named = Entity::find().filter(Column::Name.eq(name)).lock_exclusive();
    named.one(connection).await?.ok_or(StoreError::NotFound { what: WHAT })
}
