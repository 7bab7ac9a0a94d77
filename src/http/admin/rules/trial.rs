//! What rules would say to a call, and why. Nothing is called and nothing recorded.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::draft::RuleDraft;
use crate::clock;
use crate::gate::{Action, Arguments, Call, Decision, RuleSet, Step, Verdict};
use crate::http::body::Written;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::time::Time;
use crate::store;

/// A call that nobody makes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleTrial {
    /// The agent's name.
    #[schema(example = "claude")]
    agent: String,
    /// The server's name.
    #[schema(example = "calc")]
    server: String,
    /// The name of the tool or prompt, or the URI of the resource.
    #[schema(example = "add")]
    tool: Option<String>,
    /// The MCP method; `tools/call` when left out.
    method: Option<String>,
    /// The call's arguments; none when left out.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
    /// The tool's annotations; as the server last claimed them when left out.
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "it is read to be refused where it is no object; what counts is its text")]
    hints: Option<Map<String, Value>>,
    /// When the call is made; now when left out.
    now: Option<Time>,
    /// The rules to try, in their order; those in force when left out. They are named by their places: `#1`, `#2`…
    rules: Option<Vec<RuleDraft>>,
    /// What happens to a call that none of them matches; the one in force when left out.
    default: Option<Action>,
}

/// What the rules say.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleVerdict {
    decision: Action,
    /// `rule` or `default`.
    by: &'static str,
    /// The rule that decides; `null` when it is the default.
    rule_id: Option<String>,
    /// Counts the edits of the rule set that decided; 0 when it is a draft, or none is loaded and everything is denied.
    revision: i64,
    /// What whoever was refused would be told.
    reason: String,
    /// What it would be, were the rules in shadow mode enforced; `null` when none of them matches.
    shadow: Option<ShadowVerdict>,
    /// Each rule that was tried, up to the one that decides.
    trace: Vec<TraceStep>,
}

/// What a rule in shadow mode says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShadowVerdict {
    decision: Action,
    rule_id: String,
}

/// What one rule has to say.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceStep {
    rule_id: String,
    matched: bool,
    /// Why, in words.
    why: String,
}

/// Tries rules on a call.
#[utoipa::path(post, path = "/api/v1/rules/test", operation_id = "test_rules", tag = "Rules", request_body = RuleTrial,
    responses((status = 200, description = "What the rules say.", body = RuleVerdict),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn test(gateway: web::Data<Gateway>, written: Written<RuleTrial>) -> Result<web::Json<RuleVerdict>, Problem> {
    let (call, now_ms) = (call(&written)?, written.value.now_ms());
    let trial = written.value;
    let is_draft = trial.rules.is_some() || trial.default.is_some();
    if !is_draft && gateway.gate.rule_set().is_none() {
        // As a call would be told.
        return Ok(web::Json(RuleVerdict::of(&gateway.gate.decide(&call), Vec::new())));
    }
    let rule_set = rule_set(&gateway, trial.rules, trial.default).await?;
    let call = gateway.gate.informed(&rule_set, &call);
    Ok(web::Json(RuleVerdict::on(&rule_set, &call, now_ms)))
}

impl RuleTrial {
    /// Tries the rules that are given, without any gateway; what no rule matches is asked unless a default is given.
    ///
    /// # Errors
    /// A field can't be used.
    pub fn alone(written: Written<Self>) -> Result<RuleVerdict, Problem> {
        let (call, now_ms) = (call(&written)?, written.value.now_ms());
        let trial = written.value;
        let snapshot = store::rule::Snapshot {
            revision: 0,
            default_action: trial.default.unwrap_or(Action::Ask).as_str().to_owned(),
            rules: tried(trial.rules.unwrap_or_default())?,
        };
        let rule_set = RuleSet::of(&snapshot).map_err(|error| Problem::internal(&error))?;
        Ok(RuleVerdict::on(&rule_set, &call, now_ms))
    }

    fn now_ms(&self) -> i64 {
        self.now.map_or_else(clock::now_ms, |time| time.0)
    }
}

/// The call, with arguments and hints to the letter: a condition that can't hold a number exactly says so, and would not if
/// that had been rounded before.
fn call(written: &Written<RuleTrial>) -> Result<Call, Problem> {
    let trial = &written.value;
    if trial.arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return Err(Problem::field("/arguments", "an object is expected"));
    }
    Ok(Call {
        agent: trial.agent.as_str().into(),
        server: trial.server.as_str().into(),
        method: trial.method.clone().unwrap_or_else(|| "tools/call".to_owned()),
        tool: trial.tool.clone(),
        arguments: Arguments::given(written.text_of("arguments")),
        hints: written.text_of("hints").map(Into::into),
    })
}

impl RuleVerdict {
    fn on(rule_set: &RuleSet, call: &Call, now_ms: i64) -> Self {
        let trace = rule_set.trace(call, now_ms).into_iter().map(TraceStep::of).collect();
        Self::of(&rule_set.evaluate(call, now_ms), trace)
    }

    fn of(decision: &Decision, trace: Vec<TraceStep>) -> Self {
        let shadow = decision.shadow.as_ref();
        Self {
            decision: decision.action,
            by: decision.by.as_str(),
            rule_id: decision.rule_id.as_deref().map(Into::into),
            revision: decision.revision,
            reason: decision.reason.clone(),
            shadow: shadow.map(|shadow| ShadowVerdict { decision: shadow.action, rule_id: shadow.rule_id.to_string() }),
            trace,
        }
    }
}

impl TraceStep {
    fn of(step: Step<'_>) -> Self {
        let (matched, why) = match step.verdict {
            Verdict::Misses("expires_at") => (false, "it has expired".to_owned()),
            Verdict::Misses(part) => (false, format!("{part} does not match")),
            Verdict::Matches => (true, "all parts match".to_owned()),
            Verdict::Open => (true, "it depends on the arguments, which denies".to_owned()),
            Verdict::Failed(reason) => (true, format!("its condition can't be evaluated, which denies: {reason}")),
        };
        let mode = if matched && step.rule.is_shadow { "; it is in shadow mode, so the next one is tried" } else { "" };
        Self { rule_id: step.rule.id.to_string(), matched, why: format!("{why}{mode}") }
    }
}

/// The rules that are to be tried: those given, or those in force.
///
/// # Errors
/// A draft can't be used, or the rules in force can't be loaded.
pub(super) async fn rule_set(
    gateway: &Gateway,
    rules: Option<Vec<RuleDraft>>,
    default: Option<Action>,
) -> Result<RuleSet, Problem> {
    let mut snapshot = store::rule::load_rule_set(&gateway.store).await?;
    if let Some(default) = default {
        default.as_str().clone_into(&mut snapshot.default_action);
        snapshot.revision = 0;
    }
    if let Some(drafts) = rules {
        snapshot.rules = tried(drafts)?;
        snapshot.revision = 0;
    }
    RuleSet::of(&snapshot).map_err(|error| Problem::internal(&error))
}

fn tried(drafts: Vec<RuleDraft>) -> Result<Vec<store::rule::Row>, Problem> {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (position, draft) in (1..).zip(drafts) {
        match draft.into_tried(&format!("/rules/{}", position - 1)) {
            Ok(new) => rows.push(new.into_row(format!("#{position}"), position, 0)),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(Problem::fields(errors)) }
}
