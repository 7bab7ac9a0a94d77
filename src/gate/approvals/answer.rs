//! What a call is told of its question.

use super::Approved;
use crate::store::approval::Row;

/// What became of an approval that a call waited for.
#[derive(Debug)]
pub enum Answer {
    /// A person said yes.
    Approved(Approved),
    /// A person said no, perhaps with a reason for the model.
    Denied {
        /// The person's words.
        reason: Option<String>,
        /// Who it was.
        by: Option<String>,
    },
    /// Nobody answered in time.
    Expired,
    /// The question was withdrawn.
    Cancelled,
    /// A person said yes, and another call of the same agent that asked the same had it.
    Used,
    /// The gateway is stopping; the question stays.
    Stopping,
}

/// Where the question of a call belongs.
#[derive(Debug)]
pub enum Place {
    /// The same was asked before, and that is open or its answer still holds.
    Known(Box<Row>),
    /// It is to be asked.
    New,
    /// The agent has so many open questions that it may not ask another.
    Full(u64),
}
