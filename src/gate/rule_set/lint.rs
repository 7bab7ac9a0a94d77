//! Rules that can never match, or not now: nothing is wrong with such a rule, and it is probably not what was meant.

use crate::gate::rule::Rule;

/// What else has to be known: whom the globs could mean.
#[derive(Debug, Default)]
pub struct Known {
    /// Registered servers' names, and whether each is enabled.
    pub servers: Vec<(String, bool)>,
    /// Registered agents' names.
    pub agents: Vec<String>,
}

/// Why a rule matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable word.
    pub code: &'static str,
    /// The same in a sentence.
    pub detail: String,
}

/// What is to be said of the rule at that place of a set. A rule that is turned off is not given: it is as if it were not
/// there.
#[must_use]
pub fn warnings(rules: &[Rule], place: usize, known: &Known, now_ms: i64) -> Vec<Warning> {
    let Some(rule) = rules.get(place) else { return Vec::new() };
    let mut found = of_rule(rule, known, now_ms);
    found.extend(shadowing(rules.iter().take(place), rule, now_ms));
    found
}

fn of_rule(rule: &Rule, known: &Known, now_ms: i64) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code, detail: String| found.push(Warning { code, detail });
    if rule.expires_at.is_some_and(|end| end <= now_ms) {
        warn("expired", "it has expired and matches nothing any more; remove it or give it another end".into());
    }
    let mut servers = known.servers.iter().filter(|(name, _)| rule.servers.matches(name)).peekable();
    if servers.peek().is_none() && !rule.servers.is_any() {
        warn("no_such_server", "no registered server has a name that it matches".into());
    } else if servers.peek().is_some() && servers.all(|(_, is_enabled)| !is_enabled) {
        warn("server_disabled", "every server that it matches is disabled".into());
    }
    if !rule.agents.is_any() && !known.agents.iter().any(|name| rule.agents.matches(name)) {
        warn("no_such_agent", "no registered agent has a name that it matches".into());
    }
    match &rule.condition {
        Some(Err(reason)) => warn("broken_when", format!("its condition can't be read, so it denies: {reason}")),
        Some(Ok(condition)) if condition.is_never_true() => warn("never_true", "its condition is never true".into()),
        _ => {}
    }
    found
}

/// The first rule before it that takes all of its calls: one that is enforced, has no condition, and does not end first.
fn shadowing<'r>(mut earlier: impl Iterator<Item = &'r Rule>, rule: &Rule, now_ms: i64) -> Option<Warning> {
    let by = earlier.find(|earlier| {
        let lasts = earlier.expires_at.is_none_or(|end| end > now_ms && rule.expires_at.is_some_and(|own| own <= end));
        !earlier.is_shadow
            && earlier.condition.is_none()
            && lasts
            && earlier.servers.covers(&rule.servers)
            && earlier.methods.covers(&rule.methods)
            && earlier.tools.covers(&rule.tools)
            && earlier.agents.covers(&rule.agents)
    })?;
    let detail = format!("the rule {} before it matches every call that it could match", by.id);
    Some(Warning { code: "unreachable", detail })
}
