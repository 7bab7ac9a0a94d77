//! One rule, parsed from its row.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::call::Call;
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

    /// Reads that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::Ask].into_iter().find(|action| action.as_str() == word)
    }
}

/// Globs and an action.
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
    agents: Patterns,
    servers: Patterns,
    tools: Patterns,
    methods: Patterns,
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
            agents: list("agents", &row.agents)?,
            servers: list("servers", &row.servers)?,
            tools: list("tools", &row.tools)?,
            methods: list("methods", &row.methods)?,
        })
    }

    /// Says which part of the rule does not match `call`; `None` when all do.
    #[must_use]
    pub fn mismatch(&self, call: &Call) -> Option<&'static str> {
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
        (!self.agents.matches(&call.agent)).then_some("agents")
    }
}
