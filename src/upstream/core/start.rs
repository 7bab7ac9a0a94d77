//! Starting a process: within the count that is allowed, and in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Core, Listener};
use crate::upstream::connection::Connection;
use crate::upstream::error::UpstreamError;
use crate::upstream::handshake::Handshake;
use crate::upstream::sink::Audience;
use crate::upstream::spec::Transport;
use crate::upstream::stdio;
use crate::upstream::wire::Wire;

/// Processes of one server that may be in their start at once; fewer than of all servers together.
pub(super) const STARTS_MAX: usize = 2;
/// A start that takes longer no longer counts as one.
const TURN_MAX: Duration = Duration::from_secs(10);

impl Core {
    pub(super) async fn start(self: &Arc<Self>, listener: Listener) -> Result<Process, UpstreamError> {
        let Transport::Stdio(launch) = &self.spec.transport else {
            return Err(UpstreamError::NotRunnable { reason: "HTTP is not spoken yet".into() });
        };
        let max = self.limits.processes_max;
        let place = self.processes.clone().try_acquire_owned().map_err(|_| UpstreamError::TooMany { max })?;
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
        Ok(Process { wire, is_established, audience: listener.audience, _turn: turn })
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

/// A process whose handshake is not done. Dropped before it is, the process is stopped.
pub(super) struct Process {
    pub(super) wire: Arc<Wire>,
    is_established: Arc<AtomicBool>,
    audience: Audience,
    /// Dropped when the start is over.
    _turn: oneshot::Sender<()>,
}

impl Process {
    pub(super) fn established(self, core: &Core, handshake: Handshake) -> Arc<Connection> {
        self.is_established.store(true, Ordering::Release);
        Arc::new(Connection::new(handshake, core.spec.revision, self.audience, self.wire.clone(), core.limits.clone()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_established.load(Ordering::Acquire) {
            self.wire.stop.notify_one();
        }
    }
}
