//! The ordered rules and the default action: pure, total, first match wins.
//!
//! A decision takes a call and a time, and gives the same answer for the same two. A rule whose condition can't be
//! evaluated is a match that denies, whatever its action: to pass it over would let a call slip by a rule that was written
//! to stop it.
//!
//! *Shadow.* A rule in shadow mode is tried where it stands and recorded with the decision, and the next rule is tried. The
//! first one that matches is what is recorded, as it would have decided.
//!
//! *Listing.* Whether a tool is shown is asked without arguments: it stands for every call that could be made of it, and
//! is shown unless each of them would be denied. So the rules are gone through as for a call, and where it depends on the
//! arguments whether a rule matches, both ways are followed: if it is a rule that allows or asks, some call may pass, and
//! the tool is shown; if it denies, the calls that it does not match are judged by what follows. A condition that needs no
//! arguments is evaluated then and there. What is hidden can't be called; what is shown may still be denied with some
//! arguments, or with all, where a condition is one that no arguments meet: to find that out would be to solve it.

mod index;
pub mod lint;

use std::collections::HashMap;
use std::sync::Arc;

use super::call::Call;
use super::condition::Facts;
use super::decision::{By, Decision, Seal, Shadow};
use super::error::GateError;
use super::rule::{Action, Rule, Verdict};
use crate::mcp::method::Class;
use crate::store;

const DEFAULT_REASON: &str = "no rule matches this call, and the default action applies";

/// An immutable, compiled rule set.
#[derive(Debug)]
pub struct RuleSet {
    /// Counts the edits of the set.
    pub revision: i64,
    default_action: Action,
    rules: Vec<Rule>,
    index: index::Index,
    reads_hints: bool,
}

/// What one rule had to say to a call.
#[derive(Debug)]
pub struct Step<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// What it said.
    pub verdict: Verdict,
}

impl RuleSet {
    /// Takes enabled rules in their order.
    #[must_use]
    pub fn new(revision: i64, default_action: Action, rules: Vec<Rule>) -> Self {
        let index = index::Index::new(&rules);
        let reads_hints = rules.iter().any(Rule::reads_hints);
        Self { revision, default_action, rules, index, reads_hints }
    }

    /// Compiles what is stored, or what was written as if it were.
    ///
    /// # Errors
    /// A rule can't be read.
    pub fn of(stored: &store::rule::Snapshot) -> Result<Self, GateError> {
        let rules = stored.rules.iter().filter(|row| row.enabled).map(Rule::parse).collect::<Result<_, _>>()?;
        // An unknown word in the setting is not a reason to let calls through.
        let default_action = Action::parse(&stored.default_action).unwrap_or(Action::Deny);
        Ok(Self::new(stored.revision, default_action, rules))
    }

    /// Whether a rule would have to know a tool's annotations.
    pub(super) fn reads_hints(&self) -> bool {
        self.reads_hints
    }

    /// What the first rule that matches says at `now_ms`, else the default.
    #[must_use]
    pub fn evaluate(&self, call: &Call, now_ms: i64) -> Decision {
        let facts = Facts::new(call, now_ms);
        let mut shadow = None;
        for rule in self.index.candidates(&self.rules, &call.server) {
            let verdict = rule.judge(call, &facts);
            let (action, failure) = match &verdict {
                Verdict::Misses(_) => continue,
                Verdict::Matches => (rule.action, None),
                Verdict::Open => (Action::Deny, Some("its arguments are not known")),
                Verdict::Failed(reason) => (Action::Deny, Some(reason.as_str())),
            };
            if rule.is_shadow {
                shadow.get_or_insert_with(|| Shadow { rule_id: rule.id.clone(), action });
                continue;
            }
            return Decision {
                action,
                rule_id: Some(rule.id.clone()),
                by: By::Rule,
                reason: reason(rule, failure),
                shadow,
                is_open: verdict == Verdict::Open,
                ..self.default_decision(call)
            };
        }
        Decision { shadow, ..self.default_decision(call) }
    }

    /// Whether the agent may see the thing that `call` would use, with arguments that are not known yet: all but what
    /// would be denied with any.
    #[must_use]
    pub fn shows(&self, call: &Call, now_ms: i64) -> bool {
        let facts = Facts::new(call, now_ms);
        let enforced = self.index.candidates(&self.rules, &call.server).filter(|rule| !rule.is_shadow);
        for rule in enforced {
            match rule.judge(call, &facts) {
                Verdict::Misses(_) => {}
                Verdict::Open if rule.action == Action::Deny => {}
                Verdict::Matches | Verdict::Open => return rule.action != Action::Deny,
                Verdict::Failed(_) => return false,
            }
        }
        self.default_for(call) != Action::Deny
    }

    /// The evaluation, rule by rule, up to the one that decided.
    #[must_use]
    pub fn trace(&self, call: &Call, now_ms: i64) -> Vec<Step<'_>> {
        let facts = Facts::new(call, now_ms);
        let mut steps = Vec::new();
        for rule in &self.rules {
            let verdict = rule.judge(call, &facts);
            let decides = !rule.is_shadow && !matches!(verdict, Verdict::Misses(_));
            steps.push(Step { rule, verdict });
            if decides {
                break;
            }
        }
        steps
    }

    /// Why each of the wanted rules matches nothing, where that can be said.
    #[must_use]
    pub fn warnings(
        &self,
        wanted: impl Fn(&str) -> bool,
        known: &lint::Known,
        now_ms: i64,
    ) -> HashMap<Arc<str>, Vec<lint::Warning>> {
        let places = self.rules.iter().enumerate().filter(|(_, rule)| wanted(&rule.id));
        places.map(|(place, rule)| (rule.id.clone(), lint::warnings(&self.rules, place, known, now_ms))).collect()
    }

    fn default_decision(&self, call: &Call) -> Decision {
        Decision {
            action: self.default_for(call),
            rule_id: None,
            revision: self.revision,
            by: By::Default,
            reason: DEFAULT_REASON.into(),
            shadow: None,
            is_open: false,
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

fn reason(rule: &Rule, failure: Option<&str>) -> String {
    let mut reason = format!("rule {}", rule.id);
    if !rule.description.is_empty() {
        reason = format!("{reason} ({})", rule.description);
    }
    if let Some(failure) = failure {
        reason = format!("{reason}, whose condition can't be evaluated for this call: {failure}");
    }
    if !rule.guidance.is_empty() {
        reason = format!("{reason}: {}", rule.guidance);
    }
    reason
}

#[cfg(test)]
mod tests;
