//! Calls that wait for a person and whose agents were given a task meanwhile.
//!
//! Rows come in, rows go out. A row that is open is changed by whoever carries it, and leaves `working` once, by a
//! compare-and-set. What is decided about a call is not here: its approval and its invocation have rows of their own, and
//! the audit tells of those.

use entity::pledge::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, UpdateMany};

use super::{Store, StoreError};

/// A row of the table.
pub type Row = entity::pledge::Model;

/// The state of one whose call waits or runs.
pub const WORKING: &str = "working";
/// The state of one whose server asked something of the agent.
pub const INPUT_REQUIRED: &str = "input_required";

/// How one ends, or what it waits for.
#[derive(Clone, Debug)]
pub struct Settled {
    /// `input_required`, `completed`, `failed`, `cancelled`
    pub state: &'static str,
    /// the JSON text that belongs to that
    pub outcome: Option<String>,
    /// ms
    pub now: i64,
    /// ms; it is kept no shorter than until then
    pub kept_until: i64,
}

/// Who makes the call of one, from now on.
#[derive(Clone, Debug)]
pub struct Taken {
    /// the process
    pub carrier: String,
    /// the row of the call that it makes
    pub invocation_id: String,
    /// ms
    pub now: i64,
}

/// Adds one.
pub async fn insert(store: &Store, row: Row) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    Entity::insert(row.into_active_model()).exec_without_returning(edit.connection()).await?;
    edit.commit().await
}

/// Removes one that nobody was told of.
pub async fn delete(store: &Store, id: &str) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    Entity::delete_by_id(id).exec(edit.connection()).await?;
    edit.commit().await
}

/// Returns one by its id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Counts those of an agent that are not to be forgotten yet.
pub async fn count(store: &Store, agent_id: &str, now: i64) -> Result<u64, StoreError> {
    use sea_orm::PaginatorTrait as _;
    let kept = Entity::find().filter(Column::AgentId.eq(agent_id)).filter(Column::ExpiresAt.gt(now));
    Ok(kept.count(store.reads()).await?)
}

/// Notes the question that one waits for, and the call that asks it.
pub async fn waits_for(store: &Store, id: &str, approval_id: &str, kept_until: i64) -> Result<bool, StoreError> {
    let set = Entity::update_many().col_expr(Column::ApprovalId, approval_id.into());
    change(store, prolonged(set, kept_until), working(id)).await
}

/// Hands one from the process that carried it to another; of all who try, one gets it.
pub async fn take(store: &Store, row: &Row, to: &Taken) -> Result<bool, StoreError> {
    let as_seen = working(&row.id)
        .add(Column::Carrier.eq(&row.carrier))
        .add(Column::InvocationId.eq(&row.invocation_id))
        .add(Column::Round.eq(row.round));
    change(store, taken(to), as_seen).await
}

/// Goes on with one whose agent gave what its server asked: with other parameters, and so as another question.
pub async fn go_on(store: &Store, row: &Row, params: &str, to: &Taken) -> Result<bool, StoreError> {
    let as_seen = Condition::all()
        .add(Column::Id.eq(&row.id))
        .add(Column::State.eq(&row.state))
        .add(Column::InvocationId.eq(&row.invocation_id));
    let set = taken(to)
        .col_expr(Column::Params, params.into())
        .col_expr(Column::State, WORKING.into())
        .col_expr(Column::ApprovalId, None::<String>.into())
        .col_expr(Column::Outcome, None::<String>.into())
        .col_expr(Column::OutcomeBytes, 0_i64.into());
    change(store, set, as_seen).await
}

/// Notes that the call became a task of its server's own.
pub async fn is_behind(store: &Store, id: &str, behind: &str, kept_until: i64) -> Result<bool, StoreError> {
    let set = Entity::update_many().col_expr(Column::Behind, behind.into());
    change(store, prolonged(set, kept_until), working(id)).await
}

/// Says what came of one that is open; whether it still was.
pub async fn settle(store: &Store, id: &str, settled: Settled) -> Result<bool, StoreError> {
    let bytes = settled.outcome.as_ref().map_or(0, |outcome| i64::try_from(outcome.len()).unwrap_or(i64::MAX));
    let mut set = Entity::update_many()
        .col_expr(Column::State, settled.state.into())
        .col_expr(Column::Outcome, settled.outcome.into())
        .col_expr(Column::OutcomeBytes, bytes.into())
        .col_expr(Column::UpdatedAt, settled.now.into());
    if settled.state == INPUT_REQUIRED {
        set = set.col_expr(Column::Round, Expr::col(Column::Round).add(1));
    }
    let open = Condition::all().add(Column::Id.eq(id)).add(Column::State.is_in([WORKING, INPUT_REQUIRED]));
    change(store, prolonged(set, settled.kept_until), open).await
}

/// Lets go of an agent's oldest outcomes until at most `bytes_max` are kept. Whoever asks for one is told.
pub async fn make_way(store: &Store, agent_id: &str, bytes_max: i64, instead: &str) -> Result<(), StoreError> {
    let kept = Entity::find().select_only().columns([Column::Id, Column::OutcomeBytes]);
    let kept = kept.filter(Column::AgentId.eq(agent_id)).filter(Column::OutcomeBytes.gt(0));
    let newest_first = kept.order_by_desc(Column::UpdatedAt).order_by_desc(Column::Id).into_tuple();
    let newest_first: Vec<(String, i64)> = newest_first.all(store.reads()).await?;
    let mut bytes = 0_i64;
    let too_many = newest_first.into_iter().filter(|(_, own)| {
        bytes = bytes.saturating_add(*own);
        bytes > bytes_max
    });
    let too_many: Vec<_> = too_many.map(|(id, _)| id).collect();
    if too_many.is_empty() {
        return Ok(());
    }
    let gone = Entity::update_many()
        .col_expr(Column::State, "failed".into())
        .col_expr(Column::Outcome, instead.into())
        .col_expr(Column::OutcomeBytes, 0_i64.into());
    change(store, gone, Condition::all().add(Column::Id.is_in(too_many))).await.map(drop)
}

/// Removes those that may be forgotten: what is over, and after a day more what never ended. Returns how many.
pub async fn delete_over(store: &Store, now: i64, grace_ms: i64) -> Result<u64, StoreError> {
    let edit = store.begin_edit().await?;
    let is_over = Column::State.ne(WORKING).and(Column::ExpiresAt.lt(now));
    let is_lost = Column::ExpiresAt.lt(now.saturating_sub(grace_ms));
    let deleted = Entity::delete_many().filter(is_over.or(is_lost)).exec(edit.connection()).await?;
    edit.commit().await?;
    Ok(deleted.rows_affected)
}

fn working(id: &str) -> Condition {
    Condition::all().add(Column::Id.eq(id)).add(Column::State.eq(WORKING))
}

fn taken(to: &Taken) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::Carrier, to.carrier.as_str().into())
        .col_expr(Column::InvocationId, to.invocation_id.as_str().into())
        .col_expr(Column::UpdatedAt, to.now.into())
}

/// It is kept until then, if it was not to be kept longer.
fn prolonged(set: UpdateMany<Entity>, kept_until: i64) -> UpdateMany<Entity> {
    let later = Expr::case(Column::ExpiresAt.lt(kept_until), kept_until).finally(Expr::col(Column::ExpiresAt));
    set.col_expr(Column::ExpiresAt, later.into())
}

async fn change(store: &Store, set: UpdateMany<Entity>, wanted: Condition) -> Result<bool, StoreError> {
    let edit = store.begin_edit().await?;
    let changed = set.filter(wanted).exec(edit.connection()).await?;
    edit.commit().await?;
    Ok(changed.rows_affected > 0)
}
