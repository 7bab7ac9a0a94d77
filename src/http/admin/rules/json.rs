//! A rule as it is shown.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock;
use crate::gate::{Action, lint};
use crate::http::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::time::Time;
use crate::store;
use crate::store::rule::Row;

/// One rule: the first that matches a call decides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rule)]
pub struct RuleBody {
    id: String,
    /// Its place, from 1.
    position: i32,
    /// A disabled rule never matches.
    enabled: bool,
    action: Action,
    /// Globs over agents' names.
    agents: Vec<String>,
    /// Globs over servers' names.
    servers: Vec<String>,
    /// Globs over the names of tools and prompts, and over URIs of resources.
    tools: Vec<String>,
    /// Globs over MCP methods.
    methods: Vec<String>,
    /// CEL over the call; `null` when it holds for every call.
    when: Option<String>,
    /// For operators.
    description: String,
    /// Told to the model when the rule denies.
    guidance: String,
    /// It is evaluated and recorded, and decides nothing.
    shadow: bool,
    /// It matches nothing from then on.
    expires_at: Option<Time>,
    /// Calls that it decided, or would have decided.
    hits: i64,
    /// When the last of them was.
    last_hit_at: Option<Time>,
    /// Why it matches nothing, where that can be said.
    warnings: Vec<RuleWarning>,
    /// Counts edits, from 1; the same as in `ETag`.
    revision: i64,
    created_at: Time,
    updated_at: Time,
}

/// Something that an operator may not have meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleWarning {
    /// `unreachable`, `expired`, `no_such_server`, `server_disabled`, `no_such_agent`, `never_true`, `broken_when`.
    code: &'static str,
    /// The same in a sentence.
    detail: String,
}

/// A stored rule has an action that this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("a stored rule has the unknown action {0:?}")]
struct UnknownAction(String);

/// Builds the representation of rules.
///
/// # Errors
/// A row can't be read, or the store failed.
pub async fn all(gateway: &Gateway, rows: Vec<Row>) -> Result<Vec<RuleBody>, Problem> {
    let wanted: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut warnings = warnings(gateway, wanted).await?;
    rows.into_iter()
        .map(|row| {
            let found = warnings.remove(row.id.as_str()).unwrap_or_default();
            body(gateway, row, found)
        })
        .collect()
}

/// Builds the representation of one of the rules.
///
/// # Errors
/// A row can't be read, or the store failed.
pub async fn one(gateway: &Gateway, row: Row) -> Result<RuleBody, Problem> {
    let found = warnings(gateway, HashSet::from([row.id.clone()])).await?.remove(row.id.as_str());
    body(gateway, row, found.unwrap_or_default())
}

/// What is remarked of these rules, by the rule set that is in force: it is read already. Beside the agents' calls, as each
/// rule is compared with all before it.
async fn warnings(
    gateway: &Gateway,
    wanted: HashSet<String>,
) -> Result<HashMap<Arc<str>, Vec<lint::Warning>>, Problem> {
    // With none in force everything is denied, and that is told elsewhere.
    let Some(rule_set) = gateway.gate.rule_set() else { return Ok(HashMap::new()) };
    let known = lint::Known {
        servers: store::server::list_names(&gateway.store).await?,
        agents: store::agent::list_names(&gateway.store).await?,
    };
    let looked = web::block(move || rule_set.warnings(|id| wanted.contains(id), &known, clock::now_ms())).await;
    looked.map_err(|error| Problem::internal(&error))
}

fn body(gateway: &Gateway, row: Row, warnings: Vec<lint::Warning>) -> Result<RuleBody, Problem> {
    let list = |text: &str| serde_json::from_str(text).map_err(|error| Problem::internal(&error));
    let shown = |warning: lint::Warning| RuleWarning { code: warning.code, detail: warning.detail };
    let (uncounted, latest) = gateway.gate.uncounted(&row.id).unzip();
    Ok(RuleBody {
        action: Action::parse(&row.action).ok_or_else(|| Problem::internal(&UnknownAction(row.action.clone())))?,
        agents: list(&row.agents)?,
        servers: list(&row.servers)?,
        tools: list(&row.tools)?,
        methods: list(&row.methods)?,
        id: row.id,
        position: row.position,
        enabled: row.enabled,
        when: row.condition,
        description: row.description,
        guidance: row.guidance,
        shadow: row.shadow,
        expires_at: row.expires_at.map(Time),
        hits: row.hits + uncounted.unwrap_or_default(),
        last_hit_at: latest.max(row.last_hit_at).map(Time),
        warnings: warnings.into_iter().map(shown).collect(),
        revision: row.revision,
        created_at: Time(row.created_at),
        updated_at: Time(row.updated_at),
    })
}
