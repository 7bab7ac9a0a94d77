//! What the rules would say to a call, and why. Nothing is called and nothing recorded.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::gate::{Action, Call};
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};

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
    /// The call's arguments.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
}

/// What the rules say.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleVerdict {
    decision: Action,
    /// `rule` or `default`.
    by: &'static str,
    /// The rule that decides; `null` when it is the default.
    rule_id: Option<String>,
    /// Counts the edits of the rule set that decided; 0 when none is loaded and everything is denied.
    revision: i64,
    /// What whoever was refused would be told.
    reason: String,
    /// Each rule that was tried, up to the one that decides.
    trace: Vec<TraceStep>,
}

/// What one rule has to say.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceStep {
    rule_id: String,
    matched: bool,
    /// Why, in words.
    why: String,
}

/// Tries the rules on a call.
#[utoipa::path(post, path = "/api/v1/rules/test", operation_id = "test_rules", tag = "Rules", request_body = RuleTrial,
    responses((status = 200, description = "What the rules say.", body = RuleVerdict),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn test(
    gateway: web::Data<Gateway>,
    Body(trial): Body<RuleTrial>,
) -> Result<web::Json<RuleVerdict>, Problem> {
    if trial.arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return Err(Problem::field("/arguments", "an object is expected"));
    }
    let call = Call {
        agent: trial.agent.into(),
        server: trial.server.into(),
        method: trial.method.unwrap_or_else(|| "tools/call".to_owned()),
        tool: trial.tool,
    };
    let decision = gateway.gate.decide(&call);
    let trace = gateway.gate.rule_set().map_or_else(Vec::new, |rules| {
        let steps = rules.trace(&call).into_iter().map(|step| TraceStep {
            rule_id: step.rule.id.to_string(),
            matched: step.mismatch.is_none(),
            why: step.mismatch.map_or_else(|| "all parts match".to_owned(), |part| format!("{part} does not match")),
        });
        steps.collect()
    });
    Ok(web::Json(RuleVerdict {
        decision: decision.action,
        by: decision.by.as_str(),
        rule_id: decision.rule_id.map(|id| id.to_string()),
        revision: decision.revision,
        reason: decision.reason,
        trace,
    }))
}
