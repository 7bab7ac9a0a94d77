//! The keys of agents, by their digests.
//!
//! Digests come in, rows go out; a key itself is never seen here.

use std::collections::{BTreeMap, HashMap};

use entity::agent_key::{Column, Entity};
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

use serde_json::json;

use super::news::Topic;
use super::{Store, StoreError, agent};
use crate::clock;
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::agent_key::Model;

const WHAT: &str = "key";

/// A key that is to be added.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// the first characters, to tell keys apart
    pub prefix: String,
    /// hex of the keyed hash over the whole key
    pub digest: String,
    /// ms
    pub expires_at: Option<i64>,
}

/// Returns the keys of an agent, oldest first, revoked ones too.
pub async fn list(store: &Store, agent_id: &str) -> Result<Vec<Row>, StoreError> {
    let of_agent = Entity::find().filter(Column::AgentId.eq(agent_id));
    Ok(of_agent.order_by_asc(Column::Id).all(store.reads()).await?)
}

/// Whether any agent has ever had a key.
pub async fn has_any(store: &Store) -> Result<bool, StoreError> {
    Ok(Entity::find().one(store.reads()).await?.is_some())
}

/// Adds a key to an agent.
pub async fn insert(store: &Store, agent_id: &str, new: NewKey) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = insert_in(edit.connection(), agent_id, new, clock::now_ms()).await?;
    edit.edits(Topic::Agents);
    edit.tell(told("agent_key.created", &row));
    edit.commit().await?;
    Ok(row)
}

/// Revokes a key of an agent. Revoking it again changes nothing and is not refused.
pub async fn revoke(store: &Store, agent_id: &str, id: &str, now: i64) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let of_agent = Condition::all().add(Column::Id.eq(id)).add(Column::AgentId.eq(agent_id));
    let revoked = Entity::update_many()
        .col_expr(Column::RevokedAt, now.into())
        .filter(of_agent.clone().add(Column::RevokedAt.is_null()));
    let is_revoked = revoked.exec(edit.connection()).await?.rows_affected > 0;
    let row = Entity::find().filter(of_agent).one(edit.connection()).await?;
    if let Some(row) = row.as_ref().filter(|_| is_revoked) {
        edit.edits(Topic::Agents);
        edit.tell(told("agent_key.revoked", row));
    }
    edit.commit().await?;
    row.ok_or(StoreError::NotFound { what: WHAT })
}

fn told(kind: &str, row: &Row) -> Event {
    let data = json!({ "agent_id": row.agent_id, "prefix": row.prefix, "expires_at": row.expires_at });
    Event::new(kind, format!("agent_key:{}", row.id), &data)
}

/// Returns every agent that has not expired at `now`, each with its keys that are neither expired nor revoked.
pub async fn load_keyring(store: &Store, now: i64) -> Result<Vec<(agent::Row, Vec<Row>)>, StoreError> {
    use entity::agent::{Column as Agent, Entity as Agents};
    let moment = store.begin_snapshot().await?;
    let live = Agent::ExpiresAt.is_null().or(Agent::ExpiresAt.gt(now));
    let agents = Agents::find().filter(live).order_by_asc(Agent::Name).all(&moment).await?;
    let live = Condition::all()
        .add(Column::RevokedAt.is_null())
        .add(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)));
    let keys = Entity::find().filter(live).order_by_asc(Column::Id).all(&moment).await?;
    moment.commit().await?;
    let mut by_agent: HashMap<String, Vec<Row>> = HashMap::new();
    for key in keys {
        by_agent.entry(key.agent_id.clone()).or_default().push(key);
    }
    let with_keys = |agent: agent::Row| {
        let keys = by_agent.remove(&agent.id).unwrap_or_default();
        (agent, keys)
    };
    Ok(agents.into_iter().map(with_keys).collect())
}

/// Notes when keys were last used: pairs of key id and time. An older time than the stored one changes nothing.
pub async fn touch_all(store: &Store, uses: &[(String, i64)]) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    // in one order, as other gateways note theirs at the same time
    let uses: BTreeMap<_, _> = uses.iter().map(|(id, at)| (id, at)).collect();
    for (id, at) in uses {
        let older = Column::LastUsedAt.is_null().or(Column::LastUsedAt.lt(*at));
        let touched = Entity::update_many()
            .col_expr(Column::LastUsedAt, (*at).into())
            .filter(Column::Id.eq(id.as_str()).and(older));
        touched.exec(edit.connection()).await?;
    }
    edit.commit().await
}

pub(super) async fn insert_in(
    connection: &impl ConnectionTrait,
    agent_id: &str,
    new: NewKey,
    now: i64,
) -> Result<Row, StoreError> {
    let NewKey { prefix, digest, expires_at } = new;
    let row = Row {
        id: super::new_id(),
        agent_id: agent_id.to_owned(),
        prefix,
        digest,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    Entity::insert(row.clone().into_active_model()).exec_without_returning(connection).await?;
    Ok(row)
}
