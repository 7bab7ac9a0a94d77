//! The claim to the answer of a request that was sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Reply, Wire};
use crate::upstream::error::UpstreamError;

/// See there. Whoever drops it cancels the request.
pub(in crate::upstream) struct InFlight {
    pub(super) wire: Arc<Wire>,
    pub(super) id: u64,
    pub(super) is_cancellable: bool,
    pub(super) answer: oneshot::Receiver<Result<Reply, UpstreamError>>,
    pub(super) last_heard: Arc<Mutex<Instant>>,
    pub(super) is_done: bool,
}

impl InFlight {
    /// The id on the wire.
    pub(in crate::upstream) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the answer: at most `quiet` without progress, and never longer than `longest`. While the server itself
    /// waits for an agent's answer, its silence is none.
    pub(in crate::upstream) async fn reply(
        mut self,
        quiet: Duration,
        longest: Duration,
    ) -> Result<Reply, UpstreamError> {
        let started = Instant::now();
        loop {
            let last_heard = *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = (last_heard + quiet).min(started + longest);
            tokio::select! {
                biased;
                answer = &mut self.answer => {
                    self.is_done = true;
                    return answer.unwrap_or(Err(UpstreamError::Stopped { was_sent: true }));
                }
                () = tokio::time::sleep_until(deadline) => {
                    let waits_for_us = self.wire.waits_for_answer(self.id);
                    let mut heard = self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
                    if waits_for_us {
                        *heard = Instant::now();
                    }
                    if *heard <= last_heard || deadline >= started + longest {
                        return Err(UpstreamError::TimedOut { seconds: whole_seconds(started.elapsed()) });
                    }
                }
            }
        }
    }

    /// Nobody waits for the answer: the request was not handed over after all, or whatever comes will do.
    pub(in crate::upstream) fn forget(mut self) {
        self.wire.state().pending.remove(&self.id);
        self.is_done = true;
    }
}

/// To the nearest: a clock that was read a moment too late makes no second less.
fn whole_seconds(waited: Duration) -> u64 {
    waited.saturating_add(Duration::from_millis(500)).as_secs()
}

/// Whoever stops waiting cancels: the server is told, and a late answer is dropped.
impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let was_pending = self.wire.state().pending.remove(&self.id).is_some();
        if was_pending && self.is_cancellable && self.wire.outlet.hears_of_cancellation() {
            let params = format!(r#"{{"requestId":{},"reason":"the caller no longer waits"}}"#, self.id);
            let _ = self.wire.notify("notifications/cancelled", Some(&params));
        }
    }
}
