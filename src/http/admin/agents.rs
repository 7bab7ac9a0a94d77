//! Agents: list, create, read, update, delete; their keys stand beside.

pub mod keys;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::keys::KeyBody;
use crate::clock;
use crate::gate::Patterns;
use crate::http::answer::{self, Listing};
use crate::http::body::{Body, Edit};
use crate::http::gateway::Gateway;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, FieldError, Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::http::time::Time;
use crate::store;
use crate::store::agent::{NewAgent, Row};
use crate::upstream;

const WHAT: &str = "agent";

/// A program that speaks MCP to the gateway.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentBody {
    /// What rules and the record call it; can't be changed.
    #[schema(example = "claude")]
    name: String,
    /// Globs over the names of the servers that it may reach.
    servers: Vec<String>,
    /// After it every key of the agent is refused.
    expires_at: Option<Time>,
    /// Its keys, oldest first, revoked ones too; a key itself is never given out again.
    keys: Vec<KeyBody>,
    /// Counts edits, from 1; the same as in `ETag`.
    revision: i64,
    created_at: Time,
    updated_at: Time,
}

impl AgentBody {
    async fn of(gateway: &Gateway, row: Row) -> Result<Self, Problem> {
        let keys = store::agent_key::list(&gateway.store, &row.id).await?;
        Ok(Self {
            name: row.name,
            servers: serde_json::from_str(&row.servers).map_err(|error| Problem::internal(&error))?,
            expires_at: row.expires_at.map(Time),
            keys: keys.into_iter().map(KeyBody::from).collect(),
            revision: row.revision,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        })
    }
}

/// Which page is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AgentQuery {
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists agents by name.
#[utoipa::path(get, path = "/api/v1/agents", operation_id = "list_agents", tag = "Agents", params(AgentQuery),
    responses((status = 200, description = "A page of agents.", body = Listing<AgentBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<AgentQuery>,
) -> Result<web::Json<Listing<AgentBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let listed = store::agent::list(&gateway.store, &page).await?;
    let mut items = Vec::with_capacity(listed.items.len());
    for row in listed.items {
        items.push(AgentBody::of(&gateway, row).await?);
    }
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// An agent that is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgentWrite)]
pub struct AgentDraft {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    #[schema(example = "claude")]
    name: String,
    /// Globs over the names of the servers that it may reach; any when left out.
    #[schema(example = json!(["*"]))]
    servers: Option<Vec<String>>,
    /// After it every key of the agent is refused; never when left out.
    expires_at: Option<Time>,
}

/// An agent that was added, with its first key.
#[derive(Serialize, ToSchema)]
pub struct AgentCreated {
    name: String,
    /// Shown this once.
    #[schema(example = "atr_…")]
    key: String,
    /// The agent as it is read later.
    agent: AgentBody,
}

/// Adds an agent and its first key, which is shown this once.
#[utoipa::path(post, path = "/api/v1/agents", operation_id = "create_agent", tag = "Agents", request_body = AgentDraft,
    responses((status = 201, description = "It may call from now on.", body = AgentCreated),
              (status = 409, description = "The name is taken.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn create(gateway: web::Data<Gateway>, Body(draft): Body<AgentDraft>) -> Result<HttpResponse, Problem> {
    let servers = draft.servers.unwrap_or_else(|| vec!["*".to_owned()]);
    let mut errors = Vec::new();
    if !upstream::is_name(&draft.name) {
        let detail = "a name is 1 to 63 of a-z, 0-9 and -, and starts with a letter or digit".into();
        errors.push(FieldError { pointer: "/name".into(), detail });
    }
    errors.extend(servers_error(&servers));
    errors.extend(expiry_error(draft.expires_at));
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let new = NewAgent {
        name: draft.name,
        servers: serde_json::to_string(&servers).map_err(|error| Problem::internal(&error))?,
        expires_at: draft.expires_at.map(|time| time.0),
    };
    let (key, new_key) = keys::mint(&gateway)?;
    let (row, _) = store::agent::insert(&gateway.store, new, new_key)
        .await
        .map_err(|error| Problem::from(error).recoded(Code::Conflict, Code::NameTaken))?;
    gateway.publish_keys().await?;
    let (location, revision) = (format!("/api/v1/agents/{}", row.name), row.revision);
    let name = row.name.clone();
    let agent = AgentBody::of(&gateway, row).await?;
    Ok(answer::created_revised(location, revision, &AgentCreated { name, key: key.text().expose().to_owned(), agent }))
}

/// Reads an agent.
#[utoipa::path(get, path = "/api/v1/agents/{name}", operation_id = "read_agent", tag = "Agents",
    params(("name" = String, Path, description = "The agent's name.")),
    responses((status = 200, description = "The agent; `ETag` holds its revision.", body = AgentBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let row = find(&gateway, &name).await?;
    Ok(answer::revised(row.revision, &AgentBody::of(&gateway, row).await?))
}

/// What is to change, as a JSON Merge Patch: what is absent stays, what is `null` is as if it had been left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentPatch {
    /// Only the name that it has.
    #[serde(default)]
    #[schema(ignore)]
    name: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    servers: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    expires_at: Edit<Time>,
}

/// Edits an agent.
#[utoipa::path(patch, path = "/api/v1/agents/{name}", operation_id = "update_agent", tag = "Agents",
    params(("name" = String, Path, description = "The agent's name."),
           ("If-Match" = Option<String>, Header, description = "The `ETag` of what the edit was made from.")),
    request_body = AgentPatch,
    responses((status = 200, description = "The agent as it holds from now on.", body = AgentBody),
              (status = 409, description = "`name` can't be changed.", body = ProblemBody),
              (status = 412, description = "It was edited since it was read.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn update(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    IfMatch(expected): IfMatch,
    Body(patch): Body<AgentPatch>,
) -> Result<HttpResponse, Problem> {
    let row = store::agent::update(&gateway.store, &name, expected, |row| apply(patch, row)).await;
    let row = row.map_err(|problem: Problem| problem.named(WHAT, &name))?;
    gateway.publish_keys().await?;
    Ok(answer::revised(row.revision, &AgentBody::of(&gateway, row).await?))
}

fn apply(patch: AgentPatch, row: &mut Row) -> Result<(), Problem> {
    if !matches!(&patch.name, Edit::Keep) && patch.name != Edit::Set(row.name.clone()) {
        let detail = "the name of an agent can't be changed; add a new agent and delete this one";
        return Err(Problem::new(Code::Immutable, detail).about("/name", "can't be changed"));
    }
    let servers = patch.servers.or_default(|| vec!["*".to_owned()]);
    let mut errors: Vec<FieldError> = servers.iter().filter_map(|servers| servers_error(servers)).collect();
    if let Edit::Set(time) = patch.expires_at {
        errors.extend(expiry_error(Some(time)));
    }
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    if let Some(servers) = servers {
        row.servers = serde_json::to_string(&servers).map_err(|error| Problem::internal(&error))?;
    }
    let mut expires_at = row.expires_at.map(Time);
    patch.expires_at.apply(&mut expires_at);
    row.expires_at = expires_at.map(|time| time.0);
    Ok(())
}

/// Deletes an agent; every key of it is refused from now on.
#[utoipa::path(delete, path = "/api/v1/agents/{name}", operation_id = "delete_agent", tag = "Agents",
    params(("name" = String, Path, description = "The agent's name.")),
    responses((status = 204, description = "It is gone, and its keys with it."),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn delete(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    store::agent::delete(&gateway.store, &name).await.map_err(|error| Problem::from(error).named(WHAT, &name))?;
    gateway.publish_keys().await?;
    Ok(answer::done())
}

async fn find(gateway: &Gateway, name: &str) -> Result<Row, Problem> {
    store::agent::find(&gateway.store, name).await?.ok_or_else(|| Problem::no_such(WHAT, name))
}

fn servers_error(servers: &[String]) -> Option<FieldError> {
    let error = Patterns::parse(servers).err()?;
    Some(FieldError { pointer: "/servers".into(), detail: error.to_string() })
}

fn expiry_error(expires_at: Option<Time>) -> Option<FieldError> {
    let is_past = expires_at.is_some_and(|time| time.0 <= clock::now_ms());
    is_past.then(|| FieldError { pointer: "/expires_at".into(), detail: "a time to come is expected".into() })
}
