//! The light look at a remote server that nobody has called for a while.
//!
//! Real traffic says best how a server is. Only when there was none is one handshake made, so that an operator sees a
//! server that went away before an agent does, and a circuit that opened finds out that it may close.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::upstream::spec::Transport;
use crate::upstream::status::Word;

impl Core {
    /// Whether it is looked at by itself: only what costs nothing to ask is.
    pub(in crate::upstream) fn is_checked(&self) -> bool {
        self.spec.enabled && self.spec.fault.is_none() && matches!(self.spec.transport, Transport::Http(_))
    }

    /// Looks, unless the server answered within `every`.
    pub(in crate::upstream) async fn check(self: Arc<Self>, every: Duration) {
        let last_answer = self.state().last_answer;
        let is_fresh = last_answer.is_some_and(|at| at.elapsed() < every);
        // A server that wants a person wants no further tries.
        let waits_for_operator = self.status.load().status == Word::ActionRequired;
        if is_fresh || waits_for_operator || self.breaker.look().is_err() {
            return;
        }
        self.look().await;
    }

    /// Makes one handshake. What comes of it is published on the way.
    pub(in crate::upstream) async fn look(self: Arc<Self>) {
        self.took_look();
        if let Ok(connection) = self.open_own().await {
            connection.stop();
        }
    }
}
