//! The rules, in their order, and the default action.
//!
//! Parsed rules come in as rows, rows go out. Every edit gives the rule set its next revision in the same transaction,
//! so that a decision can name exactly what it was made from. Rules are never evaluated here.

use entity::rule::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    AccessMode, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    IsolationLevel, ModelTrait as _, QueryFilter, QueryOrder,
};

use super::{Edit, Store, StoreError, setting};
use crate::clock;

/// A row of the table.
pub type Row = entity::rule::Model;

const WHAT: &str = "rule";

/// A rule that is to be added.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// a disabled rule never matches
    pub enabled: bool,
    /// `allow`, `deny` or `ask`
    pub action: String,
    /// JSON array of globs
    pub agents: String,
    /// JSON array of globs
    pub servers: String,
    /// JSON array of globs
    pub tools: String,
    /// JSON array of globs
    pub methods: String,
    /// for the operator
    pub description: String,
    /// told to the model when denied
    pub guidance: String,
}

/// The rule set as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// counts the edits of the rule set and of its default
    pub revision: i64,
    /// what happens to a call that no rule matches
    pub default_action: String,
    /// the rules, by position
    pub rules: Vec<Row>,
}

/// Returns all rules, by position.
pub async fn list(store: &Store) -> Result<Vec<Row>, StoreError> {
    ordered(store.reads()).await
}

/// Returns the rule with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Returns revision, default action and rules as they were at one moment.
pub async fn load_rule_set(store: &Store) -> Result<Snapshot, StoreError> {
    todo!()
}

/// Adds a rule before the rule `before`, or at the end.
pub async fn insert(store: &Store, new: NewRule, before: Option<&str>) -> Result<Row, StoreError> {
    todo!()
}

/// Edits a rule: `change` is given the stored row and alters it.
///
/// The revision goes up by one; when `expected_revision` is given and is not the stored one the answer is
/// [`StoreError::Stale`]. The id, the position and the times are not for `change` to alter.
pub async fn update<E: From<StoreError>>(
    store: &Store,
    id: &str,
    expected_revision: Option<i64>,
    change: impl FnOnce(&mut Row) -> Result<(), E>,
) -> Result<Row, E> {
    todo!()
}

/// Removes a rule; the rules after it move up.
pub async fn delete(store: &Store, id: &str) -> Result<Row, StoreError> {
    todo!()
}

/// Puts the rules in the order of `ids`, which must be all of them, each once: anything else is a conflict.
pub async fn reorder(store: &Store, ids: &[String]) -> Result<Vec<Row>, StoreError> {
    todo!()
}

/// Returns what happens to a call that no rule matches.
pub async fn find_default_action(store: &Store) -> Result<String, StoreError> {
    todo!()
}

/// Sets what happens to a call that no rule matches.
pub async fn put_default_action(store: &Store, action: &str) -> Result<(), StoreError> {
    todo!()
}

async fn ordered(connection: &impl ConnectionTrait) -> Result<Vec<Row>, StoreError> {
    Ok(Entity::find()
        .order_by_asc(Column::Position)
        .all(connection)
        .await?)
}
