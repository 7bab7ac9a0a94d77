//! What can go wrong when somebody says who they are.

use crate::store::StoreError;

/// Why a caller is not who they may claim to be. Told to the caller as one and the same "not authenticated"; told apart
/// in the log, to help an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not of the form that tokens have: cut short, mistyped, or something else.
    #[error("the key or token is malformed")]
    Malformed,
    /// Nobody has it, or nobody has it any more.
    #[error("the key or token is not known")]
    Unknown,
    /// It was good once.
    #[error("the key or token has expired")]
    Expired,
}

impl Refusal {
    /// Returns a stable word for metrics and logs.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
        }
    }
}

/// Why nobody can be told who is calling, or a key or login not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The caller is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The fixed operator token could be guessed.
    #[error("the operator token is shorter than {bytes_min} characters")]
    WeakToken {
        /// how long it must be
        bytes_min: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness(#[source] getrandom::Error),
    /// The database could not be asked.
    #[error("who is calling cannot be told: the store cannot be reached")]
    Store(#[from] StoreError),
}
