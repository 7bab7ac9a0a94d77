//! How a remote server is opened: in which era, and in which of the three ways that revisions of MCP know over HTTP.
//!
//! Asking costs a remote server nothing, so the way that suits the agent is tried first, and what worked is remembered
//! for the server. A refusal leads to the next way only when it can mean "not in this way"; a wrong token or a server
//! that is down is told as such at once.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Listener, Opening};
use crate::mcp::question::Abilities;
use crate::mcp::version::Era;
use crate::upstream::connection::Connection;
use crate::upstream::error::UpstreamError;
use crate::upstream::handshake;
use crate::upstream::http::{Endpoint, HttpError, Remote};

impl Core {
    pub(super) async fn open_remote(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        opening: Opening,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        match opening {
            Opening::Handshake { params, is_resumed } => {
                let connection = self.legacy_first(endpoint, &params, listener).await?;
                if is_resumed && connection.handshake.era == Era::Legacy {
                    connection.notify("notifications/initialized", None)?;
                }
                Ok(connection)
            }
            Opening::Stateless(abilities) => self.modern_first(endpoint, listener, &abilities).await,
        }
    }

    async fn legacy_first(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        params: &str,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let (is_paired, is_modern_only) = {
            let state = self.state();
            (state.is_paired, state.is_modern_only)
        };
        if is_paired {
            let opened = self.dial_pair(endpoint, params, listener).await;
            // It may have learnt something newer.
            self.state().is_paired = opened.is_ok();
            return opened;
        }
        if is_modern_only {
            match self.dial_modern(endpoint, listener.clone()).await {
                Ok(Some(connection)) => return Ok(connection),
                // It may have become an older one.
                Ok(None) => {}
                Err(error) if is_no(&error) => {}
                Err(error) => return Err(error),
            }
            self.state().is_modern_only = false;
        }
        let refused = match self.dial_legacy(endpoint, params, listener.clone()).await {
            Err(refused) => refused,
            opened => return opened,
        };
        if handshake::may_be_modern_only(&refused) {
            return match self.dial_modern(endpoint, listener).await? {
                Some(connection) => {
                    self.state().is_modern_only = true;
                    Ok(connection)
                }
                None => Err(refused),
            };
        }
        if !may_be_paired(&refused) {
            return Err(refused);
        }
        match self.dial_pair(endpoint, params, listener).await {
            Ok(connection) => {
                self.state().is_paired = true;
                Ok(connection)
            }
            // The first refusal says more about a server that is neither.
            Err(_) => Err(refused),
        }
    }

    async fn modern_first(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        listener: Listener,
        abilities: &Abilities,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let era = self.state().era;
        if era != Some(Era::Legacy) {
            match self.dial_modern(endpoint, listener.clone()).await {
                Ok(Some(connection)) => {
                    self.state().era = Some(Era::Modern);
                    return Ok(connection);
                }
                Ok(None) => {}
                Err(error) if is_no(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let connection = self.legacy_first(endpoint, &handshake::initialize_params(abilities), listener).await?;
        if connection.handshake.era == Era::Legacy {
            self.state().era = Some(Era::Legacy);
            connection.notify("notifications/initialized", None)?;
        }
        Ok(connection)
    }

    async fn dial_legacy(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        params: &str,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let line = self.dial(Remote::new(endpoint, Era::Legacy, self)?, None, listener)?;
        let handshake =
            handshake::initialize(&line.link, params, endpoint.timeout).await.map_err(|error| self.named(error))?;
        Ok(line.established(self, handshake))
    }

    async fn dial_modern(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        listener: Listener,
    ) -> Result<Option<Arc<Connection>>, UpstreamError> {
        let remote = Remote::new(endpoint, Era::Modern, self)?;
        remote.agreed(crate::mcp::version::MODERN);
        let line = self.dial(remote, None, listener)?;
        let handshake = handshake::discover(&line.link, endpoint.timeout).await.map_err(|error| self.named(error))?;
        Ok(handshake.map(|handshake| line.established(self, handshake)))
    }

    async fn dial_pair(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        params: &str,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let remote = Remote::new(endpoint, Era::Legacy, self)?;
        let admission = remote.admit()?;
        // A server that is not to be had in this way is still as it showed itself before.
        let opened = remote.open_pair().await?;
        admission.observed("", &Ok(()));
        let line = self.dial(remote, Some(opened), listener)?;
        let handshake =
            handshake::initialize(&line.link, params, endpoint.timeout).await.map_err(|error| self.named(error))?;
        Ok(line.established(self, handshake))
    }

    /// Without an answer or progress, a request is given up after this.
    pub(super) fn quiet(&self) -> Duration {
        match &self.spec.transport {
            crate::upstream::spec::Transport::Http(endpoint) => endpoint.timeout,
            crate::upstream::spec::Transport::Stdio(_) => self.limits.request_timeout,
        }
    }
}

/// Whether the server said no to the way in which it was asked, rather than to whoever asks.
fn is_no(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Http(HttpError::Status { .. } | HttpError::NotThere { .. }))
}

/// The statuses with which a server of 2024-11-05 refuses what it doesn't know.
fn may_be_paired(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Http(HttpError::NotThere { .. } | HttpError::Status { status: 400, .. }))
}
