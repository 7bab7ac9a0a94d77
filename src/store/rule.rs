//! The rules, in their order, and the default action.
//!
//! Parsed rules come in as rows, rows go out. Every edit gives the rule set its next revision in the same transaction,
//! so that a decision can name exactly what it was made from. Rules are never evaluated here.

use std::collections::HashMap;

use entity::rule::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait as _, QueryFilter,
    QueryOrder, QuerySelect as _,
};

use serde_json::json;

use super::news::Topic;
use super::{Edit, Listed, Page, Store, StoreError, setting};
use crate::clock;
use crate::trail::{Event, difference};

/// A row of the table.
pub type Row = entity::rule::Model;

const WHAT: &str = "rule";

/// A rule that is to be added.
#[derive(Clone, Debug, Default)]
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
    /// CEL over the call; none: always
    pub condition: Option<String>,
    /// evaluated and recorded, not enforced
    pub shadow: bool,
    /// ms; matches nothing from then on
    pub expires_at: Option<i64>,
}

impl NewRule {
    /// The row of this rule when it stands at `position`.
    #[must_use]
    pub fn into_row(self, id: String, position: i32, now: i64) -> Row {
        Row {
            id,
            position,
            enabled: self.enabled,
            action: self.action,
            agents: self.agents,
            servers: self.servers,
            tools: self.tools,
            methods: self.methods,
            condition: self.condition,
            description: self.description,
            guidance: self.guidance,
            shadow: self.shadow,
            expires_at: self.expires_at,
            hits: 0,
            last_hit_at: None,
            revision: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

/// How often a rule decided since that was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// which rule
    pub id: String,
    /// how many calls
    pub count: i64,
    /// ms; the last of them
    pub last_at: i64,
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

/// Returns a page of the rules, by position.
pub async fn list_page(store: &Store, page: &Page) -> Result<Listed<Row>, StoreError> {
    let after: i32 = page.after()?.unwrap_or_default();
    let rows = Entity::find().filter(Column::Position.gt(after)).order_by_asc(Column::Position);
    let rows = rows.limit(page.rows_to_read()).all(store.reads()).await?;
    Ok(Listed::cut(rows, page, |row| row.position))
}

/// Returns the rule with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Returns revision, default action and rules as they were at one moment.
pub async fn load_rule_set(store: &Store) -> Result<Snapshot, StoreError> {
    let moment = store.begin_snapshot().await?;
    let revision = parse_revision(setting::find_in(&moment, setting::RULE_SET_REVISION).await?.as_deref())?;
    let default_action = demand_default(setting::find_in(&moment, setting::DEFAULT_ACTION).await?)?;
    let rules = ordered(&moment).await?;
    moment.commit().await?;
    Ok(Snapshot { revision, default_action, rules })
}

/// Adds a rule before the rule `before`, or at the end.
pub async fn insert(store: &Store, new: NewRule, before: Option<&str>) -> Result<Row, StoreError> {
    let mut edit = begin(store).await?;
    let row = insert_in(&mut edit, new, before).await?;
    edit.commit().await?;
    Ok(row)
}

/// Adds a rule as a part of an edit, which [`begin`] began.
pub(super) async fn insert_in(edit: &mut Edit, new: NewRule, before: Option<&str>) -> Result<Row, StoreError> {
    let rules = ordered(edit.connection()).await?;
    let position = match before {
        Some(before) => {
            rules.iter().find(|rule| rule.id == before).ok_or(StoreError::NotFound { what: WHAT })?.position
        }
        None => rules.last().map_or(1, |last| last.position + 1),
    };
    move_from(edit.connection(), position, 1).await?;
    let row = new.into_row(super::new_id(), position, clock::now_ms());
    Entity::insert(row.clone().into_active_model()).exec_without_returning(edit.connection()).await?;
    edit.tell(Event::new("rule.created", subject(&row.id), &json!({ "rule": row })));
    Ok(row)
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
    let mut edit = begin(store).await?;
    let old = find_in(edit.connection(), id).await?;
    super::demand_revision(expected_revision, old.revision)?;
    let mut row = old.clone();
    change(&mut row)?;
    row.revision = old.revision + 1;
    row.updated_at = clock::now_ms();
    (row.id, row.position, row.created_at) = (old.id.clone(), old.position, old.created_at);
    (row.hits, row.last_hit_at) = (old.hits, old.last_hit_at);
    let all_columns = row.clone().into_active_model().reset_all();
    Entity::update(all_columns).exec(edit.connection()).await.map_err(StoreError::from)?;
    let data = json!({ "changed": difference(&old, &row), "revision": row.revision });
    edit.tell(Event::new("rule.updated", subject(&row.id), &data));
    edit.commit().await?;
    Ok(row)
}

/// Removes a rule, and returns the row that was removed; the rules after it move up.
pub async fn delete(store: &Store, id: &str) -> Result<Row, StoreError> {
    let mut edit = begin(store).await?;
    let row = find_in(edit.connection(), id).await?;
    row.clone().delete(edit.connection()).await?;
    move_from(edit.connection(), row.position, -1).await?;
    edit.tell(Event::new("rule.deleted", subject(&row.id), &json!({ "rule": row })));
    edit.commit().await?;
    Ok(row)
}

/// Puts the rules in the order of `ids`, which must be all of them, each once: anything else is a conflict.
pub async fn reorder(store: &Store, ids: &[String]) -> Result<Vec<Row>, StoreError> {
    let mut edit = begin(store).await?;
    let mut rules: HashMap<String, Row> =
        ordered(edit.connection()).await?.into_iter().map(|rule| (rule.id.clone(), rule)).collect();
    let mut in_order = Vec::with_capacity(ids.len());
    for (position, id) in (1..).zip(ids) {
        let what = || StoreError::conflict(format!("{id} is named twice, or is not the id of a rule"));
        let mut rule = rules.remove(id).ok_or_else(what)?;
        if rule.position != position {
            rule.position = position;
            put_position(edit.connection(), id, position).await?;
        }
        in_order.push(rule);
    }
    if let Some(missing) = rules.keys().min() {
        return Err(StoreError::conflict(format!("the order leaves out the rule {missing}")));
    }
    edit.tell(Event::new("rule_set.reordered", "rule_set", &json!({ "order": ids })));
    edit.commit().await?;
    Ok(in_order)
}

/// Adds to the rules' counts. No edit: neither the set's revision nor a rule's goes up.
pub async fn add_hits(store: &Store, hits: &[Hits]) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    // in turn with the edits of other gateways, which touch the same rows in another order
    setting::find_locked(edit.connection(), setting::RULE_SET_REVISION).await?;
    for Hits { id, count, last_at } in hits {
        let last = Expr::case(Expr::col(Column::LastHitAt).gt(*last_at), Expr::col(Column::LastHitAt));
        let counted = Entity::update_many()
            .col_expr(Column::Hits, Expr::col(Column::Hits).add(*count))
            .col_expr(Column::LastHitAt, last.finally(*last_at).into())
            .filter(Column::Id.eq(id.as_str()));
        counted.exec(edit.connection()).await?;
    }
    edit.commit().await
}

/// Returns what happens to a call that no rule matches.
pub async fn find_default_action(store: &Store) -> Result<String, StoreError> {
    demand_default(setting::find(store, setting::DEFAULT_ACTION).await?)
}

/// Sets what happens to a call that no rule matches; an edit of the rule set like any other.
pub async fn put_default_action(store: &Store, action: &str) -> Result<(), StoreError> {
    let mut edit = begin(store).await?;
    let old = setting::find_in(edit.connection(), setting::DEFAULT_ACTION).await?;
    setting::put_in(edit.connection(), setting::DEFAULT_ACTION, action).await?;
    let data = json!({ "from": old, "to": action });
    edit.tell(Event::new("rule_set.default_changed", "rule_set", &data));
    edit.commit().await
}

/// Turns off the rules that allow calls of no other server than `server`, as a part of an edit that removes it. Those that
/// deny or ask stay: without them, later rules could let through what they stop.
pub(super) async fn disable_allowing(edit: &mut Edit, server: &str) -> Result<(), StoreError> {
    let is_of_it = |row: &Row| {
        let servers: Vec<String> = serde_json::from_str(&row.servers).unwrap_or_default();
        !servers.is_empty() && servers.iter().all(|name| name == server)
    };
    let allowing = Entity::find().filter(Column::Action.eq("allow")).filter(Column::Enabled.eq(true));
    if !allowing.clone().all(edit.connection()).await?.iter().any(is_of_it) {
        return Ok(());
    }
    next_revision(edit).await?;
    for old in allowing.all(edit.connection()).await?.into_iter().filter(is_of_it) {
        let row = Row { enabled: false, revision: old.revision + 1, updated_at: clock::now_ms(), ..old.clone() };
        Entity::update(row.clone().into_active_model().reset_all()).exec(edit.connection()).await?;
        let data = json!({ "changed": difference(&old, &row), "deleted_server": server, "revision": row.revision });
        edit.tell(Event::new("rule.updated", subject(&row.id), &data));
    }
    Ok(())
}

/// Begins an edit of the rule set and gives the set its next revision, which also makes other edits of it wait.
pub(super) async fn begin(store: &Store) -> Result<Edit, StoreError> {
    let mut edit = store.begin_edit().await?;
    next_revision(&mut edit).await?;
    Ok(edit)
}

async fn next_revision(edit: &mut Edit) -> Result<(), StoreError> {
    edit.edits(Topic::Rules);
    let revision =
        parse_revision(setting::find_locked(edit.connection(), setting::RULE_SET_REVISION).await?.as_deref())?;
    setting::put_in(edit.connection(), setting::RULE_SET_REVISION, &(revision + 1).to_string()).await
}

fn subject(id: &str) -> String {
    format!("rule:{id}")
}

async fn ordered(connection: &impl ConnectionTrait) -> Result<Vec<Row>, StoreError> {
    Ok(Entity::find().order_by_asc(Column::Position).all(connection).await?)
}

async fn find_in(connection: &impl ConnectionTrait, id: &str) -> Result<Row, StoreError> {
    Entity::find_by_id(id).one(connection).await?.ok_or(StoreError::NotFound { what: WHAT })
}

/// Moves the rule at `position` and all after it by `step`.
async fn move_from(connection: &impl ConnectionTrait, position: i32, step: i32) -> Result<(), StoreError> {
    let moved = Entity::update_many()
        .col_expr(Column::Position, Expr::col(Column::Position).add(step))
        .filter(Column::Position.gte(position));
    moved.exec(connection).await?;
    Ok(())
}

async fn put_position(connection: &impl ConnectionTrait, id: &str, position: i32) -> Result<(), StoreError> {
    let placed = Entity::update_many().col_expr(Column::Position, position.into()).filter(Column::Id.eq(id));
    placed.exec(connection).await?;
    Ok(())
}

fn parse_revision(value: Option<&str>) -> Result<i64, StoreError> {
    let revision = value.and_then(|value| value.parse().ok());
    revision.ok_or_else(|| StoreError::Corrupt { detail: "the setting rule_set_revision is not a number".to_owned() })
}

/// A missing default must not turn into one that allows.
fn demand_default(value: Option<String>) -> Result<String, StoreError> {
    value.ok_or_else(|| StoreError::Corrupt { detail: "the setting default_action is missing".to_owned() })
}
