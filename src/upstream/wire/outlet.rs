//! How messages leave.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::upstream::http::Remote;

/// Most messages that wait to be written.
pub(in crate::upstream) const QUEUE_MAX: usize = 256;

/// See the module.
pub(in crate::upstream) enum Outlet {
    /// One after the other, by whoever holds the other end.
    Queue(mpsc::Sender<String>),
    /// Each by itself, as the body of a request. Requests of the protocol are sent by whoever waits for their answer.
    Posts(Arc<Remote>),
}

/// Why a message can't leave.
pub(super) enum Refused {
    /// So many wait.
    Full(usize),
    Closed,
}

impl Outlet {
    /// A queue, and the end that is written from.
    pub(in crate::upstream) fn queue() -> (Self, mpsc::Receiver<String>) {
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        (Self::Queue(queue), messages)
    }

    pub(super) fn send(&self, text: String) -> Result<(), Refused> {
        match self {
            Self::Queue(queue) => queue.try_send(text).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Refused::Full(QUEUE_MAX),
                mpsc::error::TrySendError::Closed(_) => Refused::Closed,
            }),
            Self::Posts(remote) => remote.post_aside(text).map_err(Refused::Full),
        }
    }

    /// Whether the server is to be told that nobody waits for an answer any more; else it notices by itself.
    pub(super) fn hears_of_cancellation(&self) -> bool {
        match self {
            Self::Queue(_) => true,
            Self::Posts(remote) => !remote.is_cancelled_by_closing(),
        }
    }
}
