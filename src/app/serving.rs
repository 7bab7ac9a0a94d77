//! Serving until somebody asks to stop, and how it is stopped.

use actix_web::dev::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::AppError;
use crate::http::gateway::Gateway;

/// Serves, and returns when nothing is served any more.
///
/// The first SIGTERM or SIGINT asks: nothing new is taken, calls in flight may finish within the server's bound, calls
/// that wait for a person are told that the gateway stops. The second one ends at once.
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
    gateway.approvals.close();
    gateway.downstream.quiet();
    let stopping = handle.stop(true);
    tokio::select! {
        () = stopping => {}
        () = signals.next() => {
            tracing::warn!("stopping at once");
            handle.stop(false).await;
        }
    }
    gateway.downstream.close();
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
