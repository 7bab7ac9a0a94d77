//! An answer that is to hold for more than one call: as a rule, scoped and with an end. First it can be seen which of the
//! calls that were made the rule would have been about.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{find, store};
use crate::clock;
use crate::gate::{Action, Arguments, Call, Patterns, RuleSet};
use crate::http::admin::rules::draft::RuleDraft;
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::time::Time;
use crate::store::approval::Row;
use crate::store::invocation::{self, Decided};
use crate::store::rule::NewRule;

/// How far back calls are looked at.
const SINCE_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// Most calls that are looked at.
const CALLS_MAX: usize = 1_000;
/// Most matches that are told.
const MATCHES_MAX: usize = 100;
/// Calls that are read at once.
const PAGE_ROWS: u64 = 50;
/// What must end ends within a year.
const LASTS_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1_000;

/// What an answer is to hold for. What is left out is as it was asked: this agent, this server, this tool.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Remember {
    /// Globs over agents' names.
    agents: Option<Vec<String>>,
    /// Globs over servers' names.
    servers: Option<Vec<String>>,
    /// Globs over the names of tools and prompts, and over URIs.
    tools: Option<Vec<String>>,
    /// CEL over `args`, `agent`, `server`, `tool`, `method`, `hints` and `now`; for whatever arguments when left out.
    #[schema(example = "args.amount <= 100")]
    when: Option<String>,
    /// The rule's end, within a year.
    expires_at: Time,
    /// For operators; that it came of this approval when left out.
    description: Option<String>,
}

impl Remember {
    /// The rule for an answer. It stands before the rule that asks, so that it decides first.
    pub(super) async fn draft(
        self,
        gateway: &Gateway,
        row: &Row,
        action: Action,
        guidance: Option<&str>,
    ) -> Result<RuleDraft, Problem> {
        let now = clock::now_ms();
        if self.expires_at.0 <= now || self.expires_at.0 > now + LASTS_MS_MAX {
            return Err(Problem::field("/remember/expires_at", "a time to come, within a year, is expected"));
        }
        let before = asking(gateway, row).await?;
        Ok(RuleDraft {
            action,
            agents: Some(globs(self.agents, Some(&row.agent), "/remember/agents")?),
            servers: Some(globs(self.servers, Some(&row.server), "/remember/servers")?),
            tools: Some(globs(self.tools, row.tool.as_deref(), "/remember/tools")?),
            // The agent has chosen it, as it did the tool.
            methods: Some(globs(None, Some(&row.method), "/remember")?),
            when: self.when,
            description: Some(self.description.unwrap_or_else(|| format!("remembered from approval {}", row.id))),
            guidance: Some(guidance.unwrap_or_default().to_owned()),
            shadow: Some(false),
            expires_at: Some(self.expires_at),
            enabled: Some(true),
            before,
        })
    }
}

/// The rule that asks about this call now, as others may have come since; else the one that asked, if it is still there.
/// None where the default asks: then no rule stands before the last place.
async fn asking(gateway: &Gateway, row: &Row) -> Result<Option<String>, Problem> {
    let now = gateway.gate.decide(&Call {
        agent: row.agent.as_str().into(),
        server: row.server.as_str().into(),
        method: row.method.clone(),
        tool: row.tool.clone(),
        arguments: Arguments::given(row.arguments.as_deref()),
        hints: None,
    });
    let asks_now = now.rule_id.filter(|_| now.action == Action::Ask).map(|id| id.to_string());
    let asked = match asks_now {
        Some(id) => Some(id),
        None => invocation::find(&gateway.store, &row.invocation_id).await?.and_then(|asked| asked.rule_id),
    };
    match asked {
        Some(id) => Ok(store::rule::find(&gateway.store, &id).await?.map(|rule| rule.id)),
        None => Ok(None),
    }
}

/// The rule, and the one before which it is to stand.
pub(super) fn judged(draft: RuleDraft) -> Result<(NewRule, Option<String>), Problem> {
    let before = draft.before.clone();
    let new = RuleDraft { before: None, ..draft }.into_tried("/remember").map_err(Problem::fields)?;
    Ok((new, before))
}

/// The globs that were given, else the one that is only that name.
fn globs(given: Option<Vec<String>>, name: Option<&str>, pointer: &str) -> Result<Vec<String>, Problem> {
    if let Some(given) = given {
        return Ok(given);
    }
    let own = vec![name.unwrap_or("*").to_owned()];
    let is_plain = name.is_none_or(|name| !name.contains(['*', '?', '{', '}']));
    // A name that reads as a glob would stand for others, too.
    if is_plain && Patterns::parse(&own).is_ok() {
        Ok(own)
    } else {
        Err(Problem::field(pointer, "the name can't stand for itself in a rule; write the globs that are meant"))
    }
}

/// What is to be looked at before it is remembered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RememberTrial {
    /// Whether calls are to be allowed or denied; allowed when left out.
    action: Option<Action>,
    remember: Remember,
}

/// A rule that nobody has made, and which calls it would have been about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Remembered {
    /// The rule, with what was left out of its scope; `before` is the one that it would stand before.
    rule: RuleDraft,
    /// Calls of the last seven days that were looked at, newest first, 1000 at most.
    calls: usize,
    /// There are older ones that were not.
    has_more: bool,
    /// How many of them it would have allowed, or denied, as it is meant to.
    matching: usize,
    /// How many of them it would have denied against its meaning, because its condition can't be evaluated for them.
    denying: usize,
    /// The newest of both, 100 at most.
    matches: Vec<RememberedCall>,
}

/// A call that the rule would have been about.
#[derive(Debug, Serialize, ToSchema)]
pub struct RememberedCall {
    invocation_id: String,
    received_at: Time,
    agent: String,
    server: String,
    tool: Option<String>,
    arguments_text: Option<String>,
    /// What was decided.
    was: String,
    /// What the rule would have done.
    would_be: Action,
}

/// Looks which recorded calls the rule would have been about. Nothing is decided and nothing remembered.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/remember", operation_id = "try_to_remember", tag = "Approvals",
    params(("id" = String, Path, description = "The question's id.")), request_body = RememberTrial,
    responses((status = 200, description = "Which calls it would have been about.", body = Remembered),
              (status = 404, description = "There is none with that id.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn preview(
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    Body(trial): Body<RememberTrial>,
) -> Result<web::Json<Remembered>, Problem> {
    let row = find(&gateway, &id).await?;
    let action = trial.action.unwrap_or(Action::Allow);
    let draft = trial.remember.draft(&gateway, &row, action, None).await?;
    let (new, _) = judged(draft.clone())?;
    let mut alone = store::rule::load_rule_set(&gateway.store).await?;
    alone.rules = vec![new.into_row("#1".to_owned(), 1, 0)];
    let rules = RuleSet::of(&alone).map_err(|error| Problem::internal(&error))?;
    let since = clock::now_ms() - SINCE_MS;
    let (mut found, mut last): (Remembered, Option<(i64, String)>) = (Remembered::of(draft), None);
    loop {
        let before = last.as_ref().map(|(received_at, id)| (*received_at, id.as_str()));
        let page = invocation::list_decided(&gateway.store, since, before, PAGE_ROWS).await?;
        let is_last = (page.len() as u64) < PAGE_ROWS;
        for recorded in page {
            last = Some((recorded.received_at, recorded.id.clone()));
            let call = call(&recorded);
            let decision = rules.evaluate(&gateway.gate.informed(&rules, &call), recorded.received_at);
            let would_be = decision.rule_id.is_some().then_some(decision.action);
            found.add(recorded, would_be);
        }
        found.has_more = !is_last;
        if is_last || found.calls >= CALLS_MAX {
            return Ok(web::Json(found));
        }
    }
}

impl Remembered {
    fn of(rule: RuleDraft) -> Self {
        Self { rule, calls: 0, has_more: false, matching: 0, denying: 0, matches: Vec::new() }
    }

    fn add(&mut self, recorded: Decided, would_be: Option<Action>) {
        self.calls += 1;
        let Some(would_be) = would_be else { return };
        if would_be == self.rule.action {
            self.matching += 1;
        } else {
            self.denying += 1;
        }
        if self.matches.len() < MATCHES_MAX {
            self.matches.push(RememberedCall {
                invocation_id: recorded.id,
                received_at: Time(recorded.received_at),
                agent: recorded.agent,
                server: recorded.server,
                tool: recorded.tool,
                arguments_text: recorded.arguments,
                was: recorded.action,
                would_be,
            });
        }
    }
}

fn call(recorded: &Decided) -> Call {
    Call {
        agent: recorded.agent.as_str().into(),
        server: recorded.server.as_str().into(),
        method: recorded.method.clone(),
        tool: recorded.tool.clone(),
        arguments: Arguments::given(recorded.arguments.as_deref()),
        hints: None,
    }
}
