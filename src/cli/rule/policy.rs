//! Files of rules and of tests: what the rules are to say to which call.
//!
//! A file that brings rules of its own is tried here, with the gateway's own code and without a gateway: it can be checked
//! where there is none. A file that brings none is tried by the gateway that is named, on the rules in force there.

use std::fmt::Write as _;
use std::io::Read as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::PATH;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::output::{Format, cell, escape, print, show, text};
use crate::http::admin::rules::trial::RuleTrial;
use crate::http::body;
use crate::mcp::splice;

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What stands in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// As in a rule set of the REST interface; those in force when left out.
    pub(super) rules: Option<Vec<Value>>,
    /// What happens to a call that none of them matches; *ask* when left out.
    pub(super) default: Option<Value>,
    #[serde(default)]
    tests: Vec<Case>,
}

/// One call, and what is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    /// `allow`, `deny` or `ask`.
    expect: Expected,
    /// The rule that is to decide: its id, its place in the file as `#1`, or `default`.
    rule: Option<String>,
    agent: Value,
    server: Value,
    tool: Option<Value>,
    method: Option<Value>,
    arguments: Option<Value>,
    hints: Option<Value>,
    now: Option<Value>,
    /// The text of the test, where the file is JSON: numbers are taken from there, to the letter.
    #[serde(skip)]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
    Ask,
}

impl Expected {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

impl Policy {
    /// Reads a file: JSON if its name says so, TOML otherwise.
    pub(super) fn read(path: &str) -> Result<Self, CliError> {
        let unreadable = |why: &dyn std::fmt::Display| CliError::Failed(format!("{path} can't be read: {why}"));
        let mut content = String::new();
        let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut content).map_err(|error| unreadable(&error))?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(unreadable(&format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let is_json = std::path::Path::new(path).extension().is_some_and(|extension| extension == "json");
        if is_json {
            serde_json::from_str(&content)
                .map(|policy: Self| policy.with_texts(&content))
                .map_err(|error| unreadable(&error))
        } else {
            toml::from_str(&content).map_err(|error| unreadable(&error))
        }
    }

    fn with_texts(mut self, content: &str) -> Self {
        let texts: Vec<&RawValue> =
            splice::find(content, &["tests"]).and_then(|tests| serde_json::from_str(tests).ok()).unwrap_or_default();
        for (case, text) in self.tests.iter_mut().zip(texts) {
            case.text = Some(text.get().to_owned());
        }
        self
    }
}

impl Case {
    fn name(&self, place: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("test {place}"))
    }

    /// The text of the call, as the REST interface wants it, with what else is to be said.
    fn call(&self, more: Map<String, Value>) -> String {
        let mut call = Map::new();
        let given = [
            ("tool", &self.tool),
            ("method", &self.method),
            ("arguments", &self.arguments),
            ("hints", &self.hints),
            ("now", &self.now),
        ];
        call.insert("agent".into(), self.agent.clone());
        call.insert("server".into(), self.server.clone());
        call.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
        call.extend(more);
        let exact = |name| splice::find(self.text.as_deref()?, &[name]);
        ["arguments", "hints"].into_iter().fold(Value::Object(call).to_string(), |text, name| match exact(name) {
            Some(exact) => splice::set(&text, &[name], exact),
            None => text,
        })
    }

    /// What differs from what was expected.
    fn fault(&self, verdict: &Value) -> Option<String> {
        let decided = text(verdict, "/decision");
        if decided != self.expect.word() {
            return Some(format!("{decided} instead of {}: {}", self.expect.word(), text(verdict, "/reason")));
        }
        let by = verdict.pointer("/rule_id").and_then(Value::as_str).unwrap_or("default");
        let expected = self.rule.as_deref().filter(|expected| *expected != by)?;
        Some(format!("{decided} as expected, but by {by} instead of {expected}"))
    }
}

/// Runs the tests of a file.
pub(super) async fn run(client: &Client, path: &str, output: Format) -> Result<(), CliError> {
    let policy = Policy::read(path)?;
    if policy.tests.is_empty() {
        return Err(CliError::Failed(format!("{path} has no [[tests]], so nothing is tested")));
    }
    let mut results = Vec::new();
    for (place, case) in (1..).zip(&policy.tests) {
        let verdict = decide(client, &policy, case)
            .await
            .map_err(|error| CliError::Failed(format!("{path}, {}: {error}", escape(&case.name(place)))))?;
        let fault = case.fault(&verdict);
        results.push(json!({"name": case.name(place), "passed": fault.is_none(), "fault": fault, "verdict": verdict}));
    }
    let failed = results.iter().filter(|result| result["passed"] == json!(false)).count();
    show(output, &Value::Array(results), lines);
    if failed > 0 {
        return Err(CliError::Failed(format!("{failed} of {} tests failed", policy.tests.len())));
    }
    if output == Format::Table {
        print(&format!("all {} tests passed", policy.tests.len()));
    }
    Ok(())
}

async fn decide(client: &Client, policy: &Policy, case: &Case) -> Result<Value, CliError> {
    let mut more: Map<String, Value> =
        policy.default.clone().map(|default| ("default".to_owned(), default)).into_iter().collect();
    let unreadable = |error: serde_json::Error| CliError::Failed(error.to_string());
    let Some(rules) = &policy.rules else {
        let call = RawValue::from_string(case.call(more)).map_err(unreadable)?;
        return client.post(&format!("{PATH}/test"), &*call).await;
    };
    more.insert("rules".into(), json!(rules));
    let failed = |problem: crate::http::problem::Problem| CliError::Failed(problem.to_string());
    let trial = body::written::<RuleTrial>(case.call(more).as_bytes()).map_err(failed)?;
    serde_json::to_value(RuleTrial::alone(trial).map_err(failed)?).map_err(unreadable)
}

fn lines(results: &Value) -> String {
    let mut lines = String::new();
    for result in results.as_array().into_iter().flatten() {
        let word = if result["passed"] == json!(true) { "ok    " } else { "FAILED" };
        let _ = writeln!(lines, "{word}  {}", cell(result, "/name"));
        if result["passed"] == json!(true) {
            continue;
        }
        let _ = writeln!(lines, "        {}", cell(result, "/fault"));
        for step in result.pointer("/verdict/trace").and_then(Value::as_array).into_iter().flatten() {
            let _ = writeln!(lines, "        {}: {}", cell(step, "/rule_id"), cell(step, "/why"));
        }
    }
    lines
}
