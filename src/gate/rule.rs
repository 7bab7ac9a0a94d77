//! One rule, parsed from its row, and what it says to one call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::condition::{Condition, Facts, Outcome};
use super::error::GateError;
use super::pattern::Patterns;
use crate::store;

/// What a rule does with a call that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The call goes on.
    Allow,
    /// The call ends here.
    Deny,
    /// A person decides.
    Ask,
}

impl Action {
    /// The word used in rows, JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }

    /// The higher, the less a call may do.
    pub(super) fn strictness(self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Ask => 1,
            Self::Deny => 2,
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::Ask].into_iter().find(|action| action.as_str() == word)
    }
}

/// What a rule has to say to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it matches.
    Matches,
    /// This part of it doesn't.
    Misses(&'static str),
    /// It depends on arguments that are not known.
    Open,
    /// It would match if its condition could be evaluated, and that can't be: why.
    Failed(String),
}

/// Globs, a condition and an action.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The row's id.
    pub id: Arc<str>,
    /// What it does.
    pub action: Action,
    /// The operator's words about it.
    pub description: Arc<str>,
    /// What the model is told when it is denied.
    pub guidance: Arc<str>,
    /// It is evaluated and recorded, and decides nothing.
    pub is_shadow: bool,
    /// Milliseconds; it matches nothing from then on.
    pub expires_at: Option<i64>,
    pub(super) agents: Patterns,
    pub(super) servers: Patterns,
    pub(super) tools: Patterns,
    pub(super) methods: Patterns,
    /// A stored condition that can't be read any more, such as after an upgrade, is one that can't be evaluated.
    pub(super) condition: Option<Result<Condition, String>>,
}

impl Rule {
    /// Parses a row.
    ///
    /// # Errors
    /// The row holds an unknown action or a list that is no list of globs.
    pub fn parse(row: &store::rule::Row) -> Result<Self, GateError> {
        let malformed = |what: &str, reason: String| GateError::MalformedRule {
            id: row.id.clone(),
            reason: format!("{what}: {reason}"),
        };
        let list = |what: &str, text: &str| -> Result<Patterns, GateError> {
            let globs: Vec<String> = serde_json::from_str(text).map_err(|error| malformed(what, error.to_string()))?;
            Patterns::parse(&globs).map_err(|error| malformed(what, error.to_string()))
        };
        Ok(Self {
            id: row.id.as_str().into(),
            action: Action::parse(&row.action)
                .ok_or_else(|| malformed("action", format!("{:?} is unknown", row.action)))?,
            description: row.description.as_str().into(),
            guidance: row.guidance.as_str().into(),
            is_shadow: row.shadow,
            expires_at: row.expires_at,
            agents: list("agents", &row.agents)?,
            servers: list("servers", &row.servers)?,
            tools: list("tools", &row.tools)?,
            methods: list("methods", &row.methods)?,
            condition: row.condition.as_deref().map(|text| Condition::parse(text).map_err(|error| error.to_string())),
        })
    }

    /// Whether it would have to know the tool's annotations.
    pub(super) fn reads_hints(&self) -> bool {
        self.condition.as_ref().and_then(|condition| condition.as_ref().ok()).is_some_and(Condition::reads_hints)
    }

    /// What the rule says to a call.
    pub(super) fn judge(&self, call: &Call, facts: &Facts<'_>) -> Verdict {
        if let Some(part) = self.mismatch(call, facts.now_ms()) {
            return Verdict::Misses(part);
        }
        let outcome = match &self.condition {
            None => return Verdict::Matches,
            Some(Ok(condition)) => condition.evaluate(facts),
            Some(Err(reason)) => Outcome::Failed(reason.clone()),
        };
        match outcome {
            Outcome::Holds => Verdict::Matches,
            Outcome::Misses => Verdict::Misses("when"),
            Outcome::Open => Verdict::Open,
            Outcome::Failed(reason) => Verdict::Failed(reason),
        }
    }

    /// Says which part of the rule besides its condition does not match; `None` when all do.
    fn mismatch(&self, call: &Call, now_ms: i64) -> Option<&'static str> {
        // Cheapest to refuse first: most rules name one server.
        if !self.servers.matches(&call.server) {
            return Some("servers");
        }
        if !self.methods.matches(&call.method) {
            return Some("methods");
        }
        let tool_matches = match &call.tool {
            Some(tool) => self.tools.matches(tool),
            None => self.tools.is_any(),
        };
        if !tool_matches {
            return Some("tools");
        }
        if !self.agents.matches(&call.agent) {
            return Some("agents");
        }
        self.expires_at.is_some_and(|end| end <= now_ms).then_some("expires_at")
    }
}
