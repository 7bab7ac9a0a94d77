//! The session's own stream: what a remote server says of itself, beside any request (GET; 2025-03-26 and later).

use std::sync::Arc;
use std::time::Duration;

use super::error::HttpError;
use super::events::Events;
use super::remote::Remote;
use crate::backoff::Backoff;
use crate::egress::EgressError;
use crate::upstream::wire::{Origin, Wire};

/// First and longest delay before a stream that broke is opened again.
const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

impl Remote {
    /// Listens for as long as the server offers it. Returns when there is no more to hear: many servers have no such
    /// stream (405), and that is no failure.
    pub(super) async fn listen(&self, wire: &Arc<Wire>) {
        let mut backoff = Backoff::new(DELAYS.0, DELAYS.1);
        let mut last_id: Option<String> = None;
        let mut was_open = false;
        loop {
            let mut events = Events::new(self.bytes_max);
            match self.open_stream(last_id.as_deref()).await {
                Ok(mut stream) => {
                    was_open = true;
                    while let Ok(Some(chunk)) = stream.chunk().await {
                        if events.push(&chunk).is_err() {
                            tracing::warn!(
                                "a server's event is longer than {} bytes; its stream is opened anew",
                                self.bytes_max
                            );
                            break;
                        }
                        while let Some(event) = events.next() {
                            backoff.reset();
                            if event.is_message() && self.take(wire, Origin::Apart, event.data).is_err() {
                                tracing::debug!("a server sent an event that is no message");
                            }
                        }
                        // One that never stops talking shares this thread with all others.
                        tokio::task::yield_now().await;
                    }
                }
                Err(HttpError::NotThere { .. }) if last_id.is_some() && self.is_known() => {
                    // What was missed is no longer there; what comes next may be.
                    last_id = None;
                }
                Err(HttpError::NotThere { status: 404 }) if was_open => return self.lose(),
                // Also 404, where it was never open: many servers say that for 405, and know the session well.
                Err(error) if !may_pass(&error) => return self.observe(&error),
                Err(error) => tracing::debug!(%error, "a server's own stream could not be opened"),
            }
            if !self.is_known() || !wire.is_open() {
                return;
            }
            let pause = events.retry.unwrap_or_else(|| backoff.fail());
            last_id = events.last_id.take().or(last_id);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether another try may bring something else.
fn may_pass(error: &HttpError) -> bool {
    match error {
        HttpError::Status { status, .. } => *status >= 500,
        HttpError::NotThere { .. }
        | HttpError::Unauthorized(_)
        | HttpError::Forbidden(_)
        | HttpError::Redirected { .. }
        | HttpError::WrongContentType { .. }
        | HttpError::Egress(EgressError::Encoded { .. } | EgressError::CloseDelimited) => false,
        _ => true,
    }
}
