//! A server as operators read it: what is stored, without its secrets, and what is seen of it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::time::Time;
use crate::store;
use crate::upstream::{ENV_FIELD, Status, Word};

/// A registered server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Server)]
pub struct ServerBody {
    /// The segment in `/mcp/{name}`; can't be changed.
    #[schema(example = "calc")]
    name: String,
    /// `stdio`; can't be changed.
    #[schema(example = "stdio")]
    mode: String,
    /// Whether agents may reach it.
    enabled: bool,
    /// http: the address; `null` for stdio.
    base_url: Option<String>,
    /// http: how long an answer may take; `null` for stdio.
    timeout_seconds: Option<u32>,
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
    credentials: CredentialsBody,
    /// Counts edits, from 1; the same as in `ETag`.
    revision: i64,
    created_at: Time,
    updated_at: Time,
}

/// How the gateway logs in to the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerAuth)]
pub struct AuthBody {
    /// `none`: a stdio server has no login of its own.
    #[schema(example = "none")]
    r#type: &'static str,
    /// Whether a bearer token is kept.
    bearer_token_set: bool,
    /// The names of the headers that are kept.
    header_names: Vec<String>,
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

/// Whether the gateway has what it needs to log in to the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credentials)]
pub struct CredentialsBody {
    /// `ready` for a server that needs none.
    #[schema(example = "ready")]
    status: &'static str,
    reason: Option<String>,
    action: Option<&'static str>,
}

impl CredentialsBody {
    /// A stdio server needs no credential, and so lacks none.
    pub const READY: Self = Self { status: "ready", reason: None, action: None };
}

/// Builds the representation of one server.
///
/// # Errors
/// The store failed, or the row can't be read.
pub async fn body(gateway: &Gateway, row: store::server::Row) -> Result<ServerBody, Problem> {
    let secrets = store::secret::load_all(&gateway.store, &row.id).await?;
    let names = secrets.iter().filter_map(|secret| secret.field.strip_prefix(ENV_FIELD)).map(str::to_owned);
    render(gateway, row, names.collect())
}

/// Builds the representations of several servers.
///
/// # Errors
/// The store failed, or a row can't be read.
pub async fn bodies(gateway: &Gateway, rows: Vec<store::server::Row>) -> Result<Vec<ServerBody>, Problem> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (server_id, field) in store::secret::list_fields(&gateway.store).await? {
        if let Some(name) = field.strip_prefix(ENV_FIELD) {
            names.entry(server_id).or_default().push(name.to_owned());
        }
    }
    rows.into_iter()
        .map(|row| {
            let env_names = names.remove(&row.id).unwrap_or_default();
            render(gateway, row, env_names)
        })
        .collect()
}

fn render(gateway: &Gateway, row: store::server::Row, env_names: Vec<String>) -> Result<ServerBody, Problem> {
    let args = serde_json::from_str(&row.args).map_err(|error| Problem::internal(&error))?;
    let connection = match gateway.directory.find(&row.name) {
        Some(upstream) => ConnectionBody::from(&*upstream.status()),
        // The registry has not looked yet.
        None => ConnectionBody::from(&Status::untried(row.enabled)),
    };
    Ok(ServerBody {
        endpoint_url: endpoint_url(gateway, &row.name),
        name: row.name,
        mode: row.mode,
        enabled: row.enabled,
        base_url: None,
        timeout_seconds: None,
        auth: AuthBody { r#type: "none", bearer_token_set: false, header_names: Vec::new() },
        command: row.command,
        args,
        env_names,
        cwd: row.cwd,
        shared: row.shared,
        connection,
        credentials: CredentialsBody::READY,
        revision: row.revision,
        created_at: Time(row.created_at),
        updated_at: Time(row.updated_at),
    })
}

fn endpoint_url(gateway: &Gateway, name: &str) -> String {
    format!("{}/mcp/{name}", gateway.public_url.trim_end_matches('/'))
}
