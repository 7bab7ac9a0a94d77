//! Serving until somebody asks to stop, and how it is stopped.

use std::time::Duration;

use actix_web::dev::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use super::error::AppError;
use crate::http::gateway::Gateway;

/// How long calls in flight may take to end. The rest of the 30 s that are promised is the server's, for answers that
/// are still being written.
const CALLS_END_WITHIN: Duration = Duration::from_secs(25);
/// How long calls that were cancelled may take to say so.
const CANCELLED_WITHIN: Duration = Duration::from_secs(1);

/// Serves, and returns when nothing is served any more.
///
/// The first SIGTERM or SIGINT asks: nothing new is taken, calls in flight may finish whether their agent still listens
/// or not, calls that wait for a person are told that the gateway stops. The second one ends at once.
pub(super) async fn serve_until_stopped(
    server: Server,
    gateway: &Gateway,
    mut signals: Signals,
) -> Result<(), AppError> {
    let handle = server.handle();
    let mut serving = actix_rt::spawn(server);
    tokio::select! {
        ended = &mut serving => return ended.unwrap_or(Ok(())).map_err(AppError::Broken),
        () = signals.next() => {}
    }
    tracing::info!("stopping: calls in flight may finish");
    gateway.downstream.quiet();
    gateway.approvals.close();
    // Calls run beside the requests that asked for them, on the server's threads: these must stay until all have ended.
    let is_urgent = tokio::select! {
        ended = timeout(CALLS_END_WITHIN, gateway.downstream.idle()) => {
            if ended.is_err() {
                tracing::warn!("calls are still in flight; they are cancelled");
            }
            false
        }
        () = signals.next() => true,
    };
    gateway.downstream.close();
    if timeout(CANCELLED_WITHIN, gateway.downstream.idle()).await.is_err() {
        tracing::warn!("a call did not end in time; its row says so");
    }
    let is_stopped = !is_urgent
        && tokio::select! {
            () = handle.stop(true) => true,
            () = signals.next() => false,
        };
    if !is_stopped {
        tracing::warn!("stopping at once");
        // Asked to stop gently, the server listens to nothing else: only dropping it ends it.
        serving.abort();
    }
    Ok(())
}

/// The signals that ask to stop. Once this exists they no longer end the process by themselves.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, AppError> {
        let of = |kind| signal(kind).map_err(AppError::Broken);
        Ok(Self { term: of(SignalKind::terminate())?, int: of(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
