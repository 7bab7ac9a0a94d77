//! Questions to people about single calls.
//!
//! Answers come in, rows go out. An approval leaves `pending` once, by a compare-and-set: of all who answer, one wins.
//! A new approval is written by the journal, together with the call that waits for it.

use entity::approval::{Column, Entity};
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany};

use serde_json::json;

use super::{Edit, Listed, Page, Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::approval::Model;

/// The status of an approval that nobody has answered.
pub const PENDING: &str = "pending";

/// A person's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// the digest of what the person was shown
    pub digest: String,
    /// `approved` or `denied`
    pub status: String,
    /// the person's words
    pub reason: Option<String>,
    /// the operator
    pub by: String,
    /// ms
    pub now: i64,
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

/// Answers a pending approval, once.
///
/// Returns the row as it stands afterwards. A conflict says why not: it is already decided, it has expired, or what was
/// shown is not what would be approved.
pub async fn decide(store: &Store, id: &str, answer: Answer) -> Result<Row, StoreError> {
    let Answer { digest, status, reason, by, now } = answer;
    let wanted = still_open(id, now).add(Column::Digest.eq(&digest));
    let decided = Entity::update_many()
        .col_expr(Column::Status, status.into())
        .col_expr(Column::Reason, reason.into())
        .col_expr(Column::DecidedBy, by.into())
        .col_expr(Column::DecidedAt, now.into())
        .filter(wanted);
    set(store, id, decided, |row| explain(row, now, Some(&digest))).await
}

/// Moves a pending approval's end to `expires_at`. A conflict says that it is already decided, or has expired.
pub async fn extend(store: &Store, id: &str, expires_at: i64, now: i64) -> Result<Row, StoreError> {
    let extended = Entity::update_many().col_expr(Column::ExpiresAt, expires_at.into()).filter(still_open(id, now));
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

/// Cancels a pending approval because its call is gone. A conflict says that it is already decided.
pub async fn cancel(store: &Store, id: &str, now: i64) -> Result<Row, StoreError> {
    let pending = Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(PENDING));
    set(store, id, end("cancelled", now).filter(pending), |row| explain(row, now, None)).await
}

/// Cancels every pending approval, because no call of an earlier process waits any more.
pub(super) async fn cancel_all(edit: &mut Edit, now: i64) -> Result<u64, StoreError> {
    let open = Entity::find().filter(Column::Status.eq(PENDING)).all(edit.connection()).await?;
    let cancelled = end("cancelled", now).filter(Column::Status.eq(PENDING));
    let cancelled = cancelled.exec(edit.connection()).await?.rows_affected;
    for row in open {
        edit.tell(told(&Row { status: "cancelled".to_owned(), ..row }));
    }
    Ok(cancelled)
}

/// Removes the answered approvals that were asked for before `before`.
pub(super) async fn delete_answered(connection: &impl ConnectionTrait, before: i64) -> Result<(), StoreError> {
    let answered = Column::Status.ne(PENDING).and(Column::CreatedAt.lt(before));
    Entity::delete_many().filter(answered).exec(connection).await?;
    Ok(())
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
    let updated = update.exec(edit.connection()).await?;
    let row = Entity::find_by_id(id).one(edit.connection()).await?;
    let row = row.ok_or(StoreError::NotFound { what: "approval" })?;
    if updated.rows_affected == 0 {
        return Err(StoreError::conflict(explain(&row)));
    }
    edit.tell(told(&row));
    edit.commit().await?;
    Ok(row)
}

fn told(row: &Row) -> Event {
    let data = json!({
        "digest": row.digest,
        "expires_at": row.expires_at,
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
