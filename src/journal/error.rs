//! What can go wrong in the journal.

use std::sync::Arc;

use super::State;
use crate::store::StoreError;

/// Why something is not in the journal. For a call that was to go out it means: it must not.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The database is away, full, or refuses the row.
    #[error("the journal cannot be written")]
    Store(#[source] Arc<StoreError>),
    /// The database has been away for a while; it was not even tried.
    #[error("the journal cannot be written: the database is away")]
    Away,
    /// It tells what has happened, and is kept in memory until the database is back. Nothing is left to do.
    #[error("the journal cannot be written: this is kept until the database is back")]
    Kept,
    /// The gateway is stopping.
    #[error("the journal is closed")]
    Closed,
    /// Too many ends of calls are kept; this one was given up.
    #[error("the journal keeps too many unwritten records")]
    Full,
    /// The move is not one that an invocation may make.
    #[error("an invocation that is {from} cannot become {to}")]
    IllegalMove {
        /// where it was to start
        from: State,
        /// where it was to go
        to: State,
    },
    /// The invocation is not in the state that the move starts from.
    #[error("the invocation is {} and not {expected}", found.map_or("not recorded", State::as_str))]
    Elsewhere {
        /// where it was to start
        expected: State,
        /// where it is
        found: Option<State>,
    },
    /// The yes that was to let the call go was spent on another one, or holds no longer.
    #[error("the approval is spent, or holds no longer")]
    Spent,
    /// The entry contradicts itself.
    #[error("the entry cannot be recorded: {why}")]
    BadEntry {
        /// one phrase for the developer
        why: &'static str,
    },
}

impl JournalError {
    /// Returns whether the same call may be recorded later without any change to it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Away => true,
            Self::Kept
            | Self::Closed
            | Self::Full
            | Self::IllegalMove { .. }
            | Self::Elsewhere { .. }
            | Self::Spent
            | Self::BadEntry { .. } => false,
        }
    }

    /// Returns whether something of it is there already, written by somebody else.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Conflict { .. }))
    }

    /// Returns a stable word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::Away => "away",
            Self::Kept => "kept",
            Self::Closed => "closed",
            Self::Full => "full",
            Self::IllegalMove { .. } => "illegal_move",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Spent => "spent",
            Self::BadEntry { .. } => "bad_entry",
        }
    }
}
