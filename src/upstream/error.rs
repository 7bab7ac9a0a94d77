//! Why an upstream gave no answer.

use super::http::HttpError;
use super::wire::Ticket;
use crate::child::LaunchError;
use crate::egress::EgressError;
use crate::gate::Permit;

/// Each says what happened, to which server's process, and whether the request may have reached it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The process could not be started.
    #[error("{0}")]
    Launch(#[from] LaunchError),
    /// The process ended by itself.
    #[error("the server {exit}{}", last_words(.stderr))]
    Exited {
        /// How it ended, such as "exited with code 3".
        exit: String,
        /// Its last lines on stderr.
        stderr: Vec<String>,
        /// Whether the request had been handed to it.
        was_sent: bool,
    },
    /// The handshake took too long.
    #[error("the server did not finish its start within {seconds} s{}", last_words(.stderr))]
    StartTimedOut {
        /// The bound.
        seconds: u64,
        /// Its last lines on stderr.
        stderr: Vec<String>,
    },
    /// The server answered the handshake with an error.
    #[error("the server refused the handshake: {error}")]
    Refused {
        /// The JSON-RPC error object's text.
        error: String,
    },
    /// The handshake's answer can't be used.
    #[error("the server's answer to the handshake can't be used: {reason}")]
    Unusable {
        /// What is wrong with it.
        reason: String,
    },
    /// It failed before, and the next try is not due yet.
    #[error("the server failed {failures} times and is tried again in {} s; last: {reason}", .wait_ms.div_ceil(1000))]
    Backoff {
        /// How often in a row.
        failures: u32,
        /// Until the next try.
        wait_ms: u64,
        /// The last failure.
        reason: String,
    },
    /// As many processes as allowed are running.
    #[error("all {max} processes of this server are in use; end an agent session, or raise upstream.max_processes")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The process does not read what is sent to it.
    #[error("the server does not read its input; {queued} messages already wait")]
    Busy {
        /// The bound of the queue.
        queued: usize,
    },
    /// No answer in time.
    #[error("the server did not answer within {seconds} s; whether the call ran is unknown")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is longer than allowed.
    #[error("the server's answer is longer than {bytes_max} bytes and was dropped")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The connection was ended by the gateway: the server was edited, disabled, removed or restarted.
    #[error("the connection to the server was closed by the gateway")]
    Stopped {
        /// Whether the request had been handed to it.
        was_sent: bool,
    },
    /// The server answered with a question, and got no answer to it.
    #[error("the server wants something from its client first, and the call was given up: {reason}")]
    Unanswered {
        /// Why it was not answered.
        reason: String,
    },
    /// The server answered with a question, and meanwhile the rules say no to the call.
    #[error("the server asked something in return, and meanwhile the rules deny the call: {reason}")]
    Denied {
        /// The rule's words.
        reason: String,
    },
    /// The server says since a moment ago that the tool is another one than was decided on.
    #[error("the server says since this moment that the tool is another one; nothing was sent; make the call again")]
    Redefined,
    /// A remote server gave no answer.
    #[error("{}", of_a_call(.0))]
    Http(#[from] HttpError),
    /// There was no connection yet, and this is what became of opening one: the call was not sent.
    #[error("{}", plainly(.0))]
    Unopened(Box<Self>),
    /// A remote server no longer knows the session, and refused the request for that alone.
    #[error("the server no longer knows the session; a new one is begun with the next request")]
    SessionLost(Option<Box<Unspent>>),
    /// The server took the call as a task, and what became of that could not be learnt.
    #[error("the server took the call as a task, and its end could not be learnt: {}; whether the call ran is unknown", plainly(.0))]
    Unfinished(Box<Self>),
    /// The server is disabled.
    #[error("the server is disabled; an operator can enable it")]
    Disabled,
    /// The upstream's actor is being made again.
    #[error("the gateway's part for this server is being restarted; try again in a moment")]
    ActorDown,
    /// What is stored of it can't be read: a secret that does not open, or arguments that are none.
    #[error("the server can't be run as it is stored: {reason}")]
    NotRunnable {
        /// Why.
        reason: String,
    },
}

impl UpstreamError {
    /// Whether the request may have reached the server: then nobody may assume that it did not run.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Exited { was_sent, .. } | Self::Stopped { was_sent } => *was_sent,
            Self::TimedOut { .. } | Self::TooLarge { .. } | Self::Unfinished(_) => true,
            Self::Http(error) => error.was_sent(),
            Self::Launch(_)
            | Self::StartTimedOut { .. }
            | Self::Refused { .. }
            | Self::Unusable { .. }
            | Self::Backoff { .. }
            | Self::TooMany { .. }
            | Self::Busy { .. }
            // The server gave the request back: it says itself that it has not carried it out.
            | Self::Unanswered { .. }
            | Self::Denied { .. }
            | Self::Redefined
            | Self::SessionLost(_)
            | Self::Unopened(_)
            | Self::Disabled
            | Self::ActorDown
            | Self::NotRunnable { .. } => false,
        }
    }

    /// After how many seconds another try makes sense, when that is known.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Http(error) => error.retry_after_seconds(),
            Self::Unopened(error) => error.retry_after_seconds(),
            Self::Backoff { wait_ms, .. } => Some(wait_ms.div_ceil(1000)),
            _ => None,
        }
    }

    /// A stable word for metrics, logs and `data.code`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Launch(_) => "launch_failed",
            Self::Exited { .. } => "upstream_exited",
            Self::StartTimedOut { .. } => "start_timed_out",
            Self::Refused { .. } => "handshake_refused",
            Self::Unusable { .. } => "handshake_unusable",
            Self::Backoff { .. } => "backoff",
            Self::TooMany { .. } => "too_many_processes",
            Self::Busy { .. } => "busy",
            Self::TimedOut { .. } => "timed_out",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Stopped { .. } => "stopped",
            Self::Unanswered { .. } => "unanswered",
            Self::Denied { .. } => "denied_meanwhile",
            Self::Redefined => "tool_redefined",
            Self::Http(error) => error.kind(),
            Self::Unopened(error) | Self::Unfinished(error) => error.kind(),
            Self::SessionLost(_) => "session_lost",
            Self::Disabled => "server_disabled",
            Self::ActorDown => "restarting",
            Self::NotRunnable { .. } => "not_runnable",
        }
    }

    /// The same of a connection that could not be opened, where whatever was sent was not the call.
    #[must_use]
    pub(super) fn of_opening(self) -> Self {
        if self.was_sent() { Self::Unopened(Box::new(self)) } else { self }
    }

    /// The same of a question after a task: that it did not arrive says nothing of the call that made the task.
    #[must_use]
    pub(super) fn of_task(self) -> Self {
        if self.was_sent() { self } else { Self::Unfinished(Box::new(self)) }
    }

    /// Whether this says that the server itself is unwell, so that the next try should wait.
    #[must_use]
    pub(super) fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Launch(_)
                | Self::Exited { .. }
                | Self::StartTimedOut { .. }
                | Self::Refused { .. }
                | Self::Unusable { .. }
        )
    }
}

/// What a call brought along and did not use up, because the server refused it at the door: it may be made once more.
pub struct Unspent {
    /// Still good for the one call.
    pub permit: Permit,
    /// Where its messages go.
    pub ticket: Ticket,
}

impl std::fmt::Debug for Unspent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Unspent")
    }
}

impl From<EgressError> for UpstreamError {
    fn from(error: EgressError) -> Self {
        Self::Http(error.into())
    }
}

fn of_a_call(error: &HttpError) -> String {
    if error.was_sent() { format!("{error}; whether the call ran is unknown") } else { error.to_string() }
}

/// Without a word about the call.
fn plainly(error: &UpstreamError) -> String {
    match error {
        UpstreamError::Http(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn last_words(stderr: &[String]) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it last said: {}", stderr.join(" / ")) }
}
