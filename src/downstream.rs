//! What an agent talks to: the MCP endpoint of one server, in both eras, without a word about HTTP.
//!
//! A message comes in as text with the few headers that MCP gives a meaning; out goes a [`Response`]: one message, an
//! acknowledgement, or an event stream. [`legacy`] keeps sessions (2024-11-05 to 2025-11-25), [`modern`] answers requests
//! that stand alone (2026-07-28); which one a message belongs to is said by the message. Where agent and server differ in
//! era, [`bridge`] translates. What a server asks in return crosses, too: [`rounds`] puts a modern server's questions to a
//! legacy agent, [`held`] keeps the call of a modern agent open while it finds the answer to a legacy server's.
//!
//! Every request that reaches a server goes through [`Invocations::run`](crate::invocation::Invocations::run); this room
//! has no other way out.
//!
//! Never done here: deciding, recording, and choosing an HTTP status other than the few that MCP itself prescribes.

mod alone;
mod asking;
mod bridge;
mod call;
mod defined;
mod held;
mod legacy;
mod line;
mod listen;
mod listing;
mod mirrored;
mod modern;
mod pair;
mod pledges;
mod promises;
mod response;
mod rounds;
mod session;
mod sessions;
mod stream;

use std::sync::Arc;

pub use response::{Framing, Headers, Incoming, Response};
pub use sessions::Bounds;
pub use stream::{Event, EventStream, Reader};

use tokio::sync::watch;

use crate::invocation::{Invocations, Pledges};
use crate::mcp::version::{self, Era};
use crate::mcp::{envelope, error, meta};
use crate::upstream::{Connection, Directory, Upstream, UpstreamError};
use held::HeldCalls;
use pair::Pairs;
use promises::Promises;
use sessions::Sessions;

/// The face of this room.
#[derive(Clone)]
pub struct Downstream {
    invocations: Invocations,
    directory: Directory,
    sessions: Arc<Sessions>,
    held: HeldCalls,
    promises: Arc<Promises>,
    pledges: Pledges,
    pairs: Pairs,
    /// The base URL that people use, for the words of a waiting call.
    public_url: Arc<str>,
    phase: Arc<watch::Sender<Phase>>,
    /// How many requests run.
    under_way: Arc<watch::Sender<usize>>,
}

/// How far the way to the end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new request is taken, and streams that would stay open end.
    Stopping,
    /// Whatever runs is cancelled.
    Closed,
}

impl Downstream {
    /// Joins the rooms below.
    #[must_use]
    pub fn new(
        (invocations, pledges): (Invocations, Pledges),
        directory: Directory,
        bounds: Bounds,
        public_url: &str,
    ) -> Self {
        Self {
            sessions: Sessions::start(bounds, invocations.metrics().clone(), directory.clone()),
            promises: Arc::default(),
            pledges,
            pairs: Pairs::default(),
            invocations,
            directory,
            held: HeldCalls::default(),
            public_url: public_url.into(),
            phase: Arc::new(watch::Sender::new(Phase::Serving)),
            under_way: Arc::default(),
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
        let upstream = match self.find(&incoming.server) {
            Ok(upstream) => upstream,
            Err(response) => return response,
        };
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Response::MethodNotAllowed;
        }
        match self.session(&upstream, incoming) {
            Ok(session) => session.listen(incoming.headers.last_event_id.as_deref()),
            Err(response) => response,
        }
    }

    /// Answers a DELETE: the session ends, and its process with it.
    pub fn delete(&self, incoming: &Incoming) -> Response {
        if incoming.headers.protocol_version.as_deref() == Some(version::MODERN) {
            return Response::MethodNotAllowed;
        }
        // A disabled server's sessions can be ended, too.
        let Some(upstream) = self.directory.find(&incoming.server) else { return Response::NoSession };
        match self.session(&upstream, incoming) {
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

    /// Takes no new request and ends the streams that would otherwise stay open; calls in flight go on.
    pub fn quiet(&self) {
        self.phase.send_replace(Phase::Stopping);
        self.sessions.quiet();
        // Its agent could not come back to it.
        self.held.close();
    }

    /// Whether new requests are turned away, because the gateway is going to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    /// Resolves when no request runs, whether its agent is there or not.
    pub async fn idle(&self) {
        // It can't be closed: this is one of its handles.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await.is_ok();
    }

    /// Cancels what still runs and ends all sessions, so that their processes can stop.
    pub fn close(&self) {
        self.phase.send_replace(Phase::Closed);
        self.sessions.end_all();
    }

    /// Resolves when this phase or a later one is reached.
    async fn phase_is(&self, wanted: Phase) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await.is_ok();
    }

    fn refuse_if_stopping(&self, id: &str) -> Option<Response> {
        self.is_stopping().then(|| {
            let what = "the gateway is stopping and takes no new requests; try again when it is back";
            let data = serde_json::json!({ "code": "stopping", "retry": "safe" });
            Response::error_object(503, Some(id), &error::object_with(error::UPSTREAM, what, &data))
        })
    }

    /// The server as it is now: while a call waited for a person, it may have been edited. One that was made later under the
    /// same name is another.
    fn present(&self, upstream: &Upstream) -> Result<Arc<Upstream>, UpstreamError> {
        let present = self.directory.find(&upstream.spec.name).filter(|present| present.spec.id == upstream.spec.id);
        present.ok_or(UpstreamError::Stopped { was_sent: false })
    }

    /// Opens a connection to the server as it is now; if it is edited meanwhile, to what it became.
    async fn open_present(
        &self,
        upstream: &Upstream,
        open: impl AsyncFn(&Upstream) -> Result<Arc<Connection>, UpstreamError>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let mut present = self.present(upstream)?;
        loop {
            let opened = open(&present).await;
            if !matches!(opened, Err(UpstreamError::Stopped { was_sent: false } | UpstreamError::ActorDown)) {
                return opened;
            }
            let next = self.present(upstream)?;
            if Arc::ptr_eq(&next, &present) {
                return opened;
            }
            present = next;
        }
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
        // A session is a thing of the legacy era, whatever else is said.
        Some(version) if version::is_handshake(version) && incoming.headers.session.is_some() => Era::Legacy,
        Some(version) if version == version::MODERN => Era::Modern,
        _ => match envelope::parse(&incoming.body) {
            Ok(envelope::Message::Request { params, .. } | envelope::Message::Notification { params, .. })
                if meta::get(params.map(serde_json::value::RawValue::get), meta::PROTOCOL_VERSION).is_some() =>
            {
                Era::Modern
            }
            _ if incoming.headers.protocol_version.as_deref().is_some_and(version::is_handshake) => Era::Legacy,
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
