//! Registered servers: list, read, delete; the other verbs stand beside.

pub mod auth;
pub mod connect;
pub mod create;
pub mod credential;
pub mod draft;
pub mod json;
pub mod live;
pub mod oauth;
pub mod tools;
pub mod update;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use self::json::{ServerBody, bodies};
use crate::http::answer::{self, Listing};
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::store::{self, secret};
use crate::upstream::{Definition, slot};

/// What a server is called in a refusal.
const WHAT: &str = "server";

/// Which servers are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ServerQuery {
    /// Only those that are enabled, or only those that are not.
    enabled: Option<bool>,
    /// A part of the name, in any case.
    q: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists servers by name.
#[utoipa::path(get, path = "/api/v1/servers", operation_id = "list_servers", tag = "Servers", params(ServerQuery),
    responses((status = 200, description = "A page of servers.", body = Listing<ServerBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<ServerQuery>,
) -> Result<web::Json<Listing<ServerBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let filter = store::server::Filter { enabled: query.enabled, q: query.q };
    let listed = store::server::list(&gateway.store, &filter, &page).await?;
    let items = bodies(&gateway, listed.items).await?;
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// Reads a server.
#[utoipa::path(get, path = "/api/v1/servers/{name}", operation_id = "read_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 200, description = "The server; `ETag` holds its revision.", body = ServerBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let row = find(&gateway, &name).await?;
    let revision = row.revision;
    Ok(answer::revised(revision, &json::body(&gateway, row).await?))
}

/// Deletes a server with its secrets, and turns off the rules that allow calls of this server alone.
#[utoipa::path(delete, path = "/api/v1/servers/{name}", operation_id = "delete_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 204, description = "It is gone, and its processes with it."),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn delete(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    store::server::delete(&gateway.store, &name).await.map_err(|error| Problem::from(error).named(WHAT, &name))?;
    gateway.registry.nudge().await;
    gateway.gate.forget_hints(&name);
    gateway.publish_rules().await?;
    Ok(answer::done())
}

/// Seals the secrets that a definition gives.
fn seal(gateway: &Gateway, server_id: &str, definition: &Definition) -> Result<Vec<secret::Change>, Problem> {
    let mut changes = Vec::new();
    for (field, text) in definition.secrets() {
        let slot = slot(server_id, &field, definition.base_url(), definition.token_url());
        let sealed = gateway.vault.seal(&slot, text)?;
        changes.push(secret::Change { field, sealed: Some(sealed) });
    }
    Ok(changes)
}

async fn find(gateway: &Gateway, name: &str) -> Result<store::server::Row, Problem> {
    store::server::find(&gateway.store, name).await?.ok_or_else(|| Problem::no_such(WHAT, name))
}
