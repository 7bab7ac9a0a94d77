//! A channel as operators read it: without its secrets.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::time::Time;
use crate::notify::{ChannelError, Kind};
use crate::store::channel::Row;

/// A way to tell people that an approval waits.
#[expect(clippy::struct_excessive_bools, reason = "each says something else to whoever reads it")]
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelBody {
    /// Can't be changed.
    #[schema(example = "ops")]
    name: String,
    /// Can't be changed.
    kind: Kind,
    /// Whether anything is told by it.
    enabled: bool,
    /// Globs over the names of the agents that it is for.
    agents: Vec<String>,
    /// Globs over the names of the servers that it is for.
    servers: Vec<String>,
    /// It tells what nobody has answered for so long.
    delay_seconds: i64,
    /// Whether it tells with which arguments.
    with_arguments: bool,
    /// All but command: scheme, host and port of the address. The rest of it is never given out.
    #[schema(example = "https://hooks.example.com")]
    url_origin: Option<String>,
    /// Whether an address is kept.
    url_set: bool,
    /// webhook: whether a signing secret is kept.
    secret_set: bool,
    /// ntfy: whether a token is kept.
    token_set: bool,
    /// command: the program and its arguments.
    command: Vec<String>,
    /// `disabled`, `untried`, `working` or `failing`.
    #[schema(example = "working")]
    status: &'static str,
    /// Why the last attempt failed, in one sentence.
    reason: Option<String>,
    /// Since when attempts fail.
    failing_since: Option<Time>,
    /// When something was told last.
    last_sent_at: Option<Time>,
    /// Counts edits, from 1; the same as in `ETag`.
    revision: i64,
    created_at: Time,
    updated_at: Time,
}

/// Builds the representation of a channel.
///
/// # Errors
/// The row can't be read.
pub fn body(row: Row) -> Result<ChannelBody, Problem> {
    let list = |text: &str| serde_json::from_str(text).map_err(|error| Problem::internal(&error));
    let kind = Kind::parse(&row.kind).ok_or_else(|| Problem::internal(&ChannelError::NotWhole))?;
    let status = match (row.enabled, &row.problem, row.last_sent_at) {
        (false, ..) => "disabled",
        (true, Some(_), _) => "failing",
        (true, None, Some(_)) => "working",
        (true, None, None) => "untried",
    };
    let has_secret = row.secret.is_some();
    Ok(ChannelBody {
        agents: list(&row.agents)?,
        servers: list(&row.servers)?,
        command: row.command.as_deref().map(list).transpose()?.unwrap_or_default(),
        name: row.name,
        kind,
        enabled: row.enabled,
        delay_seconds: row.delay_seconds,
        with_arguments: row.wants_arguments,
        url_origin: row.origin,
        url_set: row.url.is_some(),
        secret_set: has_secret && kind == Kind::Webhook,
        token_set: has_secret && kind == Kind::Ntfy,
        status,
        reason: row.problem,
        failing_since: row.failing_since.map(Time),
        last_sent_at: row.last_sent_at.map(Time),
        revision: row.revision,
        created_at: Time(row.created_at),
        updated_at: Time(row.updated_at),
    })
}
