//! What rules would have said to the calls that were made. Nothing is called; the audit tells that it was tried.

use std::sync::Arc;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::draft::RuleDraft;
use super::trial::rule_set;
use crate::clock;
use crate::gate::{Action, Arguments, Call, Decision, Gate, RuleSet};
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::time::Time;
use crate::store;
use crate::store::invocation::{self, Decided};
use crate::trail::Event;

/// Calls that are looked at when nothing is said.
const LIMIT_DEFAULT: u32 = 1_000;
/// Most calls that are looked at.
const LIMIT_MAX: u32 = 10_000;
/// Most differences that are told.
const DIFFERENCES_MAX: usize = 200;
/// How far back calls are looked at when nothing is said.
const SINCE_DEFAULT_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// Calls that are read at once.
const PAGE_ROWS: u32 = 50;

/// Which rules, and which calls.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSimulation {
    /// The rules to try, in their order; those in force when left out. They are named by their places: `#1`, `#2`…
    rules: Option<Vec<RuleDraft>>,
    /// What happens to a call that none of them matches; the one in force when left out.
    default: Option<Action>,
    /// Calls received then or later; those of the last seven days when left out.
    since: Option<Time>,
    /// How many calls, newest first, 1 to 10000; 1000 when left out.
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
}

/// What became of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RuleSimulated {
    /// Calls that were looked at.
    calls: usize,
    /// There are older ones that were not.
    has_more: bool,
    /// What was decided when they were made.
    was: ActionCounts,
    /// What would have been.
    would_be: ActionCounts,
    /// Calls for which the two are not the same action.
    different: usize,
    /// The newest of those, 200 at most.
    differences: Vec<RuleDifference>,
}

/// How many calls were decided how.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ActionCounts {
    allow: usize,
    deny: usize,
    ask: usize,
}

/// A call that would have been decided otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleDifference {
    invocation_id: String,
    received_at: Time,
    agent: String,
    server: String,
    method: String,
    tool: Option<String>,
    /// What was decided.
    was: SimulatedDecision,
    /// What would have been decided.
    would_be: SimulatedDecision,
    /// Why, in words.
    reason: String,
}

/// One of two decisions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimulatedDecision {
    /// `allow`, `deny` or `ask`.
    action: String,
    /// The rule; `null` when it is the default.
    rule_id: Option<String>,
}

/// Tries rules on recorded calls, each at its own time.
#[utoipa::path(post, path = "/api/v1/rules/simulate", operation_id = "simulate_rules", tag = "Rules",
    request_body = RuleSimulation,
    responses((status = 200, description = "What would have been decided otherwise.", body = RuleSimulated),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn simulate(
    gateway: web::Data<Gateway>,
    Body(simulation): Body<RuleSimulation>,
) -> Result<web::Json<RuleSimulated>, Problem> {
    let limit = simulation.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::field("/limit", format!("a number from 1 to {LIMIT_MAX} is expected")));
    }
    let rule_set = Arc::new(rule_set(&gateway, simulation.rules, simulation.default).await?);
    let since = simulation.since.map_or_else(|| clock::now_ms() - SINCE_DEFAULT_MS, |time| time.0);
    let mut simulated = RuleSimulated::default();
    let mut last: Option<(i64, String)> = None;
    let mut left = limit;
    while left > 0 {
        let before = last.as_ref().map(|(received_at, id)| (*received_at, id.as_str()));
        let rows_max = left.min(PAGE_ROWS);
        let mut page = invocation::list_decided(&gateway.store, since, before, u64::from(rows_max) + 1).await?;
        simulated.has_more = page.len() > rows_max as usize;
        page.truncate(rows_max as usize);
        last = page.last().map(|recorded| (recorded.received_at, recorded.id.clone()));
        let (rule_set, gate) = (rule_set.clone(), gateway.gate.clone());
        // Not between agents' calls: conditions may take their time.
        let looked = web::block(move || {
            for recorded in page {
                simulated.look_at(&rule_set, &gate, recorded);
            }
            simulated
        });
        simulated = looked.await.map_err(|error| Problem::internal(&error))?;
        if !simulated.has_more {
            break;
        }
        left -= rows_max;
    }
    store::audit::tell(&gateway.store, [simulated.told(&rule_set)]).await?;
    Ok(web::Json(simulated))
}

impl RuleSimulated {
    fn told(&self, rule_set: &RuleSet) -> Event {
        // 0 is the revision of a draft
        let data = json!({ "calls": self.calls, "different": self.different, "revision": rule_set.revision });
        Event::new("rule_set.simulated", "rule_set", &data)
    }

    fn look_at(&mut self, rule_set: &RuleSet, gate: &Gate, recorded: Decided) {
        let call = Call {
            agent: recorded.agent.as_str().into(),
            server: recorded.server.as_str().into(),
            method: recorded.method.clone(),
            tool: recorded.tool.clone(),
            arguments: Arguments::given(recorded.arguments.as_deref()),
            hints: None,
        };
        let would_be = rule_set.evaluate(&gate.informed(rule_set, &call), recorded.received_at);
        self.calls += 1;
        self.was.add(&recorded.action);
        self.would_be.add(would_be.action.as_str());
        if recorded.action == would_be.action.as_str() {
            return;
        }
        self.different += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(RuleDifference::of(recorded, would_be));
        }
    }
}

impl RuleDifference {
    fn of(recorded: Decided, would_be: Decision) -> Self {
        Self {
            invocation_id: recorded.id,
            received_at: Time(recorded.received_at),
            agent: recorded.agent,
            server: recorded.server,
            method: recorded.method,
            tool: recorded.tool,
            was: SimulatedDecision { action: recorded.action, rule_id: recorded.rule_id },
            would_be: SimulatedDecision {
                action: would_be.action.as_str().into(),
                rule_id: would_be.rule_id.as_deref().map(Into::into),
            },
            reason: would_be.reason,
        }
    }
}

impl ActionCounts {
    fn add(&mut self, action: &str) {
        match action {
            "allow" => self.allow += 1,
            "ask" => self.ask += 1,
            _ => self.deny += 1,
        }
    }
}
