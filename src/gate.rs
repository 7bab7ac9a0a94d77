//! May this call happen?
//!
//! In comes a [`Call`]; out goes a [`Decision`], and from an allowing decision (or a person's approval) together with the
//! journal's [`Receipt`](crate::journal::Receipt) a [`Permit`]. Only this room can build a permit and only a permit opens
//! the way to an upstream, so no call goes out undecided or unrecorded: the compiler holds that, not care.
//!
//! The [`Evaluator`](evaluator) actor owns the rule set. It compiles what the store holds and publishes it; a call reads
//! what is published on the worker that took the request, which costs well under a microsecond. An evaluator that dies
//! takes its publication with it: with no rule set, everything is denied.
//!
//! Beside the rules stand the [`Pins`]: what each tool is held to be. A tool whose definition changed is held, which makes
//! a decision stricter and never milder.
//!
//! Never done here: I/O towards an agent or an upstream, and changing a rule (an operator's act, in the store).

mod approvals;
mod call;
mod condition;
mod decision;
mod error;
mod evaluator;
mod hints;
mod hits;
mod pattern;
mod permit;
mod pins;
mod rule;
mod rule_set;

pub use approvals::{Answer, Approvals, Approved, Place, Terms, Turn};
pub use call::{Arguments, Call};
pub use condition::{Condition, ConditionError};
pub use decision::{By, Decision, Shadow};
pub use error::GateError;
pub use evaluator::Gate;
pub use pattern::{PatternError, Patterns};
pub use permit::Permit;
pub use pins::{Hold, NAME_BYTES_MAX, OnHold, Pins, Seen, is_fit};
pub use rule::{Action, Rule, Verdict};
pub use rule_set::{RuleSet, Step, lint};
