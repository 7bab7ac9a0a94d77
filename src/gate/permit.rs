//! The value that proves that a call may go.

use crate::journal::{Receipt, State};

/// Spent by moving it into the upstream's `call`. It can be neither copied nor made outside this room.
#[derive(Debug)]
pub struct Permit {
    receipt: Receipt,
}

impl Permit {
    /// Both proofs are demanded: that the call was allowed (the caller of this is in the gate) and that it is recorded as
    /// one that goes out.
    pub(in crate::gate) fn new(receipt: Receipt) -> Option<Self> {
        (receipt.state() == State::Dispatched).then_some(Self { receipt })
    }

    /// The invocation that may be dispatched.
    #[must_use]
    pub fn invocation_id(&self) -> &str {
        self.receipt.invocation_id()
    }
}
