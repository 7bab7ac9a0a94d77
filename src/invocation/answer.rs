//! What became of a call, for the room that answers the agent.

use crate::upstream::{Reply, UpstreamError};

/// One of these ends every call.
#[derive(Debug)]
pub enum Answer {
    /// The server answered: with a result or with an error of its own.
    Reply(Reply),
    /// Rules, a person or the clock said no.
    Denied(Refusal),
    /// The server gave no answer.
    Failed(UpstreamError),
    /// The gateway could not take the call on; nothing was sent.
    Refused(Refusal),
    /// The agent no longer wants an answer.
    Cancelled,
}

/// A no, and its words.
#[derive(Debug)]
pub struct Refusal {
    /// A stable word: `denied`, `approval_expired`, `approval_cancelled`, `journal_unavailable`…
    pub code: &'static str,
    /// What happened and what to do instead, for the model.
    pub text: String,
    /// The call's row, where there is one.
    pub invocation_id: Option<String>,
}
