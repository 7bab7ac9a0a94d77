//! A call as operators read it.
//!
//! Arguments and result leave as the text that was recorded: a number that a parser would round is not rounded here.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::time::Time;
use crate::store::invocation::Row;

/// One call of an agent, from its arrival to its end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invocation)]
pub struct InvocationBody {
    id: String,
    /// The agent's name, from its key.
    agent: String,
    client: ClientBody,
    /// The MCP session.
    session: Option<String>,
    /// The server's name.
    server: String,
    #[schema(example = "tools/call")]
    method: String,
    /// The name of the tool or prompt, or the URI of the resource.
    tool: Option<String>,
    /// As they were received.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Box<RawValue>>,
    /// `sha256:` and hex over the arguments' text.
    arguments_digest: String,
    decision: DecisionBody,
    /// `received`, `pending`, `denied`, `expired`, `cancelled`, `dispatched`, `completed`, `failed`, `unknown` or
    /// `refused`.
    state: String,
    outcome: OutcomeBody,
    received_at: Time,
    decided_at: Option<Time>,
    dispatched_at: Option<Time>,
    finished_at: Option<Time>,
    /// From the moment it was sent to the server to the server's answer.
    upstream_ms: Option<f64>,
    /// The gateway's own part: neither the server's time nor a person's.
    overhead_ms: Option<f64>,
    /// What happened, in its order.
    events: Vec<EventBody>,
    /// The HTTP request that brought it.
    request_id: String,
}

/// What a client says of itself; nothing is decided by it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Client)]
pub struct ClientBody {
    name: Option<String>,
    version: Option<String>,
}

/// What a rule in shadow mode would have decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Shadow)]
pub struct ShadowBody {
    /// `allow`, `deny` or `ask`.
    action: String,
    rule_id: String,
}

/// What was decided, and by whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionBody {
    /// `allow`, `deny` or `ask`.
    action: String,
    rule_id: Option<String>,
    /// Of the rule set that decided.
    revision: i64,
    /// `rule`, `default` or `person`.
    by: Option<String>,
    /// What a rule in shadow mode would have decided; `null` when none matched.
    shadow: Option<ShadowBody>,
    /// The question that was put to a person.
    approval_id: Option<String>,
}

/// What came of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub struct OutcomeBody {
    /// The tool said that it failed.
    is_error: Option<bool>,
    /// Why there is no result.
    error: Option<String>,
    /// As the server sent it; `null` when there is none, or only a part of it was kept.
    #[schema(value_type = Option<Object>)]
    result: Option<Box<RawValue>>,
    /// The beginning of a result that was too long to be kept whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_head: Option<String>,
    /// The length of the whole result.
    result_bytes: Option<i64>,
}

/// One step in the life of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InvocationEvent)]
pub struct EventBody {
    /// `received`, `decided`, `dispatched`, or the state in which it ended.
    event: String,
    at: Time,
}

impl From<Row> for InvocationBody {
    fn from(row: Row) -> Self {
        let events = events(&row);
        let (result, result_head) = match row.result.map(raw) {
            None => (None, None),
            Some(Ok(result)) => (Some(result), None),
            Some(Err(head)) => (None, Some(head)),
        };
        Self {
            id: row.id,
            agent: row.agent,
            client: ClientBody { name: row.client_name, version: row.client_version },
            session: row.session,
            server: row.server,
            method: row.method,
            tool: row.tool,
            arguments: row.arguments.and_then(|text| raw(text).ok()),
            arguments_digest: row.arguments_digest,
            decision: DecisionBody {
                action: row.action,
                rule_id: row.rule_id,
                revision: row.rule_set_revision,
                by: row.decided_by,
                shadow: row
                    .shadow_rule_id
                    .zip(row.shadow_action)
                    .map(|(rule_id, action)| ShadowBody { action, rule_id }),
                approval_id: row.approval_id,
            },
            state: row.state,
            outcome: OutcomeBody {
                is_error: row.is_error,
                error: row.error,
                result,
                result_head,
                result_bytes: row.result_bytes,
            },
            received_at: Time(row.received_at),
            decided_at: row.decided_at.map(Time),
            dispatched_at: row.dispatched_at.map(Time),
            finished_at: row.finished_at.map(Time),
            upstream_ms: row.upstream_us.map(milliseconds),
            overhead_ms: row.overhead_us.map(milliseconds),
            events,
            request_id: row.request_id,
        }
    }
}

/// The text as JSON, or the text itself when it is only a part of some.
fn raw(text: String) -> Result<Box<RawValue>, String> {
    RawValue::from_string(text.clone()).map_err(|_| text)
}

fn events(row: &Row) -> Vec<EventBody> {
    let step = |event: &str, at: Option<i64>| at.map(|at| EventBody { event: event.to_owned(), at: Time(at) });
    [
        step("received", Some(row.received_at)),
        step("decided", row.decided_at),
        step("dispatched", row.dispatched_at),
        step(&row.state, row.finished_at),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a call does not take the 285 years from which it would show")]
fn milliseconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1000.0
}
