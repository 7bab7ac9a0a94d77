//! The ordered rules and the default action: pure, total, first match wins.

use super::call::Call;
use super::decision::{By, Decision, Seal};
use super::rule::{Action, Rule};
use crate::mcp::method::Class;

/// An immutable, compiled rule set.
#[derive(Debug)]
pub struct RuleSet {
    /// Counts the edits of the set.
    pub revision: i64,
    default_action: Action,
    rules: Vec<Rule>,
}

/// What one rule had to say to a call.
#[derive(Debug)]
pub struct Step<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// The part that did not match; `None` when the rule matched.
    pub mismatch: Option<&'static str>,
}

impl RuleSet {
    /// Takes enabled rules in their order.
    #[must_use]
    pub fn new(revision: i64, default_action: Action, rules: Vec<Rule>) -> Self {
        Self { revision, default_action, rules }
    }

    /// The action of the first rule that matches, else the default.
    #[must_use]
    pub fn evaluate(&self, call: &Call) -> Decision {
        match self.rules.iter().find(|rule| rule.mismatch(call).is_none()) {
            Some(rule) => self.by_rule(rule),
            None => self.by_default(call),
        }
    }

    /// Whether the agent may see the thing that `call` would use: all but what would be denied.
    #[must_use]
    pub fn shows(&self, call: &Call) -> bool {
        self.rules
            .iter()
            .find(|rule| rule.mismatch(call).is_none())
            .map_or_else(|| self.default_for(call), |rule| rule.action)
            != Action::Deny
    }

    /// The evaluation, rule by rule, up to the one that matched.
    #[must_use]
    pub fn trace(&self, call: &Call) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        for rule in &self.rules {
            let mismatch = rule.mismatch(call);
            steps.push(Step { rule, mismatch });
            if mismatch.is_none() {
                break;
            }
        }
        steps
    }

    fn by_rule(&self, rule: &Rule) -> Decision {
        let mut reason = format!("rule {}", rule.id);
        if !rule.description.is_empty() {
            reason = format!("{reason} ({})", rule.description);
        }
        if !rule.guidance.is_empty() {
            reason = format!("{reason}: {}", rule.guidance);
        }
        let rule_id = Some(rule.id.clone());
        Decision { action: rule.action, rule_id, revision: self.revision, by: By::Rule, reason, seal: Seal }
    }

    fn by_default(&self, call: &Call) -> Decision {
        Decision {
            action: self.default_for(call),
            rule_id: None,
            revision: self.revision,
            by: By::Default,
            reason: "no rule matches this call, and the default action applies".into(),
            seal: Seal,
        }
    }

    /// A listing needs a rule to be refused: an agent that can't list can't work, and the list hides what is denied.
    fn default_for(&self, call: &Call) -> Action {
        match call.class() {
            Class::Handshake | Class::Listing => Action::Allow,
            Class::Effect => self.default_action,
        }
    }
}

#[cfg(test)]
mod tests;
