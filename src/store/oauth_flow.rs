//! Logins at authorization servers that were begun, by the digests of their states.
//!
//! Digests come in; the one who may go on with a login gets its row. A row stays after it was used, so that whoever began
//! it can ask what became of it.

use entity::oauth_flow::{Column, Entity};
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};

use serde_json::json;

use super::{Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::oauth_flow::Model;

/// A column that holds an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// the gateway's own secret at the authorization server
    ClientSecret,
    /// the verifier of PKCE
    Verifier,
}

impl Sealed {
    /// The table's name.
    pub const TABLE: &str = "oauth_flow";

    /// The column's name.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::Verifier => "verifier",
        }
    }
}

/// Adds one, before anybody is sent anywhere.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    let data =
        json!({ "issuer": row.issuer, "operator": row.operator, "scopes": row.scopes, "server_id": row.server_id });
    edit.tell(Event::new("oauth_flow.begun", subject(&row.id), &data));
    Entity::insert(row.into_active_model()).exec_without_returning(edit.connection()).await?;
    edit.commit().await
}

/// Takes one for its callback: of all who try one is given the row, only the login that began it, and only before it
/// expires. Whoever is refused does not use it up.
pub async fn consume(store: &Store, state_digest: &str, login: &str, now: i64) -> Result<Option<Row>, StoreError> {
    let mut edit = store.begin_edit().await?;
    let unused = Condition::all()
        .add(Column::StateDigest.eq(state_digest))
        .add(Column::Login.eq(login))
        .add(Column::UsedAt.is_null())
        .add(Column::ExpiresAt.gt(now));
    let consumed = Entity::update_many().col_expr(Column::UsedAt, now.into()).filter(unused);
    let is_ours = consumed.exec(edit.connection()).await?.rows_affected == 1;
    let found = Entity::find().filter(Column::StateDigest.eq(state_digest)).one(edit.connection()).await?;
    let found = found.filter(|_| is_ours);
    if let Some(row) = &found {
        let event = Event::new("oauth_flow.used", subject(&row.id), &json!({ "server_id": row.server_id }));
        edit.tell(event.by(format!("operator:{}", row.operator)));
    }
    edit.commit().await?;
    Ok(found)
}

/// Returns one by its state, whatever became of it: to say why a callback is refused.
pub async fn find_by_state(store: &Store, state_digest: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find().filter(Column::StateDigest.eq(state_digest)).one(store.reads()).await?)
}

/// Returns one by its id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Says what became of one; the first word stays.
pub async fn finish(store: &Store, id: &str, problem: Option<String>, now: i64) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let data = json!({ "problem": problem });
    let open = Condition::all().add(Column::Id.eq(id)).add(Column::FinishedAt.is_null());
    let finished = Entity::update_many()
        .col_expr(Column::FinishedAt, now.into())
        .col_expr(Column::Problem, problem.into())
        .filter(open)
        .exec(edit.connection())
        .await?;
    if finished.rows_affected == 1 {
        edit.tell(Event::new("oauth_flow.finished", subject(id), &data));
    }
    edit.commit().await?;
    Ok(finished.rows_affected == 1)
}

fn subject(id: &str) -> String {
    format!("oauth_flow:{id}")
}

/// Removes those that expired before `then`; returns how many.
pub async fn delete_expired(store: &Store, then: i64) -> Result<u64, StoreError> {
    let mut edit = store.begin_edit().await?;
    let expired = Entity::delete_many().filter(Column::ExpiresAt.lt(then));
    let deleted = expired.exec(edit.connection()).await?;
    if deleted.rows_affected > 0 {
        let data = json!({ "count": deleted.rows_affected, "expired_before": then });
        edit.tell(Event::new("oauth_flows.removed", "oauth_flows", &data));
    }
    edit.commit().await?;
    Ok(deleted.rows_affected)
}
