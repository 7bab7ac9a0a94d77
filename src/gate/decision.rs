//! What the rules say to a call.

use std::sync::Arc;

use super::permit::Permit;
use super::pins::Hold;
use super::rule::Action;
use crate::journal::Receipt;

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A rule matched.
    Rule,
    /// None did.
    Default,
    /// A person answered.
    Person,
    /// The tool is held.
    Definition,
}

impl By {
    /// The word used in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Default => "default",
            Self::Person => "person",
            Self::Definition => "definition",
        }
    }
}

/// What a rule in shadow mode would have decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The first such rule that matched.
    pub rule_id: Arc<str>,
    /// What it would have done.
    pub action: Action,
}

/// What only this room can write.
#[derive(Debug, Clone, Copy)]
pub(in crate::gate) struct Seal;

/// The answer to a [`Call`](super::Call), with its reason.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What is to happen.
    pub action: Action,
    /// The rule that matched.
    pub rule_id: Option<Arc<str>>,
    /// The revision of the rule set; 0 when none was loaded.
    pub revision: i64,
    /// Rule, default, or what the tool is held for.
    pub by: By,
    /// One sentence for whoever was refused: which rule, and the operator's guidance.
    pub reason: String,
    /// What it would have been, had the rules in shadow mode been enforced; `None` where they change nothing of it.
    pub shadow: Option<Shadow>,
    /// It is a no only because the rule's condition depends on arguments that are not known.
    pub is_open: bool,
    /// Keeps other rooms from making one.
    #[expect(dead_code, reason = "it is there for those who may not write it")]
    pub(in crate::gate) seal: Seal,
}

impl Decision {
    /// The decision when no rule set is published.
    pub(super) fn unavailable() -> Self {
        Self {
            action: Action::Deny,
            rule_id: None,
            revision: 0,
            by: By::Default,
            reason: "no rule set is loaded, so nothing may pass; try again shortly or tell the operator".into(),
            shadow: None,
            is_open: false,
            seal: Seal,
        }
    }

    /// The decision about a call of a tool that is held: as the rules decided, or what is set for such tools where that is
    /// stricter.
    pub(super) fn held(self, why: Option<(Hold, Action)>) -> Self {
        match why {
            Some((hold, action)) if action.strictness() > self.action.strictness() => {
                Self { action, by: By::Definition, reason: hold.reason(), is_open: false, ..self }
            }
            _ => self,
        }
    }

    /// The permit for a call that the rules allow and whose dispatch is committed; `None` when they don't allow it.
    #[must_use]
    pub fn permit(&self, receipt: Receipt) -> Option<Permit> {
        if self.action == Action::Allow { Permit::new(receipt, None) } else { None }
    }
}
