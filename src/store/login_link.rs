//! One-time login links, by the digests of their codes.
//!
//! Digests come in; whether a link was consumed goes out.

use entity::login_link::{Column, Entity};
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};

use serde_json::json;

use super::{Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::login_link::Model;

/// Adds a link.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    edit.tell(Event::new("login_link.made", subject(&row.digest), &json!({ "expires_at": row.expires_at })));
    Entity::insert(row.into_active_model()).exec_without_returning(edit.connection()).await?;
    edit.commit().await
}

/// Consumes a link: of all who try, one is told true, and only before it expires.
pub async fn consume(store: &Store, digest: &str, now: i64) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let unused =
        Condition::all().add(Column::Digest.eq(digest)).add(Column::UsedAt.is_null()).add(Column::ExpiresAt.gt(now));
    let consumed = Entity::update_many().col_expr(Column::UsedAt, now.into()).filter(unused);
    let is_consumed = consumed.exec(edit.connection()).await?.rows_affected == 1;
    if is_consumed {
        edit.tell(Event::new("login_link.used", subject(digest), &json!({})));
    }
    edit.commit().await?;
    Ok(is_consumed)
}

fn subject(digest: &str) -> String {
    format!("login_link:{}", digest.get(..16).unwrap_or(digest))
}

/// Removes links that were used or have expired at `now`; returns how many.
pub async fn delete_spent(store: &Store, now: i64) -> Result<u64, StoreError> {
    let mut edit = store.begin_edit().await?;
    let spent = Column::UsedAt.is_not_null().or(Column::ExpiresAt.lte(now));
    let deleted = Entity::delete_many().filter(spent).exec(edit.connection()).await?;
    if deleted.rows_affected > 0 {
        let data = json!({ "count": deleted.rows_affected, "expired_before": now });
        edit.tell(Event::new("login_links.removed", "login_links", &data));
    }
    edit.commit().await?;
    Ok(deleted.rows_affected)
}
