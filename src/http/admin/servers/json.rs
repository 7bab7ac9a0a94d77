//! A server as operators read it: what is stored, without its secrets, and what is seen of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::oauth::{self, OAuthBody};
use crate::http::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::time::Time;
use crate::store;
use crate::store::credential::Summary;
use crate::upstream::{
    AuthType, BEARER_TOKEN_FIELD, Credentials, ENV_FIELD, HEADER_FIELD, Status, Word, stored_credentials,
};

/// A registered server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Server)]
pub struct ServerBody {
    /// The segment in `/mcp/{name}`; can't be changed.
    #[schema(example = "calc")]
    name: String,
    /// `stdio` or `http`; can't be changed.
    #[schema(example = "stdio")]
    mode: String,
    /// Whether agents may reach it.
    enabled: bool,
    /// http: the address, as it was typed; `null` for stdio.
    base_url: Option<String>,
    /// http: how long an answer, or a sign of progress, is waited for; `null` for stdio.
    timeout_seconds: Option<i64>,
    auth: AuthBody,
    /// stdio: the executable.
    #[schema(example = "npx")]
    command: Option<String>,
    /// stdio: its arguments, passed as they are.
    args: Vec<String>,
    /// stdio: the names of its variables; their values are never given out.
    env_names: Vec<String>,
    /// stdio: its working directory.
    cwd: Option<String>,
    /// stdio: one process for all agents, instead of one for each of their sessions.
    shared: bool,
    /// What agents are pointed at.
    #[schema(example = "http://127.0.0.1:8080/mcp/calc")]
    endpoint_url: String,
    connection: ConnectionBody,
    credentials: Credentials,
    /// Counts edits, from 1; the same as in `ETag`.
    revision: i64,
    created_at: Time,
    updated_at: Time,
}

/// How the gateway logs in to the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerAuth)]
pub struct AuthBody {
    /// `none`, `bearer`, `headers` or `oauth`; a stdio server has no login of its own.
    #[schema(example = "none")]
    r#type: String,
    /// Whether a bearer token is kept.
    bearer_token_set: bool,
    /// The names of the headers that are kept.
    header_names: Vec<String>,
    /// `null` when the server has nothing to do with OAuth.
    oauth: Option<OAuthBody>,
}

/// What was last seen of a server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection)]
pub struct ConnectionBody {
    status: Word,
    /// In one sentence, when there is something to say.
    reason: Option<String>,
    /// What the operator can do about it: `connect`, `reconnect`, `set_token`, `enable`, `edit`.
    action: Option<&'static str>,
    /// When it was seen; `null` when nobody has tried yet.
    checked_at: Option<Time>,
    /// The revision of MCP that the last handshake agreed on.
    #[schema(example = "2025-11-25")]
    protocol_version: Option<String>,
    /// What the server says of itself.
    server_info: Option<serde_json::Value>,
    /// How often a connection ended that nobody had asked to end.
    restarts: u64,
}

impl From<&Status> for ConnectionBody {
    fn from(seen: &Status) -> Self {
        Self {
            status: seen.status,
            reason: seen.reason.clone(),
            action: seen.action,
            checked_at: seen.checked_at.map(Time),
            protocol_version: seen.protocol_version.clone(),
            server_info: seen.server_info.clone(),
            restarts: seen.restarts,
        }
    }
}

/// Builds the representation of one server.
///
/// # Errors
/// The store failed, or the row can't be read.
pub async fn body(gateway: &Gateway, row: store::server::Row) -> Result<ServerBody, Problem> {
    let secrets = store::secret::load_all(&gateway.store, &row.id).await?;
    let fields: Vec<_> = secrets.into_iter().map(|secret| secret.field).collect();
    let login = store::credential::summaries(&gateway.store, &[&row.id]).await?.pop();
    render(gateway, row, &fields, login.as_ref())
}

/// Builds the representations of several servers.
///
/// # Errors
/// The store failed, or a row can't be read.
pub async fn bodies(gateway: &Gateway, rows: Vec<store::server::Row>) -> Result<Vec<ServerBody>, Problem> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (server_id, field) in store::secret::list_fields(&gateway.store).await? {
        fields.entry(server_id).or_default().push(field);
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    let logins = store::credential::summaries(&gateway.store, &ids).await?;
    let mut logins: BTreeMap<_, _> = logins.into_iter().map(|login| (login.server_id.clone(), login)).collect();
    rows.into_iter()
        .map(|row| {
            let filled = fields.remove(&row.id).unwrap_or_default();
            let login = logins.remove(&row.id);
            render(gateway, row, &filled, login.as_ref())
        })
        .collect()
}

/// `fields`: the secrets that are kept, by their names; `login`: what is held after a login by OAuth.
fn render(
    gateway: &Gateway,
    row: store::server::Row,
    fields: &[String],
    login: Option<&Summary>,
) -> Result<ServerBody, Problem> {
    let args = serde_json::from_str(&row.args).map_err(|error| Problem::internal(&error))?;
    let status = gateway.directory.find(&row.name).map_or_else(
        // The registry has not looked yet.
        || Arc::new(Status::untried(row.enabled, stored_credentials(&row, fields.iter().map(String::as_str)))),
        |upstream| upstream.status(),
    );
    let oauth = oauth::body(&row, fields, login)?;
    Ok(ServerBody {
        endpoint_url: endpoint_url(gateway, &row.name),
        name: row.name,
        mode: row.mode,
        enabled: row.enabled,
        base_url: row.base_url,
        timeout_seconds: row.timeout_seconds,
        auth: AuthBody {
            r#type: row.auth_type.unwrap_or_else(|| AuthType::None.word().into()),
            bearer_token_set: fields.iter().any(|field| field == BEARER_TOKEN_FIELD),
            header_names: named(fields, HEADER_FIELD),
            oauth,
        },
        command: row.command,
        args,
        env_names: named(fields, ENV_FIELD),
        cwd: row.cwd,
        shared: row.shared,
        connection: ConnectionBody::from(&*status),
        credentials: status.credentials.clone(),
        revision: row.revision,
        created_at: Time(row.created_at),
        updated_at: Time(row.updated_at),
    })
}

/// The names behind a prefix.
fn named(fields: &[String], prefix: &str) -> Vec<String> {
    fields.iter().filter_map(|field| field.strip_prefix(prefix)).map(str::to_owned).collect()
}

fn endpoint_url(gateway: &Gateway, name: &str) -> String {
    format!("{}/mcp/{name}", gateway.public_url.trim_end_matches('/'))
}
