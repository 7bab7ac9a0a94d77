//! Registered servers: the intended state of each upstream.
//!
//! Parsed definitions come in as rows, rows go out. A server and its secrets change together, in one transaction.
//! Whether a definition makes sense is never judged here.

use entity::server::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait as _,
    QueryFilter, QueryOrder, QuerySelect,
};

use serde_json::json;

use super::news::Topic;
use super::{Listed, Page, Store, StoreError, credential, rule, secret};
use crate::clock;
use crate::trail::{Event, difference};

/// A row of the table.
pub type Row = entity::server::Model;

/// What a server is called in a refusal.
const WHAT: &str = "server";

/// Which servers a list holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// only those that are enabled, or only those that are not
    pub enabled: Option<bool>,
    /// a part of the name, in any case
    pub q: Option<String>,
}

/// Returns all servers' names, and whether each is enabled.
pub async fn list_names(store: &Store) -> Result<Vec<(String, bool)>, StoreError> {
    let names = Entity::find().select_only().columns([Column::Name, Column::Enabled]).order_by_asc(Column::Name);
    Ok(names.into_tuple().all(store.reads()).await?)
}

/// A server that is to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewServer {
    /// from [`super::new_id`]: known beforehand because secrets are sealed to it
    pub id: String,
    /// the segment in `/mcp/{name}`
    pub name: String,
    /// `stdio` or `http`
    pub mode: String,
    /// whether agents may reach it
    pub enabled: bool,
    /// stdio: the executable
    pub command: Option<String>,
    /// stdio: JSON array of strings
    pub args: String,
    /// stdio: working directory
    pub cwd: Option<String>,
    /// stdio: one process for all agents
    pub shared: bool,
    /// http: the address, as it was typed
    pub base_url: Option<String>,
    /// http: how long an answer, or a sign of progress, is waited for
    pub timeout_seconds: Option<i64>,
    /// http: `none`, `bearer`, `headers` or `oauth`
    pub auth_type: Option<String>,
    /// http: the origin that the credential was given for
    pub credential_origin: Option<String>,
    /// http: JSON, what was typed for a login by OAuth
    pub oauth: Option<String>,
}

/// What is kept beside a server, as far as an edit has to know it.
#[derive(Debug)]
pub struct Kept {
    /// the slots of its secrets that are filled
    pub fields: Vec<String>,
    /// the login by OAuth that is held for it
    pub login: Option<credential::Summary>,
}

/// What an edit makes of what is kept beside a server.
#[derive(Debug, Default)]
pub struct Changes {
    /// of its secrets
    pub secrets: Vec<secret::Change>,
    /// whether the login that is held for it goes
    pub forgets_login: bool,
}

/// Returns a page of servers, by name.
pub async fn list(store: &Store, filter: &Filter, page: &Page) -> Result<Listed<Row>, StoreError> {
    let mut wanted = Condition::all();
    if let Some(enabled) = filter.enabled {
        wanted = wanted.add(Column::Enabled.eq(enabled));
    }
    if let Some(q) = &filter.q {
        wanted = wanted.add(Func::lower(Expr::col(Column::Name)).like(super::part(q)));
    }
    if let Some(name) = page.after::<String>()? {
        wanted = wanted.add(Column::Name.gt(name));
    }
    let rows = Entity::find().filter(wanted).order_by_asc(Column::Name).limit(page.rows_to_read());
    Ok(Listed::cut(rows.all(store.reads()).await?, page, |row| row.name.clone()))
}

/// Returns every server, by name.
pub async fn load_all(store: &Store) -> Result<Vec<Row>, StoreError> {
    Ok(Entity::find().order_by_asc(Column::Name).all(store.reads()).await?)
}

/// Returns the server of that name.
pub async fn find(store: &Store, name: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find().filter(Column::Name.eq(name)).one(store.reads()).await?)
}

/// Returns the server with that id.
pub async fn find_by_id(store: &Store, id: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id).one(store.reads()).await?)
}

/// Registers a server with its secrets. A name that is taken is a conflict.
pub async fn insert(store: &Store, new: NewServer, secrets: Vec<secret::Change>) -> Result<Row, StoreError> {
    let now = clock::now_ms();
    let row = first_revision(new, now);
    let mut edit = store.begin_edit().await?;
    let inserted = Entity::insert(row.clone().into_active_model()).exec_without_returning(edit.connection()).await;
    inserted.map_err(|error| StoreError::from(error).or_taken(|| format!("a server named {} exists", row.name)))?;
    let fields = secret::told(&secrets);
    secret::apply(edit.connection(), &row.id, secrets, now).await?;
    edit.edits(Topic::Servers);
    edit.tell(Event::new("server.created", subject(&row), &json!({ "server": row, "secrets": fields })));
    edit.commit().await?;
    Ok(row)
}

fn subject(row: &Row) -> String {
    format!("server:{}", row.name)
}

fn first_revision(new: NewServer, now: i64) -> Row {
    Row {
        id: new.id,
        name: new.name,
        mode: new.mode,
        enabled: new.enabled,
        command: new.command,
        args: new.args,
        cwd: new.cwd,
        shared: new.shared,
        base_url: new.base_url,
        timeout_seconds: new.timeout_seconds,
        auth_type: new.auth_type,
        credential_origin: new.credential_origin,
        oauth: new.oauth,
        oauth_issuer: None,
        oauth_removed: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Edits a server: `change` is given the stored row and what is kept beside it, alters the row and returns what becomes
/// of the rest.
///
/// The revision goes up by one. When `expected_revision` is given and is not the stored one, nothing is changed and the
/// answer is [`StoreError::Stale`]. The id, the name, the mode and the times of a row are not for `change` to alter.
pub async fn update<E: From<StoreError>>(
    store: &Store,
    name: &str,
    expected_revision: Option<i64>,
    change: impl FnOnce(&mut Row, Kept) -> Result<Changes, E>,
) -> Result<Row, E> {
    let mut edit = store.begin_edit().await?;
    let old = find_locked(edit.connection(), name).await?;
    super::demand_revision(expected_revision, old.revision)?;
    let mut row = old.clone();
    let kept = Kept {
        fields: secret::list_fields_of(edit.connection(), &row.id).await?,
        login: credential::summary_of(edit.connection(), &row.id).await?,
    };
    let changes = change(&mut row, kept)?;
    row.revision = old.revision + 1;
    row.updated_at = clock::now_ms();
    (row.id, row.name, row.mode, row.created_at) = (old.id.clone(), old.name.clone(), old.mode.clone(), old.created_at);
    let all_columns = row.clone().into_active_model().reset_all();
    Entity::update(all_columns).exec(edit.connection()).await.map_err(StoreError::from)?;
    let fields = secret::told(&changes.secrets);
    secret::apply(edit.connection(), &row.id, changes.secrets, row.updated_at).await?;
    let is_login_forgotten = changes.forgets_login && credential::delete_on(edit.connection(), &row.id).await?;
    let data = json!({
        "changed": difference(&old, &row),
        "revision": row.revision,
        "secrets": fields,
        "is_login_forgotten": is_login_forgotten,
    });
    edit.edits(Topic::Servers);
    edit.tell(Event::new("server.updated", subject(&row), &data));
    edit.commit().await?;
    Ok(row)
}

/// Notes that a login at the server's authorization server was made: what an edit took away is replaced by it, and a
/// client that was typed is that server's from now on. `false`: the server is another one by now.
pub(super) async fn note_login(
    edit: &mut super::Edit,
    login: &super::credential::Row,
    revision: i64,
) -> Result<bool, StoreError> {
    let wanted = Condition::all().add(Column::Id.eq(&login.server_id)).add(Column::Revision.eq(revision));
    let found = Entity::find().filter(wanted).lock_exclusive().one(edit.connection()).await?;
    let Some(row) = found else { return Ok(false) };
    let mut changed = row.clone();
    changed.auth_type = Some("oauth".to_owned());
    changed.credential_origin = Some(login.base_origin.clone());
    changed.oauth_issuer = (login.registration == "manual").then(|| login.issuer.clone());
    changed.oauth_removed = None;
    if changed != row {
        changed.revision += 1;
        changed.updated_at = clock::now_ms();
        let data = json!({ "changed": difference(&row, &changed), "revision": changed.revision });
        edit.tell(Event::new("server.updated", subject(&row), &data));
        Entity::update(changed.into_active_model().reset_all()).exec(edit.connection()).await?;
    }
    Ok(true)
}

/// Removes a server and its secrets, and returns the row that was removed. Rules that allow calls of that name alone are
/// turned off with it: whatever has the name later is another server.
pub async fn delete(store: &Store, name: &str) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let row = find_locked(edit.connection(), name).await?;
    row.clone().delete(edit.connection()).await?;
    edit.edits(Topic::Servers);
    edit.tell(Event::new("server.deleted", subject(&row), &json!({ "server": row })));
    rule::disable_allowing(&mut edit, name).await?;
    edit.commit().await?;
    Ok(row)
}

/// The name of the server with that id, which nobody edits until the transaction ends.
pub(super) async fn name_locked(connection: &impl ConnectionTrait, id: &str) -> Result<Option<String>, StoreError> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(connection).await?.map(|row| row.name))
}

/// The id of the server of that name, which nobody edits until the transaction ends.
pub(super) async fn id_locked(connection: &impl ConnectionTrait, name: &str) -> Result<String, StoreError> {
    Ok(find_locked(connection, name).await?.id)
}

async fn find_locked(connection: &impl ConnectionTrait, name: &str) -> Result<Row, StoreError> {
    let named = Entity::find().filter(Column::Name.eq(name)).lock_exclusive();
    named.one(connection).await?.ok_or(StoreError::NotFound { what: WHAT })
}
