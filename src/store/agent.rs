//! Agents: the callers that speak MCP to the gateway.
//!
//! Parsed definitions come in, rows go out. A key is only known by its digest; whether a caller is an agent is never
//! decided here.

use entity::agent::{Column, Entity};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait as _,
    QueryFilter, QueryOrder, QuerySelect,
};

use serde_json::json;

use super::news::Topic;
use super::{Listed, Page, Store, StoreError, agent_key};
use crate::clock;
use crate::trail::{Event, difference};

/// A row of the table.
pub type Row = entity::agent::Model;

const WHAT: &str = "agent";

/// An agent that is to be added.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// unique; what rules and the journal call it
    pub name: String,
    /// JSON array of globs: the servers it may reach
    pub servers: String,
    /// ms; after it every key of the agent is refused
    pub expires_at: Option<i64>,
}

/// Returns a page of agents, by name.
pub async fn list(store: &Store, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = Condition::all();
    if let Some(name) = page.after::<String>()? {
        wanted = wanted.add(Column::Name.gt(name));
    }
    let rows = Entity::find().filter(wanted).order_by_asc(Column::Name).limit(page.rows_to_read());
    Ok(Listed::cut(rows.all(store.reads()).await?, page, |row| row.name.clone()))
}

/// Returns all agents' names.
pub async fn list_names(store: &Store) -> Result<Vec<String>, StoreError> {
    let names = Entity::find().select_only().column(Column::Name).order_by_asc(Column::Name);
    Ok(names.into_tuple().all(store.reads()).await?)
}

/// Returns the agent of that name.
pub async fn find(store: &Store, name: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find().filter(Column::Name.eq(name)).one(store.reads()).await?)
}

/// Adds an agent with its first key. A name that is taken is a conflict.
pub async fn insert(store: &Store, new: NewAgent, key: agent_key::NewKey) -> Result<(Row, agent_key::Row), StoreError> {
    let now = clock::now_ms();
    let NewAgent { name, servers, expires_at } = new;
    let row = Row { id: super::new_id(), name, servers, expires_at, revision: 1, created_at: now, updated_at: now };
    let mut edit = store.begin_edit().await?;
    let inserted = Entity::insert(row.clone().into_active_model()).exec_without_returning(edit.connection()).await;
    inserted.map_err(|error| StoreError::from(error).or_taken(|| format!("an agent named {} exists", row.name)))?;
    let key = agent_key::insert_in(edit.connection(), &row.id, key, now).await?;
    let data = json!({ "agent": row, "key": key.id, "prefix": key.prefix });
    edit.edits(Topic::Agents);
    edit.tell(Event::new("agent.created", subject(&row), &data));
    edit.commit().await?;
    Ok((row, key))
}

/// Edits an agent: `change` is given the stored row and alters it.
///
/// The revision goes up by one; when `expected_revision` is given and is not the stored one the answer is
/// [`StoreError::Stale`]. The id, the name and the times are not for `change` to alter.
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
    row.revision = old.revision + 1;
    row.updated_at = clock::now_ms();
    (row.id, row.name, row.created_at) = (old.id.clone(), old.name.clone(), old.created_at);
    let all_columns = row.clone().into_active_model().reset_all();
    Entity::update(all_columns).exec(edit.connection()).await.map_err(StoreError::from)?;
    let data = json!({ "changed": difference(&old, &row), "revision": row.revision });
    edit.edits(Topic::Agents);
    edit.tell(Event::new("agent.updated", subject(&row), &data));
    edit.commit().await?;
    Ok(row)
}

/// Removes an agent and its keys, and returns the row that was removed.
pub async fn delete(store: &Store, name: &str) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = find_locked(edit.connection(), name).await?;
    row.clone().delete(edit.connection()).await?;
    edit.edits(Topic::Agents);
    edit.tell(Event::new("agent.deleted", subject(&row), &json!({ "agent": row })));
    edit.commit().await?;
    Ok(row)
}

fn subject(row: &Row) -> String {
    format!("agent:{}", row.name)
}

async fn find_locked(connection: &impl ConnectionTrait, name: &str) -> Result<Row, StoreError> {
    let named = Entity::find().filter(Column::Name.eq(name)).lock_exclusive();
    named.one(connection).await?.ok_or(StoreError::NotFound { what: WHAT })
}
