//! Where an upstream's messages go on their way to an agent.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mcp::log_level::LogLevel;

/// Who uses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// One agent session.
    Session,
    /// The stateless requests of one agent.
    Agent,
    /// Sessions of several agents.
    Everyone,
}

/// Questions to agents are numbered across the process: the answer to one that was asked before a server was started anew
/// is not taken for the answer to another.
static NEXT_QUESTION: AtomicU64 = AtomicU64::new(1);

/// An id for a request to an agent, unlike all others.
pub fn next_question_id() -> u64 {
    NEXT_QUESTION.fetch_add(1, Ordering::Relaxed)
}

/// Takes messages that were made for one agent, ids and tokens already its own.
pub trait Sink: Send + Sync {
    /// A notification. It is dropped when the agent reads too slowly.
    fn notify(&self, message: String);

    /// Whether it wants log messages of that level; `None` for a level that nobody knows.
    fn hears_log(&self, _level: Option<LogLevel>) -> bool {
        true
    }

    /// What to wait for before more is read for it, when its reader is slow; `None` when there is room now.
    fn room(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        None
    }

    /// A request that wants the agent's answer. `false` when there is no way to ask the agent: then the upstream is told.
    fn ask(&self, message: String) -> bool;
}

/// For connections and requests that no agent listens to.
#[derive(Debug)]
pub struct NoSink;

impl Sink for NoSink {
    fn notify(&self, _: String) {}

    fn ask(&self, _: String) -> bool {
        false
    }
}
