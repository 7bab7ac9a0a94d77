//! `/mcp/{name}`: the endpoint that agents are pointed at (Streamable HTTP).
//!
//! HTTP comes in and goes out here; what is said is the [`downstream`](crate::downstream) room's matter. The agent is
//! known from its key before anything else is looked at.

pub mod pair;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt as _};

use super::extract::AgentIdentity;
use super::gateway::Gateway;
use super::middleware::request_id;
use super::problem::Problem;
use crate::downstream::{Event, Framing, Headers, Incoming, Reader, Response};
use crate::identity::Agent;

/// A stream in which nothing happens shows life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After how long a reader whose stream broke comes back.
const RETRY_MS: u64 = 1000;

const SESSION: &str = "mcp-session-id";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Takes one message of an agent.
pub async fn post(
    gateway: Data<Gateway>,
    agent: AgentIdentity,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    refuse_other_content(&request)?;
    let incoming = incoming(&request, agent, body)?;
    if !incoming.headers.accepts_json && !incoming.headers.accepts_stream {
        return Err(Problem::not_acceptable("an MCP answer is application/json or text/event-stream"));
    }
    let agent = incoming.agent.clone();
    Ok(write(&gateway, gateway.downstream.post(incoming).await, agent))
}

/// Opens the session's standing stream, or resumes another.
pub async fn get(gateway: Data<Gateway>, agent: AgentIdentity, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let incoming = incoming(&request, agent, Bytes::new())?;
    if !incoming.headers.accepts_stream {
        return Err(Problem::not_acceptable("a GET is answered by text/event-stream"));
    }
    Ok(write(&gateway, gateway.downstream.get(&incoming), incoming.agent))
}

/// Ends the session.
pub async fn delete(
    gateway: Data<Gateway>,
    agent: AgentIdentity,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let incoming = incoming(&request, agent, Bytes::new())?;
    Ok(write(&gateway, gateway.downstream.delete(&incoming), incoming.agent))
}

fn refuse_other_content(request: &HttpRequest) -> Result<(), Problem> {
    let content_type = value(request, "content-type").unwrap_or_default();
    if content_type.split(';').next().map(str::trim).is_none_or(|kind| !kind.eq_ignore_ascii_case(JSON)) {
        return Err(Problem::unsupported_media_type("an MCP message is application/json"));
    }
    Ok(())
}

fn incoming(request: &HttpRequest, agent: AgentIdentity, body: Bytes) -> Result<Incoming, Problem> {
    let body = String::from_utf8(body.into()).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    Ok(Incoming {
        agent: agent.agent,
        server: agent.server,
        headers: headers(request),
        body,
        request_id: request_id::of(request),
    })
}

fn headers(request: &HttpRequest) -> Headers {
    let text = |name: &str| value(request, name).map(ToOwned::to_owned);
    let accept = value(request, "accept").unwrap_or("*/*");
    let accepts = |kind: &str, family: &str| {
        accept
            .split(',')
            .filter_map(|part| part.split(';').next())
            .map(str::trim)
            .any(|part| part == "*/*" || part == family || part.eq_ignore_ascii_case(kind))
    };
    Headers {
        protocol_version: text("mcp-protocol-version"),
        session: text(SESSION),
        last_event_id: text("last-event-id"),
        method: text("mcp-method"),
        name: text("mcp-name"),
        params: mirrored(request),
        repeated: repeated(request),
        accepts_stream: accepts(EVENTS, "text/*"),
        accepts_json: accepts(JSON, "application/*"),
    }
}

fn mirrored(request: &HttpRequest) -> Vec<(String, String)> {
    let param = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let name = name.as_str().strip_prefix("mcp-param-")?;
        Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    request.headers().iter().filter_map(param).collect()
}

fn repeated(request: &HttpRequest) -> Option<&'static str> {
    let names = ["mcp-protocol-version", "mcp-method", "mcp-name"];
    names.into_iter().find(|name| request.headers().get_all(*name).count() > 1)
}

fn value<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name)?.to_str().ok().map(str::trim)
}

fn write(gateway: &Gateway, response: Response, agent: Arc<Agent>) -> HttpResponse {
    match response {
        Response::Message { body, session, .. } if body.is_empty() => {
            with_session(StatusCode::ACCEPTED, session).finish()
        }
        Response::Message { status, body, session } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            with_session(status, session).content_type(JSON).body(body)
        }
        Response::Stream { reader, framing, session } => {
            let opening = (framing == Framing::Primed).then(|| {
                Bytes::from(format!("id: {}\nretry: {RETRY_MS}\ndata: \n\n", reader.event_id(reader.began_after())))
            });
            stream(gateway, with_session(StatusCode::OK, session), (reader, framing, opening), agent)
        }
        Response::Pair { reader, endpoint } => {
            let opening = Bytes::from(format!("event: endpoint\ndata: {endpoint}\n\n"));
            stream(gateway, HttpResponse::build(StatusCode::OK), (reader, Framing::Plain, Some(opening)), agent)
        }
        Response::Accepted => HttpResponse::Accepted().finish(),
        Response::NoContent => HttpResponse::NoContent().finish(),
        Response::NoSession => Problem::session_not_found().into_response(),
        Response::NoServer { code, detail } => Problem::server_not_found(code, &detail).into_response(),
        Response::MethodNotAllowed => HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "POST")).finish(),
    }
}

fn stream(
    gateway: &Gateway,
    mut builder: actix_web::HttpResponseBuilder,
    (reader, framing, opening): (Reader, Framing, Option<Bytes>),
    agent: Arc<Agent>,
) -> HttpResponse {
    builder
        .content_type(EVENTS)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(
            events(reader, framing, opening, Counted::new(gateway.metrics.clone()))
                .take_until(async move { agent.over().await }),
        )
}

fn with_session(status: StatusCode, session: Option<String>) -> actix_web::HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    if let Some(session) = session {
        builder.insert_header((SESSION, session));
    }
    builder
}

/// Writes events until the stream ends or its reader goes away.
fn events(
    reader: Reader,
    framing: Framing,
    opening: Option<Bytes>,
    counted: Counted,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold((reader, opening, counted), move |(mut reader, opening, counted)| async move {
        let bytes = if let Some(opening) = opening {
            opening
        } else {
            tokio::select! {
                biased;
                event = reader.next() => frame(&reader, framing, &event?),
                () = tokio::time::sleep(KEEP_ALIVE) => Bytes::from_static(b": still here\n\n"),
            }
        };
        Some((Ok(bytes), (reader, None, counted)))
    })
}

fn frame(reader: &Reader, framing: Framing, event: &Event) -> Bytes {
    let text = &event.text;
    // A message is one line; one that is not would be cut by the reader.
    let text = if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ").into() } else { text.clone() };
    Bytes::from(match framing {
        Framing::Plain => format!("event: message\ndata: {text}\n\n"),
        Framing::Resumable | Framing::Primed => {
            format!("id: {}\nevent: message\ndata: {text}\n\n", reader.event_id(event.seq))
        }
    })
}

/// Counts an open stream for as long as it lives.
struct Counted(crate::metrics::Metrics);

impl Counted {
    fn new(metrics: crate::metrics::Metrics) -> Self {
        metrics.stream_opened();
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stream_closed();
    }
}
