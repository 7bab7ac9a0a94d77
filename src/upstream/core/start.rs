//! A line to the server: a process that is started, or a remote server that is dialled; then the handshake on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Core, Listener};
use crate::child::Launch;
use crate::upstream::connection::Connection;
use crate::upstream::error::UpstreamError;
use crate::upstream::handshake::Handshake;
use crate::upstream::http::{self, Pair, Remote};
use crate::upstream::known::Watch;
use crate::upstream::link::{Link, Patience};
use crate::upstream::sink::Audience;
use crate::upstream::stdio;

/// Processes of one server that may be in their start at once; fewer than of all servers together.
pub(super) const STARTS_MAX: usize = 2;
/// A start that takes longer no longer counts as one.
const TURN_MAX: Duration = Duration::from_secs(10);

impl Core {
    /// Starts a process, in its turn.
    pub(super) async fn start(self: &Arc<Self>, launch: &Launch, listener: Listener) -> Result<Line, UpstreamError> {
        let place = self.place()?;
        let turn = self.turn().await?;
        let is_established = Arc::new(AtomicBool::new(false));
        let (core, established) = (Arc::downgrade(self), is_established.clone());
        let born = Instant::now();
        let wire = stdio::start(
            launch,
            self.limits.line_bytes_max,
            (listener.sink, listener.audience),
            self.tail.clone(),
            move |exit| {
                drop(place);
                if let (Some(core), Some(exit), true) = (core.upgrade(), exit, established.load(Ordering::Acquire)) {
                    core.lost(&exit, born);
                }
            },
        )?;
        Ok(Line { link: Link { wire, remote: None }, is_established, audience: listener.audience, _turn: Some(turn) })
    }

    /// Begins a connection to a remote server. Nothing is sent yet; of an older server, the stream is open.
    pub(super) fn dial(
        &self,
        remote: Arc<Remote>,
        pair: Option<Pair>,
        listener: Listener,
    ) -> Result<Line, UpstreamError> {
        let place = self.place()?;
        let is_paired = pair.is_some();
        let wire = http::start(&remote, pair, (listener.sink, listener.audience), move || drop(place));
        let remote = (!is_paired).then_some(remote);
        let is_established = Arc::default();
        Ok(Line { link: Link { wire, remote }, is_established, audience: listener.audience, _turn: None })
    }

    fn place(&self) -> Result<tokio::sync::OwnedSemaphorePermit, UpstreamError> {
        self.places.clone().try_acquire_owned().map_err(|_| UpstreamError::TooMany { max: self.places_max })
    }

    /// Waits for a turn to start a process. Starts are work, so only a few are made at once; but a server that hangs in its
    /// start keeps its turn only for a while, and never takes all.
    async fn turn(&self) -> Result<oneshot::Sender<()>, UpstreamError> {
        let closed = |_| UpstreamError::Stopped { was_sent: false };
        let own = self.own_starts.clone().acquire_owned().await.map_err(closed)?;
        let of_all = self.starts.clone().acquire_owned().await.map_err(closed)?;
        let (held, released) = oneshot::channel::<()>();
        actix_rt::spawn(async move {
            let _released_or_too_long = tokio::time::timeout(TURN_MAX, released).await;
            drop((own, of_all));
        });
        Ok(held)
    }
}

/// A line whose handshake is not done. Dropped before it is, it is taken down.
pub(super) struct Line {
    pub(super) link: Link,
    is_established: Arc<AtomicBool>,
    audience: Audience,
    /// Dropped when the start is over.
    _turn: Option<oneshot::Sender<()>>,
}

impl Line {
    pub(super) fn established(self, core: &Core, handshake: Handshake) -> Arc<Connection> {
        self.is_established.store(true, Ordering::Release);
        if let Some(remote) = &self.link.remote {
            remote.agreed(&handshake.version);
        }
        let patience = Patience { quiet: core.quiet(), longest: core.limits.request_timeout_max.max(core.quiet()) };
        let watch = core.pins.clone().map(|pins| Watch { pins, server_id: core.spec.id.clone() });
        Arc::new(Connection::new(handshake, core.spec.revision, self.audience, self.link.clone(), patience, watch))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_established.load(Ordering::Acquire) {
            self.link.wire.stop.notify_one();
        }
    }
}
