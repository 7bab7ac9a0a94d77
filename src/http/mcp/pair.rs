//! `/mcp/{name}/sse` and `/mcp/{name}/message`: the older pair of endpoints (HTTP+SSE, 2024-11-05).

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{incoming, refuse_other_content, write};
use crate::http::extract::AgentIdentity;
use crate::http::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// What the first event of the stream names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    session_id: String,
}

/// Opens the stream on which everything comes.
pub async fn get(gateway: Data<Gateway>, agent: AgentIdentity, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let incoming = incoming(&request, agent, Bytes::new())?;
    if !incoming.headers.accepts_stream {
        return Err(Problem::not_acceptable("a GET is answered by text/event-stream"));
    }
    Ok(write(&gateway, gateway.downstream.open_pair(&incoming), incoming.agent))
}

/// Takes one message of an agent; what answers it comes on the stream.
pub async fn post(
    gateway: Data<Gateway>,
    agent: AgentIdentity,
    query: Query<Word>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    refuse_other_content(&request)?;
    let incoming = incoming(&request, agent, body)?;
    let agent = incoming.agent.clone();
    Ok(write(&gateway, gateway.downstream.post_to_pair(&query.0.session_id, incoming).await, agent))
}
