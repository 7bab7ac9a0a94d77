//! The proof that a row is committed.
//!
//! Only the journal makes one, and only after the commit; it is spent by moving it, as there is no second one.

use super::State;

/// Proves that an invocation is committed in a state. Not `Clone`: one commit lets one call go.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receipt is what lets the call go on"]
pub struct Receipt {
    invocation_id: String,
    state: State,
    spent: Option<String>,
}

impl Receipt {
    pub(super) fn new(invocation_id: String, state: State, spent: Option<String>) -> Self {
        Self { invocation_id, state, spent }
    }

    /// Returns which invocation is committed.
    #[must_use]
    pub fn invocation_id(&self) -> &str {
        &self.invocation_id
    }

    /// Returns the approval that was spent together with it, if one was.
    #[must_use]
    pub fn spent(&self) -> Option<&str> {
        self.spent.as_deref()
    }

    /// Returns the state in which it is committed.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
}
