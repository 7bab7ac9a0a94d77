//! Questions to people about what agents want to do.
//!
//! Answers come in, rows go out. An approval leaves `pending` once, by a compare-and-set: of all who answer, one wins.
//! There is one pending approval for each digest. A new one is written by the journal, together with the first call that
//! waits for it; a yes is spent by the journal, too, together with the move of the call that it lets go.

use entity::approval::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait as _, QueryFilter,
    QueryOrder, QuerySelect, UpdateMany,
};

use serde_json::json;

use super::{Edit, Listed, Page, Store, StoreError, invocation, rule};
use crate::trail::{Event, digest};

/// A row of the table.
pub type Row = entity::approval::Model;

/// The status of an approval that nobody has answered.
pub const PENDING: &str = "pending";
/// The status of one that a person said yes to.
pub const APPROVED: &str = "approved";
/// The status of one that a person said no to.
pub const DENIED: &str = "denied";

/// How many are asked after in one statement.
const IDS_MAX: usize = 500;

/// A person's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// the digest of what the person was shown
    pub digest: String,
    /// `approved` or `denied`
    pub status: String,
    /// the person's words
    pub reason: Option<String>,
    /// the JSON text that is to go out in place of the agent's arguments
    pub edited_arguments: Option<String>,
    /// the operator
    pub by: String,
    /// ms
    pub now: i64,
    /// ms; until when the answer is good for the same call
    pub holds_until: i64,
}

/// Returns a page of approvals, newest first; only those of one status when it is given.
pub async fn list(store: &Store, status: Option<&str>, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = Condition::all();
    if let Some(status) = status {
        wanted = wanted.add(Column::Status.eq(status));
    }
    if let Some(id) = page.after::<String>()? {
        wanted = wanted.add(Column::Id.lt(id));
    }
    let rows = Entity::find().filter(wanted).order_by_desc(Column::Id).limit(page.rows_to_read());
    Ok(Listed::cut(rows.all(store.reads()).await?, page, |row| row.id.clone()))
}

/// Returns the approval with that id.
pub async fn find(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Returns what was last asked about exactly that.
pub async fn find_newest(store: &Store, digest: &str) -> Result<Option<Row>, StoreError> {
    let newest = Entity::find().filter(Column::Digest.eq(digest)).order_by_desc(Column::Id).limit(1);
    Ok(newest.one(store.reads()).await?)
}

/// Whether a call that asks the same has its question, or its answer, in this row: it waits, it was denied a moment ago, or
/// it was approved and nothing has used it.
#[must_use]
pub fn is_live(row: &Row, now: i64) -> bool {
    let holds = row.holds_until.is_some_and(|until| until > now);
    match row.status.as_str() {
        PENDING => row.expires_at > now,
        APPROVED => holds && row.used_at.is_none(),
        DENIED => holds,
        _ => false,
    }
}

/// Counts the open approvals of one agent, or of all.
pub async fn count_pending(store: &Store, agent_id: Option<&str>, now: i64) -> Result<u64, StoreError> {
    let mut open = Condition::all().add(Column::Status.eq(PENDING)).add(Column::ExpiresAt.gt(now));
    open = open.add_option(agent_id.map(|agent_id| Column::AgentId.eq(agent_id)));
    Ok(Entity::find().filter(open).count(store.reads()).await?)
}

/// Counts the open approvals, and tells when the oldest of them was asked for (ms).
pub async fn open_since(store: &Store, now: i64) -> Result<(u64, Option<i64>), StoreError> {
    let open = Entity::find().filter(Column::Status.eq(PENDING)).filter(Column::ExpiresAt.gt(now)).select_only();
    let open = open.column_as(Column::Id.count(), "count").column_as(Column::CreatedAt.min(), "oldest");
    let found: Option<(i64, Option<i64>)> = open.into_tuple().one(store.reads()).await?;
    let (count, oldest) = found.unwrap_or_default();
    Ok((u64::try_from(count).unwrap_or(0), oldest))
}

/// Answers a pending approval, once.
///
/// Returns the row as it stands afterwards. A conflict says why not: it is already decided, it has expired, or what was
/// shown is not what would be approved.
pub async fn decide(store: &Store, id: &str, answer: Answer) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = decide_in(&mut edit, id, answer).await?;
    edit.commit().await?;
    Ok(row)
}

/// Answers a pending approval, once, and adds the rule that remembers the answer before the rule `before`: both, or
/// neither. Refused as [`decide`] is, and when the rule `before` is gone.
pub async fn decide_and_remember(
    store: &Store,
    id: &str,
    answer: Answer,
    (new, before): (rule::NewRule, Option<&str>),
) -> Result<(Row, rule::Row), StoreError> {
    let mut edit = rule::begin(store).await?;
    let row = decide_in(&mut edit, id, answer).await?;
    let remembered = rule::insert_in(&mut edit, new, before).await?;
    edit.commit().await?;
    Ok((row, remembered))
}

async fn decide_in(edit: &mut Edit, id: &str, answer: Answer) -> Result<Row, StoreError> {
    let Answer { digest, status, reason, edited_arguments, by, now, holds_until } = answer;
    let wanted = still_open(id, now).add(Column::Digest.eq(&digest));
    let decided = Entity::update_many()
        .col_expr(Column::Status, status.into())
        .col_expr(Column::Reason, reason.into())
        .col_expr(Column::EditedArguments, edited_arguments.into())
        .col_expr(Column::DecidedBy, by.into())
        .col_expr(Column::DecidedAt, now.into())
        .col_expr(Column::HoldsUntil, holds_until.into())
        .filter(wanted);
    set_in(edit, id, decided, |row| explain(row, now, Some(&digest))).await
}

/// Gives a pending approval `more_ms`, but not so that it ends after `latest`; what ends later already, and what somebody
/// else gives at the same moment, is never cut. A conflict says that it is already decided, or has expired.
pub async fn extend(store: &Store, id: &str, more_ms: i64, latest: i64, now: i64) -> Result<Row, StoreError> {
    let end = || Expr::col(Column::ExpiresAt);
    let later =
        Expr::case(end().gte(latest), end()).case(end().add(more_ms).gte(latest), latest).finally(end().add(more_ms));
    let extended = Entity::update_many().col_expr(Column::ExpiresAt, later.into()).filter(still_open(id, now));
    set(store, id, extended, |row| explain(row, now, None)).await
}

/// Lets a pending approval expire. A conflict says that it is already decided, or that its end was moved past `now`.
pub async fn expire(store: &Store, id: &str, now: i64) -> Result<Row, StoreError> {
    let due = Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(PENDING)).add(Column::ExpiresAt.lte(now));
    let expired = end("expired", now).filter(due);
    let not_due = |row: &Row| match row.status.as_str() {
        PENDING => "the approval has not expired yet".to_owned(),
        _ => explain(row, now, None),
    };
    set(store, id, expired, not_due).await
}

/// Returns the ids of the pending approvals whose time is over, at most `rows_max`.
pub async fn due(store: &Store, now: i64, rows_max: u64) -> Result<Vec<String>, StoreError> {
    let due = Condition::all().add(Column::Status.eq(PENDING)).add(Column::ExpiresAt.lte(now));
    let ids = Entity::find().select_only().column(Column::Id).filter(due).limit(rows_max);
    Ok(ids.into_tuple().all(store.reads()).await?)
}

/// Which of these approvals are no longer pending, and whether each is a yes.
pub async fn list_settled(store: &Store, ids: &[String]) -> Result<Vec<(String, bool)>, StoreError> {
    let mut settled = Vec::new();
    for ids in ids.chunks(IDS_MAX) {
        let found = Entity::find().select_only().columns([Column::Id, Column::Status]);
        let found = found.filter(Column::Id.is_in(ids)).filter(Column::Status.ne(PENDING));
        let found: Vec<(String, String)> = found.into_tuple().all(store.reads()).await?;
        settled.extend(found.into_iter().map(|(id, status)| (id, status == APPROVED)));
    }
    Ok(settled)
}

/// What has to be known of an open approval to find out whom to tell of it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Open {
    /// its id
    pub id: String,
    /// who asks
    pub agent: String,
    /// the server's name
    pub server: String,
    /// ms
    pub created_at: i64,
}

/// Returns open approvals, oldest first, after the one of that id; at most `rows_max`.
pub async fn list_open(store: &Store, after: Option<&str>, now: i64, rows_max: u64) -> Result<Vec<Open>, StoreError> {
    let mut open = Condition::all().add(Column::Status.eq(PENDING)).add(Column::ExpiresAt.gt(now));
    open = open.add_option(after.map(|id| Column::Id.gt(id)));
    let columns = [Column::Id, Column::Agent, Column::Server, Column::CreatedAt];
    let rows = Entity::find().select_only().columns(columns).filter(open).order_by_asc(Column::Id).limit(rows_max);
    Ok(rows.into_model().all(store.reads()).await?)
}

/// Cancels a pending approval. A conflict says that it is already decided.
pub async fn cancel(store: &Store, id: &str, now: i64) -> Result<Row, StoreError> {
    let pending = Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(PENDING));
    set(store, id, end("cancelled", now).filter(pending), |row| explain(row, now, None)).await
}

/// Notes since when no call waits for a pending approval's answer; `None` when one does again. While one waits, at
/// whatever gateway, it is not noted that none does.
pub async fn note_left(store: &Store, id: &str, left_at: Option<i64>) -> Result<(), StoreError> {
    let edit = store.begin_edit().await?;
    let mut pending = Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(PENDING));
    if left_at.is_some() {
        pending = pending.add(nobody_waits());
    }
    let noted = Entity::update_many().col_expr(Column::LeftAt, left_at.into()).filter(pending);
    noted.exec(edit.connection()).await?;
    edit.commit().await
}

/// Notes that no call waits, where calls that did were ended with their gateway; returns for how many approvals.
pub(super) async fn note_all_left(connection: &impl ConnectionTrait, now: i64) -> Result<u64, StoreError> {
    let pending = Entity::update_many()
        .col_expr(Column::LeftAt, Expr::col(Column::LeftAt).if_null(now))
        .filter(Column::Status.eq(PENDING))
        .filter(nobody_waits());
    Ok(pending.exec(connection).await?.rows_affected)
}

fn nobody_waits() -> Expr {
    use entity::invocation::{Column as Call, Entity as Calls};
    let waiting = Query::select()
        .expr(Expr::val(1))
        .from(Calls)
        .and_where(Call::State.eq(PENDING))
        .and_where(invocation::is_not_completed())
        .and_where(Expr::col((Calls, Call::ApprovalId)).eq(Expr::col((Entity, Column::Id))))
        .take();
    Expr::exists(waiting).not()
}

/// Removes the answered approvals that were asked for before `before`; returns how many.
pub(super) async fn delete_answered(connection: &impl ConnectionTrait, before: i64) -> Result<u64, StoreError> {
    let answered = Column::Status.ne(PENDING).and(Column::CreatedAt.lt(before));
    Ok(Entity::delete_many().filter(answered).exec(connection).await?.rows_affected)
}

fn still_open(id: &str, now: i64) -> Condition {
    Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(PENDING)).add(Column::ExpiresAt.gt(now))
}

fn end(status: &'static str, now: i64) -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::Status, status.into()).col_expr(Column::DecidedAt, now.into())
}

/// Runs a compare-and-set and returns the row as it stands afterwards, or a conflict with what `explain` says.
async fn set(
    store: &Store,
    id: &str,
    update: UpdateMany<Entity>,
    explain: impl FnOnce(&Row) -> String,
) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = set_in(&mut edit, id, update, explain).await?;
    edit.commit().await?;
    Ok(row)
}

/// The same, as a part of an edit.
async fn set_in(
    edit: &mut Edit,
    id: &str,
    update: UpdateMany<Entity>,
    explain: impl FnOnce(&Row) -> String,
) -> Result<Row, StoreError> {
    let updated = update.exec(edit.connection()).await?;
    let row = Entity::find_by_id(id).one(edit.connection()).await?;
    let row = row.ok_or(StoreError::NotFound { what: "approval" })?;
    if updated.rows_affected == 0 {
        return Err(StoreError::conflict(explain(&row)));
    }
    if row.status != PENDING {
        edit.settles(id);
    }
    edit.tell(told(&row));
    Ok(row)
}

fn told(row: &Row) -> Event {
    let data = json!({
        "digest": row.digest,
        "edited_arguments_digest": row.edited_arguments.as_deref().map(digest),
        "expires_at": row.expires_at,
        "holds_until": row.holds_until,
        "invocation_id": row.invocation_id,
        "reason": row.reason,
    });
    let kind = if row.status == PENDING { "extended" } else { row.status.as_str() };
    let event = Event::new(format!("approval.{kind}"), format!("approval:{}", row.id), &data);
    match &row.decided_by {
        Some(by) => event.by(format!("operator:{by}")),
        None => event,
    }
}

fn explain(row: &Row, now: i64, digest: Option<&str>) -> String {
    if row.status != PENDING {
        format!("the approval is already {}", row.status)
    } else if row.expires_at <= now {
        "the approval has expired".to_owned()
    } else if digest.is_some_and(|digest| digest != row.digest) {
        "what was shown is not what would be approved: the digest differs".to_owned()
    } else {
        "the approval was changed in the meantime".to_owned()
    }
}
