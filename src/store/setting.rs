//! Settings of the whole gateway.
//!
//! A key and a text come in or go out. What a value means is never known here.

use entity::setting::{ActiveModel, Column, Entity};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QuerySelect};

use serde_json::json;

use super::{Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::setting::Model;

/// The key of the rule set's revision; bumped by every edit of a rule.
pub const RULE_SET_REVISION: &str = "rule_set_revision";
/// The key of what happens to a call that no rule matches.
pub const DEFAULT_ACTION: &str = "default_action";
/// The key of what happens to calls of tools whose definition changed.
pub const DEFINITION_CHANGED: &str = "definition_changed";
/// The key of what happens to calls of tools that a known server added.
pub const DEFINITION_ADDED: &str = "definition_added";
/// The key of the vault's seed, sealed: whatever opens it is the master key of this database.
pub const VAULT_SEED: &str = "vault_seed";

/// Returns the value of a setting.
pub async fn find(store: &Store, key: &str) -> Result<Option<String>, StoreError> {
    find_in(store.reads(), key).await
}

/// Sets a setting, whether it was there or not.
pub async fn put(store: &Store, key: &str, value: &str) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    put_in(edit.connection(), key, value).await?;
    edit.tell(told(key));
    edit.commit().await
}

/// What it is set to may be a secret, sealed or not.
fn told(key: &str) -> Event {
    Event::new("setting.set", format!("setting:{key}"), &json!({}))
}

/// Sets a setting unless it is there, and returns the value that holds afterwards.
pub async fn put_if_absent(store: &Store, key: &str, value: &str) -> Result<String, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) };
    let keep = OnConflict::column(Column::Key).do_nothing().to_owned();
    let is_set = Entity::insert(row).on_conflict(keep).exec_without_returning(edit.connection()).await? == 1;
    if is_set {
        edit.tell(told(key));
    }
    let kept = find_in(edit.connection(), key).await?;
    edit.commit().await?;
    Ok(kept.unwrap_or_else(|| value.to_owned()))
}

pub(super) async fn find_in(connection: &impl ConnectionTrait, key: &str) -> Result<Option<String>, StoreError> {
    Ok(Entity::find_by_id(key).one(connection).await?.map(|row| row.value))
}

/// Reads a setting and keeps others from changing it until the transaction ends.
pub(super) async fn find_locked(connection: &impl ConnectionTrait, key: &str) -> Result<Option<String>, StoreError> {
    Ok(Entity::find_by_id(key).lock_exclusive().one(connection).await?.map(|row| row.value))
}

pub(super) async fn put_in(connection: &impl ConnectionTrait, key: &str, value: &str) -> Result<(), StoreError> {
    let row = ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) };
    let replace = OnConflict::column(Column::Key).update_column(Column::Value).to_owned();
    Entity::insert(row).on_conflict(replace).exec_without_returning(connection).await?;
    Ok(())
}
