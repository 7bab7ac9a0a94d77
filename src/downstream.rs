//! What an agent talks to: the MCP endpoint of one server, in both eras, without a word about HTTP.
//!
//! A message comes in as text with the few headers that MCP gives a meaning; out goes a [`Response`]: one message, an
//! acknowledgement, or an event stream. [`legacy`] keeps sessions (2024-11-05 to 2025-11-25), [`modern`] answers requests
//! that stand alone (2026-07-28); which one a message belongs to is said by the message. Where agent and server differ in
//! era, [`bridge`] translates.
//!
//! Every request that reaches a server goes through [`Invocations::run`](crate::invocation::Invocations::run); this room
//! has no other way out.
//!
//! Never done here: deciding, recording, and choosing an HTTP status other than the few that MCP itself prescribes.

mod asking;
mod bridge;
mod call;
mod legacy;
mod listen;
mod listing;
mod mirrored;
mod modern;
mod response;
mod session;
mod sessions;
mod stream;

use std::sync::Arc;

pub use response::{Framing, Headers, Incoming, Response};
pub use sessions::Bounds;
pub use stream::{Event, EventStream, Reader};

use tokio::sync::watch;

use crate::invocation::Invocations;
use crate::mcp::version::{self, Era};
use crate::mcp::{envelope, meta};
use crate::upstream::{Directory, Upstream, UpstreamError};
use sessions::Sessions;

/// The face of this room.
#[derive(Clone)]
pub struct Downstream {
    invocations: Invocations,
    directory: Directory,
    sessions: Arc<Sessions>,
    /// The base URL that people use, for the words of a waiting call.
    public_url: Arc<str>,
    /// True when streams that would stay open are to end.
    is_quiet: Arc<watch::Sender<bool>>,
}

impl Downstream {
    /// Joins the rooms below.
    #[must_use]
    pub fn new(invocations: Invocations, directory: Directory, bounds: Bounds, public_url: &str) -> Self {
        Self {
            sessions: Sessions::start(bounds, invocations.metrics().clone()),
            invocations,
            directory,
            public_url: public_url.into(),
            is_quiet: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Answers a POST.
    pub async fn post(&self, incoming: Incoming) -> Response {
        let upstream = match self.find(&incoming.server) {
            Ok(upstream) => upstream,
            Err(response) => return response,
        };
        if let Err(refused) = crate::mcp::strict::check(&incoming.body) {
            return Response::parse_error(&incoming.body, &refused.to_string());
        }
        match era_of(&incoming) {
            Era::Modern => self.modern(upstream, incoming).await,
            Era::Legacy => self.legacy(upstream, incoming).await,
        }
    }

    /// Answers a GET: the session's standing stream, or the resumption of another one.
    pub fn get(&self, incoming: &Incoming) -> Response {
        if let Err(response) = self.find(&incoming.server) {
            return response;
        }
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Response::MethodNotAllowed;
        }
        match self.session(incoming) {
            Ok(session) => session.listen(incoming.headers.last_event_id.as_deref()),
            Err(response) => response,
        }
    }

    /// Answers a DELETE: the session ends, and its process with it.
    pub fn delete(&self, incoming: &Incoming) -> Response {
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Response::MethodNotAllowed;
        }
        match self.session(incoming) {
            Ok(session) => {
                self.sessions.end(&session);
                Response::NoContent
            }
            Err(response) => response,
        }
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Ends the streams that would otherwise stay open; calls in flight go on.
    pub fn quiet(&self) {
        self.is_quiet.send_replace(true);
        self.sessions.quiet();
    }

    /// Resolves when the reader of a request that stays open has left, or is asked to.
    async fn over(&self, stream: &EventStream) {
        let mut is_quiet = self.is_quiet.subscribe();
        tokio::select! {
            () = stream.left() => {}
            _ = is_quiet.wait_for(|is_quiet| *is_quiet) => {}
        }
    }

    /// Ends all sessions, so that their processes can stop.
    pub fn close(&self) {
        self.sessions.end_all();
    }

    /// The upstream as it is now: while a call waited for a person, the server may have been edited.
    fn present(&self, name: &str) -> Result<Arc<Upstream>, UpstreamError> {
        self.directory.find(name).ok_or(UpstreamError::Stopped { was_sent: false })
    }

    fn find(&self, name: &str) -> Result<Arc<Upstream>, Response> {
        let upstream = self.directory.find(name).ok_or_else(|| Response::NoServer {
            code: "server_not_found",
            detail: format!("there is no server {name:?} here"),
        })?;
        if upstream.spec.enabled {
            Ok(upstream)
        } else {
            Err(Response::NoServer {
                code: "server_disabled",
                detail: format!("the server {name:?} is disabled; an operator can enable it"),
            })
        }
    }
}

/// A message says itself which era it belongs to: by its version header, or by the version in its `_meta`.
fn era_of(incoming: &Incoming) -> Era {
    match incoming.headers.protocol_version.as_deref() {
        Some(version) if version::is_handshake(version) => Era::Legacy,
        Some(version) if version == version::MODERN => Era::Modern,
        _ => match envelope::parse(&incoming.body) {
            Ok(envelope::Message::Request { params, .. } | envelope::Message::Notification { params, .. })
                if meta::get(params.map(serde_json::value::RawValue::get), meta::PROTOCOL_VERSION).is_some() =>
            {
                Era::Modern
            }
            // A version that nobody speaks is refused in the words of the era that has words for it.
            Ok(envelope::Message::Request { ref method, .. })
                if incoming.headers.protocol_version.is_some()
                    && incoming.headers.session.is_none()
                    && method != "initialize" =>
            {
                Era::Modern
            }
            _ => Era::Legacy,
        },
    }
}
