//! What can go wrong in the gate. A refusal is not among it: that is a [`Decision`](super::Decision).

use crate::store::StoreError;

/// The gate could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A stored rule can't be read; nothing passes until it is mended or deleted.
    #[error("rule {id} can't be read: {reason}")]
    MalformedRule {
        /// The rule's id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The rules could not be loaded.
    #[error("the rules could not be loaded")]
    Store(#[from] StoreError),
    /// The evaluator is being restarted.
    #[error("the rule evaluator is being restarted; try again in a moment")]
    EvaluatorDown,
}
