//! What carries a connection's messages: the wire, and for a remote server the requests that go out for it.

use std::sync::Arc;
use std::time::Duration;

use super::error::UpstreamError;
use super::http::{self, HttpError, Remote};
use super::wire::{Reply, Ticket, Wire};
use crate::mcp::version::Era;

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without an answer or progress.
    pub(super) quiet: Duration,
    /// In all.
    pub(super) longest: Duration,
}

impl Patience {
    /// So long, and no longer.
    pub(super) fn of(limit: Duration) -> Self {
        Self { quiet: limit, longest: limit }
    }

    /// For what is meant to stay; its end is the agent's or the server's.
    pub(super) fn endless() -> Self {
        Self::of(Duration::from_secs(u64::from(u32::MAX)))
    }
}

/// One request.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) params: Option<&'a str>,
    pub(super) ticket: Option<Ticket>,
    /// The arguments that a modern remote server wants repeated in headers.
    pub(super) mirrored: &'a [super::connection::Mirrored],
}

impl<'a> Asked<'a> {
    /// One of the gateway's own.
    pub(super) fn own(method: &'a str, params: &'a str) -> Self {
        Self { method, params: Some(params), ticket: None, mirrored: &[] }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) wire: Arc<Wire>,
    /// None for a process, and for a server that is spoken to in the way of 2024-11-05.
    pub(super) remote: Option<Arc<Remote>>,
}

impl Link {
    /// Sends a request and waits for its answer. Dropping the future cancels the request.
    pub(super) async fn ask(&self, asked: Asked<'_>, patience: Patience) -> Result<Reply, UpstreamError> {
        let Asked { method, params, ticket, mirrored } = asked;
        let Some(remote) = &self.remote else {
            let in_flight = self.wire.request(method, params, ticket)?;
            return in_flight.reply(patience.quiet, patience.longest).await;
        };
        let admission = remote.admit()?;
        remote.settled().await;
        let (in_flight, text) = self.wire.prepare(method, params, ticket)?;
        let id = in_flight.id();
        let more = match remote.era() {
            Era::Modern => http::mirror(method, params, mirrored),
            Era::Legacy => Vec::new(),
        };
        let exchange = async {
            let exchanged = remote.exchange(&self.wire, id, more, text).await;
            admission.observed(method, &exchanged);
            if let Err(error) = exchanged {
                self.wire.fail(id, error);
            }
        };
        let reply = in_flight.reply(patience.quiet, patience.longest);
        tokio::pin!(reply);
        let replied = tokio::select! {
            biased;
            reply = &mut reply => reply,
            () = exchange => reply.await,
        };
        // Nobody tells of a silence but whoever waited.
        if let Err(UpstreamError::TimedOut { seconds }) = replied {
            admission.observed(method, &Err(HttpError::TimedOut { seconds }.into()));
        }
        replied
    }

    /// Whether a request would be let out now; if not, why not.
    pub(super) fn look(&self) -> Result<(), UpstreamError> {
        self.remote.as_ref().map_or(Ok(()), |remote| Ok(remote.look()?))
    }

    /// Whether requests can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.wire.is_open() && self.remote.as_ref().is_none_or(|remote| remote.is_known())
    }

    /// Whether it leads to a modern server by HTTP, where headers repeat parts of the body.
    pub(super) fn is_mirrored(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.era() == Era::Modern)
    }
}
