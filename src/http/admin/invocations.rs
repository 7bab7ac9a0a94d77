//! The record of calls: list and read; the export stands beside.

pub mod export;
pub mod json;

use actix_web::web;
use serde::Deserialize;
use utoipa::IntoParams;

use self::json::InvocationBody;
use crate::http::answer::Listing;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::http::time::Time;
use crate::store::{self, invocation::Filter};

/// Which calls are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvocationQuery {
    /// The agent's name.
    agent: Option<String>,
    /// The server's name.
    server: Option<String>,
    /// The tool's name.
    tool: Option<String>,
    /// What was decided: `allow`, `deny`, `ask`.
    decision: Option<String>,
    /// Where it stands, such as `completed`.
    state: Option<String>,
    /// Received then or later.
    since: Option<Time>,
    /// Received before then.
    until: Option<Time>,
    /// A part of the tool's name or of the arguments, in any case.
    q: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists calls, newest first.
#[utoipa::path(get, path = "/api/v1/invocations", operation_id = "list_invocations", tag = "Invocations",
    params(InvocationQuery),
    responses((status = 200, description = "A page of calls.", body = Listing<InvocationBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<InvocationQuery>,
) -> Result<web::Json<Listing<InvocationBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let filter = Filter {
        agent: query.agent,
        server: query.server,
        tool: query.tool,
        decision: query.decision,
        state: query.state,
        since: query.since.map(|time| time.0),
        until: query.until.map(|time| time.0),
        q: query.q,
    };
    let listed = store::invocation::list(&gateway.store, &filter, &page).await?;
    let items = listed.items.into_iter().map(InvocationBody::from).collect();
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// Reads a call.
#[utoipa::path(get, path = "/api/v1/invocations/{id}", operation_id = "read_invocation", tag = "Invocations",
    params(("id" = String, Path, description = "The call's id.")),
    responses((status = 200, description = "The call.", body = InvocationBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, id: web::Path<String>) -> Result<web::Json<InvocationBody>, Problem> {
    let row = store::invocation::find(&gateway.store, &id).await?;
    row.map(|row| web::Json(row.into())).ok_or_else(|| Problem::no_such("invocation", &id))
}
