//! The value that proves that a call may go.

use crate::journal::{Receipt, State};
use crate::mcp::splice;

/// Spent by moving it into the upstream's `call`. It can be neither copied nor made outside this room.
#[derive(Debug)]
pub struct Permit {
    receipt: Receipt,
    /// What a person put in place of the agent's arguments.
    edited_arguments: Option<String>,
}

impl Permit {
    /// Both proofs are demanded: that the call was allowed (the caller of this is in the gate) and that it is recorded as
    /// one that goes out.
    pub(in crate::gate) fn new(receipt: Receipt, edited_arguments: Option<String>) -> Option<Self> {
        (receipt.state() == State::Dispatched).then_some(Self { receipt, edited_arguments })
    }

    /// The parameters that it is for: the agent's own, with the arguments that a person has edited, if one has.
    #[must_use]
    pub fn params(&self, params: Option<String>) -> Option<String> {
        match &self.edited_arguments {
            Some(edited) => Some(splice::set(params.as_deref().unwrap_or("{}"), &["arguments"], edited)),
            None => params,
        }
    }

    /// The invocation that may be dispatched.
    #[must_use]
    pub fn invocation_id(&self) -> &str {
        self.receipt.invocation_id()
    }
}
