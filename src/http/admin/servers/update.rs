//! Editing a server.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::WHAT;
use super::draft::{SecretWrite, env_schema, faults_of, foreign, is_no_auth};
use super::json::{self, ServerBody};
use crate::http::answer;
use crate::http::body::{Body, Edit};
use crate::http::gateway::Gateway;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, FieldError, Problem, ProblemBody};
use crate::store::{self, secret};
use crate::upstream::{Definition, ENV_FIELD};
use crate::vault::Slot;

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
    /// The executable.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    command: Edit<String>,
    /// All of its arguments.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    args: Edit<Vec<String>>,
    /// The variables that are to change: a value sets one, `null` removes it. `null` for all removes all.
    #[serde(default)]
    #[schema(schema_with = env_schema)]
    env: Edit<BTreeMap<String, Option<SecretWrite>>>,
    /// An absolute path.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    cwd: Edit<String>,
    /// One process for all agents.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    shared: Edit<bool>,
    #[schema(ignore)]
    base_url: Option<Value>,
    #[schema(ignore)]
    timeout_seconds: Option<Value>,
    #[schema(ignore)]
    auth: Option<Value>,
}

/// Edits a server. Its processes are drained and started anew when the edit concerns them.
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
    let fields = store::secret::list_fields(&gateway.store).await?;
    let edited = store::server::update(&gateway.store, &name, expected, |row| {
        let stored = fields.into_iter().filter(|(server_id, _)| *server_id == row.id).map(|(_, field)| field);
        apply(&gateway, patch, row, stored.collect())
    });
    let row = edited.await.map_err(|problem: Problem| problem.named(WHAT, &name))?;
    gateway.registry.nudge().await;
    let revision = row.revision;
    Ok(answer::revised(revision, &json::body(&gateway, row).await?))
}

fn apply(
    gateway: &Gateway,
    patch: ServerPatch,
    row: &mut store::server::Row,
    stored_fields: Vec<String>,
) -> Result<Vec<secret::Change>, Problem> {
    immutable("/name", &patch.name, &row.name)?;
    immutable("/mode", &patch.mode, &row.mode)?;
    let mut errors: Vec<FieldError> = [
        foreign(patch.base_url.is_some(), "/base_url"),
        foreign(patch.timeout_seconds.is_some(), "/timeout_seconds"),
        foreign(patch.auth.as_ref().is_some_and(|auth| !is_no_auth(auth)), "/auth"),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut args: Vec<String> = serde_json::from_str(&row.args).map_err(|error| Problem::internal(&error))?;
    patch.enabled.apply_or_default(&mut row.enabled, true);
    patch.command.apply(&mut row.command);
    patch.args.apply_or_default(&mut args, Vec::new());
    patch.cwd.apply(&mut row.cwd);
    patch.shared.apply_or_default(&mut row.shared, false);
    row.args = serde_json::to_string(&args).map_err(|error| Problem::internal(&error))?;

    let (removed, set) = split(patch.env, stored_fields);
    let definition = Definition {
        name: row.name.clone(),
        command: row.command.clone().unwrap_or_default(),
        args,
        env: set.into_iter().map(|(name, value)| (name, value.into_text())).collect(),
        cwd: row.cwd.clone(),
        shared: row.shared,
    };
    errors.extend(faults_of(&definition));
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let mut changes: Vec<secret::Change> =
        removed.into_iter().map(|field| secret::Change { field, sealed: None }).collect();
    for (name, value) in &definition.env {
        let field = format!("{ENV_FIELD}{name}");
        let sealed = gateway.vault.seal(Slot::of_server(&row.id, &field), value)?;
        changes.push(secret::Change { field, sealed: Some(sealed) });
    }
    Ok(changes)
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
