//! Editing a server.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::{self, AuthWrite, Stored};
use super::draft::{SecretWrite, demand_none, env_schema, faults_of};
use super::json::{self, ServerBody};
use super::{WHAT, seal};
use crate::egress;
use crate::http::answer;
use crate::http::body::{Body, Edit};
use crate::http::gateway::Gateway;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::store::server::{Changes, Kept};
use crate::store::{self, secret};
use crate::upstream::{
    AuthType, Definition, ENV_FIELD, HttpDefinition, Mode, OAuthSettings, StdioDefinition, TIMEOUT_SECONDS_DEFAULT,
    is_same_origin,
};

/// What is to change, as a JSON Merge Patch: what is absent stays, what is `null` is cleared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerPatch {
    /// Only the name that it has.
    #[serde(default)]
    #[schema(ignore)]
    name: Edit<String>,
    /// Only the mode that it has.
    #[serde(default)]
    #[schema(ignore)]
    mode: Edit<String>,
    /// Whether agents may reach it.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Edit<bool>,
    /// stdio: the executable.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    command: Edit<String>,
    /// stdio: all of its arguments.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    args: Edit<Vec<String>>,
    /// stdio: the variables that are to change: a value sets one, `null` removes it. `null` for all removes all.
    #[serde(default)]
    #[schema(schema_with = env_schema)]
    env: Edit<BTreeMap<String, Option<SecretWrite>>>,
    /// stdio: an absolute path.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    cwd: Edit<String>,
    /// stdio: one process for all agents.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    shared: Edit<bool>,
    /// http: the address. When it moves to another origin (scheme, host or port), what is stored of the login is removed
    /// unless the same patch gives it anew.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base_url: Edit<String>,
    /// http: 1 to 3600; `null` puts back 30.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 3600)]
    timeout_seconds: Edit<i64>,
    /// http: what is to change about the login; what is absent is kept. `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<AuthWrite>)]
    auth: Edit<AuthWrite>,
}

/// Edits a server. What runs of it is drained, and the next call begins anew.
#[utoipa::path(patch, path = "/api/v1/servers/{name}", operation_id = "update_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name."),
           ("If-Match" = Option<String>, Header, description = "The `ETag` of what the edit was made from.")),
    request_body = ServerPatch,
    responses((status = 200, description = "The server as it is now stored.", body = ServerBody),
              (status = 409, description = "`name` and `mode` can't be changed.", body = ProblemBody),
              (status = 412, description = "It was edited since it was read.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn update(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    IfMatch(expected): IfMatch,
    Body(patch): Body<ServerPatch>,
) -> Result<HttpResponse, Problem> {
    let edited = store::server::update(&gateway.store, &name, expected, |row, kept| apply(&gateway, patch, row, kept));
    let row = edited.await.map_err(|problem: Problem| problem.named(WHAT, &name))?;
    gateway.registry.nudge().await;
    let revision = row.revision;
    Ok(answer::revised(revision, &json::body(&gateway, row).await?))
}

fn apply(gateway: &Gateway, patch: ServerPatch, row: &mut store::server::Row, kept: Kept) -> Result<Changes, Problem> {
    immutable("/name", &patch.name, &row.name)?;
    immutable("/mode", &patch.mode, &row.mode)?;
    patch.enabled.clone().apply_or_default(&mut row.enabled, true);
    let Applied { definition, removed, forgets_login } = match row.mode.as_str() {
        "http" => apply_http(patch, row, kept)?,
        _ => apply_stdio(patch, row, kept)?,
    };
    let errors = faults_of(gateway, &definition);
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let mut secrets: Vec<_> = removed.into_iter().map(|field| secret::Change { field, sealed: None }).collect();
    secrets.extend(seal(gateway, &row.id, &definition)?);
    Ok(Changes { secrets, forgets_login })
}

/// The server as it is to be, and what goes of what is kept beside it.
struct Applied {
    definition: Definition,
    /// The fields of secrets.
    removed: Vec<String>,
    forgets_login: bool,
}

fn apply_stdio(patch: ServerPatch, row: &mut store::server::Row, kept: Kept) -> Result<Applied, Problem> {
    let strangers = [
        ("/base_url", matches!(patch.base_url, Edit::Set(_))),
        ("/timeout_seconds", matches!(patch.timeout_seconds, Edit::Set(_))),
        ("/auth", matches!(&patch.auth, Edit::Set(auth) if !auth.is_none())),
    ];
    demand_none("stdio", &strangers).map_err(Problem::fields)?;
    let mut args: Vec<String> = serde_json::from_str(&row.args).map_err(|error| Problem::internal(&error))?;
    patch.command.apply(&mut row.command);
    patch.args.apply_or_default(&mut args, Vec::new());
    patch.cwd.apply(&mut row.cwd);
    patch.shared.apply_or_default(&mut row.shared, false);
    row.args = serde_json::to_string(&args).map_err(|error| Problem::internal(&error))?;

    let (removed, set) = split(patch.env, kept.fields);
    let stdio = StdioDefinition {
        command: row.command.clone().unwrap_or_default(),
        args,
        env: set.into_iter().map(|(name, value)| (name, value.into_text())).collect(),
        cwd: row.cwd.clone(),
        shared: row.shared,
    };
    let definition = Definition { name: row.name.clone(), mode: Mode::Stdio(stdio) };
    Ok(Applied { definition, removed, forgets_login: false })
}

fn apply_http(patch: ServerPatch, row: &mut store::server::Row, kept: Kept) -> Result<Applied, Problem> {
    let strangers = [
        ("/command", matches!(patch.command, Edit::Set(_))),
        ("/args", matches!(&patch.args, Edit::Set(args) if !args.is_empty())),
        ("/env", matches!(&patch.env, Edit::Set(env) if !env.is_empty())),
        ("/cwd", matches!(patch.cwd, Edit::Set(_))),
        ("/shared", patch.shared == Edit::Set(true)),
    ];
    demand_none("http", &strangers).map_err(Problem::fields)?;
    let old_base_url = row.base_url.clone().unwrap_or_default();
    patch.base_url.apply(&mut row.base_url);
    let timeout_seconds = patch.timeout_seconds.or_default(|| TIMEOUT_SECONDS_DEFAULT).or(row.timeout_seconds);
    let base_url = row.base_url.clone().unwrap_or_default();
    let moved_from = if is_same_origin(&old_base_url, &base_url) { None } else { egress::origin(&old_base_url) };
    let stored = Stored {
        auth_type: row.auth_type.as_deref().and_then(AuthType::parse).unwrap_or(AuthType::None),
        moved_from,
        fields: kept.fields,
        // What can't be read was never typed here; the edit replaces it.
        settings: OAuthSettings::read(row).unwrap_or_default(),
        login: kept.login,
    };
    let (old_type, has_moved) = (stored.auth_type, stored.moved_from.is_some());
    let login = auth::edit(patch.auth, stored).map_err(Problem::fields)?;
    let http = HttpDefinition {
        base_url,
        timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
        credential: login.credential,
    };
    row.timeout_seconds = Some(http.timeout_seconds);
    row.auth_type = Some(http.auth_type().word().into());
    http.oauth().cloned().unwrap_or_default().write(row);
    let is_removed = login.kept.is_empty() && !login.removed.is_empty() && !(has_moved && old_type != AuthType::None);
    if let Some(origin) = http.credential_origin() {
        row.credential_origin = Some(origin);
    } else if http.auth_type() != old_type || is_removed {
        // After a move the origin stays, to tell why the credential is missing.
        row.credential_origin = None;
    }
    let definition = Definition { name: row.name.clone(), mode: Mode::Http(http) };
    Ok(Applied { definition, removed: login.removed, forgets_login: login.forgets_oauth })
}

/// Splits an edit of the variables into the slots to empty and the values to set.
fn split(
    env: Edit<BTreeMap<String, Option<SecretWrite>>>,
    stored_fields: Vec<String>,
) -> (Vec<String>, BTreeMap<String, SecretWrite>) {
    match env {
        Edit::Keep => (Vec::new(), BTreeMap::new()),
        Edit::Clear => {
            (stored_fields.into_iter().filter(|field| field.starts_with(ENV_FIELD)).collect(), BTreeMap::new())
        }
        Edit::Set(edits) => {
            let mut removed = Vec::new();
            let mut set = BTreeMap::new();
            for (name, value) in edits {
                match value {
                    Some(value) => drop(set.insert(name, value)),
                    None => removed.push(format!("{ENV_FIELD}{name}")),
                }
            }
            (removed, set)
        }
    }
}

fn immutable(pointer: &str, edit: &Edit<String>, stored: &str) -> Result<(), Problem> {
    let is_same = match edit {
        Edit::Keep => true,
        Edit::Clear => false,
        Edit::Set(wanted) => wanted == stored,
    };
    if is_same {
        return Ok(());
    }
    let field = pointer.trim_start_matches('/');
    let detail = format!("the {field} of a server can't be changed; register a new server and delete this one");
    Err(Problem::new(Code::Immutable, detail).about(pointer, "can't be changed"))
}
