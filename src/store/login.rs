//! Logins of operators, by the digests of their tokens.
//!
//! Digests come in, rows go out. Whether a login still holds is never decided here.

use entity::login::{Column, Entity};
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use serde_json::json;

use super::{Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::login::Model;

/// Adds a login.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    let data = json!({ "expires_at": row.expires_at });
    edit.tell(Event::new("login.began", subject(&row.digest), &data).by(format!("operator:{}", row.operator)));
    Entity::insert(row.into_active_model()).exec_without_returning(edit.connection()).await?;
    edit.commit().await
}

/// Returns the login whose token has that digest, expired or not.
pub async fn find(store: &Store, digest: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(digest).one(store.reads()).await?)
}

/// Notes that a login was used. An older time than the stored one changes nothing.
pub async fn touch(store: &Store, digest: &str, now: i64) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    let touched = Entity::update_many()
        .col_expr(Column::LastUsedAt, now.into())
        .filter(Column::Digest.eq(digest).and(Column::LastUsedAt.lt(now)));
    touched.exec(edit.connection()).await?;
    edit.commit().await
}

/// Ends a login; returns whether there was one.
pub async fn delete(store: &Store, digest: &str) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let deleted = Entity::delete_by_id(digest).exec(edit.connection()).await?;
    if deleted.rows_affected > 0 {
        edit.tell(Event::new("login.ended", subject(digest), &json!({})));
    }
    edit.commit().await?;
    Ok(deleted.rows_affected > 0)
}

/// A part of the digest tells logins apart, and is of no use to anybody.
fn subject(digest: &str) -> String {
    format!("login:{}", digest.get(..16).unwrap_or(digest))
}

/// Removes logins that have expired at `now`, or were last used before `idle_since`; returns how many.
pub async fn delete_expired(store: &Store, now: i64, idle_since: i64) -> Result<u64, StoreError> {
    let mut edit = store.begin_edit().await?;
    let over = Column::ExpiresAt.lte(now).or(Column::LastUsedAt.lt(idle_since));
    let deleted = Entity::delete_many().filter(over).exec(edit.connection()).await?;
    if deleted.rows_affected > 0 {
        let data = json!({ "count": deleted.rows_affected, "expired_before": now, "idle_since": idle_since });
        edit.tell(Event::new("logins.removed", "logins", &data));
    }
    edit.commit().await?;
    Ok(deleted.rows_affected)
}
