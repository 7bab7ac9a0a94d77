//! What became of a call, for the room that answers the agent.

use crate::upstream::{Reply, UpstreamError};

/// One of these ends every call.
#[derive(Debug)]
pub enum Answer {
    /// The server answered: with a result or with an error of its own.
    Reply(Reply),
    /// Rules, a person or the clock said no.
    Denied(Refusal),
    /// A person has not answered yet; the question stays open, and the same call made again finds the answer.
    Pending(Pending),
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
    /// A stable word: `denied`, `approval_expired`, `too_many_approvals`, `journal_unavailable`…
    pub code: &'static str,
    /// What happened and what to do instead, for the model.
    pub text: String,
    /// The call's row, where there is one.
    pub invocation_id: Option<String>,
}

/// A question that is still open when its call is answered.
#[derive(Debug)]
pub struct Pending {
    /// Which one.
    pub approval_id: String,
    /// The call's row.
    pub invocation_id: String,
    /// Until when a person can answer, in ms.
    pub expires_at: i64,
    /// Whether the tool promises the form of its structured results, which this answer then can't have.
    pub has_output_schema: bool,
}
