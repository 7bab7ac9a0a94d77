//! The keys of an agent: a further one, and the end of one.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::clock;
use crate::http::answer;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::time::Time;
use crate::identity::AgentKey;
use crate::store;
use crate::store::agent_key::{NewKey, Row};

/// A key of an agent, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AgentKey)]
pub struct KeyBody {
    id: String,
    /// Its first characters, to tell keys apart.
    prefix: String,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
}

impl From<Row> for KeyBody {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            prefix: row.prefix,
            created_at: Time(row.created_at),
            expires_at: row.expires_at.map(Time),
            last_used_at: row.last_used_at.map(Time),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub struct KeyCreated {
    id: String,
    prefix: String,
    /// Shown this once.
    #[schema(example = "atr_…")]
    key: String,
    created_at: Time,
}

/// Makes a further key, which is shown this once. The keys that are there go on to hold: revoke them when the new one
/// is in its place.
#[utoipa::path(post, path = "/api/v1/agents/{name}/keys", operation_id = "create_agent_key", tag = "Agents",
    params(("name" = String, Path, description = "The agent's name.")),
    responses((status = 201, description = "It holds from now on.", body = KeyCreated),
              (status = 404, description = "There is no such agent.", body = ProblemBody)))]
pub async fn create(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let agent = find(&gateway, &name).await?;
    let (key, new) = mint(&gateway)?;
    let row = store::agent_key::insert(&gateway.store, &agent.id, new).await?;
    gateway.publish_keys().await?;
    let location = format!("/api/v1/agents/{name}/keys/{}", row.id);
    let (id, prefix, created_at) = (row.id, row.prefix, Time(row.created_at));
    Ok(answer::created(location, &KeyCreated { id, prefix, key: key.text().expose().to_owned(), created_at }))
}

/// Revokes a key: it is refused from now on. Revoking it again changes nothing.
#[utoipa::path(delete, path = "/api/v1/agents/{name}/keys/{id}", operation_id = "revoke_agent_key", tag = "Agents",
    params(("name" = String, Path, description = "The agent's name."),
           ("id" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "It is refused from now on."),
              (status = 404, description = "There is no such agent, or no such key of it.", body = ProblemBody)))]
pub async fn revoke(gateway: web::Data<Gateway>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (name, id) = path.into_inner();
    let agent = find(&gateway, &name).await?;
    let revoked = store::agent_key::revoke(&gateway.store, &agent.id, &id, clock::now_ms()).await;
    revoked.map_err(|error| Problem::from(error).named("key", &id))?;
    gateway.publish_keys().await?;
    Ok(answer::done())
}

/// Makes a key and what is kept of it.
pub(super) fn mint(gateway: &Gateway) -> Result<(AgentKey, NewKey), Problem> {
    let key = AgentKey::generate()?;
    let new = NewKey {
        prefix: key.shown_prefix().to_owned(),
        digest: gateway.keyring.digest(&key),
        // An agent's end is the end of all its keys.
        expires_at: None,
    };
    Ok((key, new))
}
