//! What the gateway holds for servers that want OAuth.
//!
//! Envelopes come in and go out as bytes; they are never opened here. A refresh token is good for one use, so it is
//! leased before it is used and what came of it is written by whoever holds the lease: by the revision that the lease
//! gave. All of it is committed like a person's edit, synced to disk.

use entity::credential::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, Iterable as _, QueryFilter,
    QuerySelect as _, SelectModel, Selector,
};

use serde_json::json;

use super::news::Topic;
use super::{Store, StoreError};
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::credential::Model;

/// A column that holds an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// the gateway's own secret at the authorization server
    ClientSecret,
    /// the access token
    Access,
    /// the refresh token
    Refresh,
}

impl Sealed {
    /// The table's name.
    pub const TABLE: &str = "credential";

    /// The column's name.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// What a refresh brought.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The new envelope.
    pub access: Vec<u8>,
    /// The envelope of the refresh token from now on: another one, or the old one.
    pub refresh: Option<Vec<u8>>,
    /// JSON.
    pub scopes: Option<String>,
    /// ms
    pub expires_at: Option<i64>,
}

/// Why a refresh brought nothing.
#[derive(Clone, Debug)]
pub struct Failure {
    /// One sentence.
    pub problem: String,
    /// A person has to log in anew, and nobody tries again.
    pub is_over: bool,
    /// The authorization server knows the client no more.
    pub is_client_unknown: bool,
}

/// What can be told of a login without opening anything.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Summary {
    /// The server it is for.
    pub server_id: String,
    /// Who gave the tokens out.
    pub issuer: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// `manual`, `metadata_document`, `dynamic`
    pub registration: String,
    /// JSON: the scopes that were given.
    pub scopes: Option<String>,
    /// ms; of the access token
    pub expires_at: Option<i64>,
    /// ms; since then a person has to log in anew
    pub ended_at: Option<i64>,
    /// Why the last refresh failed.
    pub problem: Option<String>,
    /// The operator who logged in.
    pub connected_by: String,
    /// ms
    pub connected_at: i64,
}

/// Returns what can be told of the logins that are held for these servers.
pub async fn summaries(store: &Store, server_ids: &[&str]) -> Result<Vec<Summary>, StoreError> {
    Ok(summaries_of(server_ids).all(store.reads()).await?)
}

pub(super) async fn summary_of(
    connection: &impl ConnectionTrait,
    server_id: &str,
) -> Result<Option<Summary>, StoreError> {
    Ok(summaries_of(&[server_id]).one(connection).await?)
}

fn summaries_of(server_ids: &[&str]) -> Selector<SelectModel<Summary>> {
    let columns = [
        Column::ServerId,
        Column::Issuer,
        Column::ClientId,
        Column::Registration,
        Column::Scopes,
        Column::ExpiresAt,
        Column::EndedAt,
        Column::Problem,
        Column::ConnectedBy,
        Column::ConnectedAt,
    ];
    let of_servers = Entity::find().filter(Column::ServerId.is_in(server_ids.iter().copied()));
    of_servers.select_only().columns(columns).into_model()
}

/// Returns what is held for a server.
pub async fn find(store: &Store, server_id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(server_id).one(store.reads()).await?)
}

/// Puts what a login brought in the place of what there was, whose leases and ends are over. The revision goes on from
/// what there was, so that who still refreshes the old one can't write over the new one.
///
/// `server_revision` is that of the server when the login began; `None`: it was edited since, and nothing is written. A
/// server that was not known to want OAuth is one that does from now on, which is an edit of it.
pub async fn put(store: &Store, row: Row, server_revision: i64) -> Result<Option<Row>, StoreError> {
    let mut edit = store.begin_edit().await?;
    if !super::server::note_login(&mut edit, &row, server_revision).await? {
        return Ok(None);
    }
    let before = Entity::find_by_id(row.server_id.as_str()).one(edit.connection()).await?;
    let revision = before.map_or(0, |before| before.revision) + 1;
    let fresh =
        Row { refreshing_until: None, leased_by: None, ended_at: None, is_client_unknown: false, problem: None, ..row };
    let row = Row { revision, ..fresh };
    let columns = Column::iter().filter(|column| !matches!(column, Column::ServerId));
    let replace = OnConflict::column(Column::ServerId).update_columns(columns).to_owned();
    let all = row.clone().into_active_model();
    Entity::insert(all).on_conflict(replace).exec_without_returning(edit.connection()).await?;
    let data = json!({
        "asked_scopes": row.asked_scopes,
        "client_id": row.client_id,
        "connected_by": row.connected_by,
        "expires_at": row.expires_at,
        "issuer": row.issuer,
        "resource": row.resource,
        "revision": row.revision,
        "scopes": row.scopes,
    });
    edit.edits(Topic::Servers);
    edit.edits(Topic::Credentials);
    edit.tell(told("put", &row.server_id, &data));
    edit.commit().await?;
    Ok(Some(row))
}

/// Leases the refresh token until then. Of all who try, in this process or another, one is given the row; `None`: it has
/// changed since that revision, is leased, has none, or a person has to log in anew.
pub async fn lease(
    store: &Store,
    server_id: &str,
    revision: i64,
    (now, until): (i64, i64),
) -> Result<Option<Row>, StoreError> {
    let edit = store.begin_edit().await?;
    let is_free = Condition::any().add(Column::RefreshingUntil.is_null()).add(Column::RefreshingUntil.lte(now));
    let usable = at(server_id, revision).add(is_free).add(Column::Refresh.is_not_null()).add(Column::EndedAt.is_null());
    let leased = Entity::update_many()
        .col_expr(Column::RefreshingUntil, until.into())
        .col_expr(Column::LeasedBy, store.seat().into())
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .filter(usable)
        .exec(edit.connection())
        .await?;
    let found = Entity::find_by_id(server_id).one(edit.connection()).await?;
    edit.commit().await?;
    Ok(found.filter(|_| leased.rows_affected == 1))
}

/// Ends every lease that whoever sat at this gateway's seat before left behind; returns how many there were.
///
/// For the start of the gateway. Whether the authorization server has used the refresh tokens up shows when they are tried.
pub async fn end_leases(store: &Store) -> Result<u64, StoreError> {
    let edit = store.begin_edit().await?;
    let ended = end_leases_of(edit.connection(), edit.turn.seat()).await?;
    edit.commit().await?;
    Ok(ended)
}

/// Ends the leases of a seat where nobody sits.
pub(super) async fn end_leases_of(connection: &impl ConnectionTrait, seat: i64) -> Result<u64, StoreError> {
    let ended = Entity::update_many()
        .col_expr(Column::RefreshingUntil, Expr::value(None::<i64>))
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .filter(Column::RefreshingUntil.is_not_null())
        .filter(Column::LeasedBy.eq(seat))
        .exec(connection)
        .await?;
    Ok(ended.rows_affected)
}

/// Writes what a refresh brought, and ends the lease. `false`: the row is another one by now, and this was not written.
pub async fn refreshed(
    store: &Store,
    server_id: &str,
    revision: i64,
    next: Refreshed,
    now: i64,
) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let data = json!({ "expires_at": next.expires_at, "scopes": next.scopes });
    let written = Entity::update_many()
        .col_expr(Column::Access, next.access.into())
        .col_expr(Column::Refresh, next.refresh.into())
        .col_expr(Column::Scopes, next.scopes.into())
        .col_expr(Column::ExpiresAt, next.expires_at.into())
        .col_expr(Column::RefreshingUntil, None::<i64>.into())
        .col_expr(Column::Problem, None::<String>.into())
        .col_expr(Column::UpdatedAt, now.into())
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .filter(at(server_id, revision))
        .exec(edit.connection())
        .await?;
    if written.rows_affected == 1 {
        edit.edits(Topic::Credentials);
        edit.tell(told("refreshed", server_id, &data));
    }
    edit.commit().await?;
    Ok(written.rows_affected == 1)
}

/// Says why a refresh failed, and ends the lease. The tokens stay, whatever it was, and so does the time when they were
/// given.
pub async fn failed(
    store: &Store,
    server_id: &str,
    revision: i64,
    failure: Failure,
    now: i64,
) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let data = json!({ "is_over": failure.is_over, "problem": failure.problem });
    let written = Entity::update_many()
        .col_expr(Column::RefreshingUntil, None::<i64>.into())
        .col_expr(Column::EndedAt, failure.is_over.then_some(now).into())
        .col_expr(Column::IsClientUnknown, failure.is_client_unknown.into())
        .col_expr(Column::Problem, failure.problem.into())
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .filter(at(server_id, revision))
        .exec(edit.connection())
        .await?;
    if written.rows_affected == 1 {
        edit.edits(Topic::Credentials);
        edit.tell(told("refresh_failed", server_id, &data));
    }
    edit.commit().await?;
    Ok(written.rows_affected == 1)
}

/// Forgets what is held for a server; says whether there was something.
pub async fn delete(store: &Store, server_id: &str) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    let is_deleted = delete_on(edit.connection(), server_id).await?;
    if is_deleted {
        edit.edits(Topic::Credentials);
        edit.tell(told("deleted", server_id, &json!({})));
    }
    edit.commit().await?;
    Ok(is_deleted)
}

pub(super) async fn delete_on(connection: &impl ConnectionTrait, server_id: &str) -> Result<bool, StoreError> {
    Ok(Entity::delete_by_id(server_id).exec(connection).await?.rows_affected == 1)
}

fn told(what: &str, server_id: &str, data: &serde_json::Value) -> Event {
    Event::new(format!("credential.{what}"), format!("server_id:{server_id}"), data)
}

fn at(server_id: &str, revision: i64) -> Condition {
    Condition::all().add(Column::ServerId.eq(server_id)).add(Column::Revision.eq(revision))
}
