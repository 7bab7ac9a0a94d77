//! Questions to people about what agents want to do: list, read, approve (also with other arguments), deny, extend.
//!
//! An answer names the digest of what was shown. If that is not what would run, nothing is decided.

mod edited;
pub mod remembered;

use actix_web::web;
use remembered::Remember;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::definition::{self, DefinitionChange};
use crate::clock;
use crate::gate::{Action, GateError};
use crate::http::answer::Listing;
use crate::http::body::{Body, Written};
use crate::http::extract::Operator;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::http::time::Time;
use crate::store::approval::{self, Answer, Row};
use crate::store::rule::NewRule;
use crate::store::{self, StoreError};

const WHAT: &str = "approval";
/// What an approval may be.
const STATUSES: [&str; 5] = ["pending", "approved", "denied", "expired", "cancelled"];
/// How far an end may be moved at once, and how far ahead it may lie.
const EXTEND_SECONDS_MAX: u32 = 86_400;
/// How long a person's reason may be, in characters.
const REASON_CHARS_MAX: usize = 2_000;

/// A question to a person about one call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalBody {
    id: String,
    /// The call that asked first.
    invocation_id: String,
    /// Who asks.
    agent: String,
    server: String,
    #[schema(example = "tools/call")]
    method: String,
    tool: Option<String>,
    /// The text of the call's arguments, to the letter: show this, and never what a parser makes of it.
    arguments_text: Option<String>,
    /// The text of what else a tool is called with, to the letter, when there is something.
    other_params_text: Option<String>,
    /// The text that whoever approved it put in place of the arguments.
    edited_arguments_text: Option<String>,
    /// Over what the server said that the tool is; absent when that could not be read.
    definition_digest: Option<String>,
    /// Over agent, server and its revision, method, tool, its definition and arguments. An approval holds for this alone.
    digest: String,
    /// `pending`, `approved`, `denied`, `expired` or `cancelled`.
    status: String,
    /// The words of whoever answered.
    reason: Option<String>,
    created_at: Time,
    expires_at: Time,
    decided_at: Option<Time>,
    decided_by: Option<String>,
    /// Since when no call waits for the answer; an answer is kept for when the agent makes the same call again.
    left_at: Option<Time>,
    /// Until when the answer is good for the same call, made again.
    holds_until: Option<Time>,
    /// When a yes was spent. It is good once.
    used_at: Option<Time>,
    /// The call that it was spent on.
    used_by: Option<String>,
    /// How the tool differs from what it is held to be; `null` when it does not. A yes is for this one call, and reviews
    /// nothing.
    definition_change: Option<DefinitionChange>,
    /// The rule that this very answer has made.
    remembered_rule_id: Option<String>,
}

impl From<Row> for ApprovalBody {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            invocation_id: row.invocation_id,
            agent: row.agent,
            server: row.server,
            method: row.method,
            tool: row.tool,
            arguments_text: row.arguments,
            other_params_text: row.other_params,
            edited_arguments_text: row.edited_arguments,
            definition_digest: row.definition_digest,
            digest: row.digest,
            status: row.status,
            reason: row.reason,
            created_at: Time(row.created_at),
            expires_at: Time(row.expires_at),
            decided_at: row.decided_at.map(Time),
            decided_by: row.decided_by,
            left_at: row.left_at.map(Time),
            holds_until: row.holds_until.map(Time),
            used_at: row.used_at.map(Time),
            used_by: row.used_by,
            definition_change: None,
            remembered_rule_id: None,
        }
    }
}

/// Which questions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// Only those that are `pending`, `approved`, `denied`, `expired` or `cancelled`.
    status: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists questions, newest first.
#[utoipa::path(get, path = "/api/v1/approvals", operation_id = "list_approvals", tag = "Approvals",
    params(ApprovalQuery),
    responses((status = 200, description = "A page of questions.", body = Listing<ApprovalBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<ApprovalQuery>,
) -> Result<web::Json<Listing<ApprovalBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    if query.status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        let detail =
            format!("the query parameter \"status\" can't be used: one of {} is expected", STATUSES.join(", "));
        return Err(Problem::new(Code::InvalidParameter, detail));
    }
    let listed = store::approval::list(&gateway.store, query.status.as_deref(), &page).await?;
    let mut items = Vec::with_capacity(listed.items.len());
    for row in listed.items {
        items.push(with_change(&gateway, row).await?);
    }
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// Reads a question.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", operation_id = "read_approval", tag = "Approvals",
    params(("id" = String, Path, description = "The question's id.")),
    responses((status = 200, description = "The question.", body = ApprovalBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, id: web::Path<String>) -> Result<web::Json<ApprovalBody>, Problem> {
    let row = find(&gateway, &id).await?;
    Ok(web::Json(with_change(&gateway, row).await?))
}

/// A question, with how its tool differs from what it is held to be; only while somebody can answer.
async fn with_change(gateway: &Gateway, row: Row) -> Result<ApprovalBody, Problem> {
    let tool = row.tool.as_deref().filter(|_| row.status == approval::PENDING && row.method == "tools/call");
    let pin = match tool {
        Some(tool) => store::tool_pin::find(&gateway.store, &row.server_id, tool).await?,
        None => None,
    };
    let change = pin.and_then(|pin| definition::from_pinned(&pin, row.definition_digest.as_ref()));
    Ok(ApprovalBody { definition_change: change, ..row.into() })
}

/// A person's yes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The digest that was shown.
    digest: String,
    /// What is to go out in place of the agent's arguments, to the letter: a JSON object that fits the tool.
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "what counts is its text, which the body keeps")]
    arguments: Option<Value>,
    /// The same as a text, for those who would otherwise write its numbers anew.
    #[schema(example = r#"{"to":"staging"}"#)]
    arguments_text: Option<String>,
    /// A rule that allows what is like it from now on; look first at what that would have been (`…/remember`).
    remember: Option<Remember>,
}

/// Approves a call: this one, once, as it was asked or with other arguments.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/approve", operation_id = "approve", tag = "Approvals",
    params(("id" = String, Path, description = "The question's id.")), request_body = Approve,
    responses((status = 200, description = "The call goes on.", body = ApprovalBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody),
              (status = 409, description = "Decided already, or another digest.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody),
              (status = 502, description = "The server gave no list of its tools.", body = ProblemBody),
              (status = 503, description = "It is decided, and what was to be remembered is not.", body = ProblemBody)))]
pub async fn approve(
    gateway: web::Data<Gateway>,
    operator: Operator,
    id: web::Path<String>,
    written: Written<Approve>,
) -> Result<web::Json<ApprovalBody>, Problem> {
    let arguments = written.text_of("arguments").map(ToOwned::to_owned);
    let yes = written.value;
    let row = find(&gateway, &id).await?;
    let (edited, field) = match (arguments, yes.arguments_text) {
        (Some(_), Some(_)) => {
            return Err(Problem::field("/arguments_text", "it says the same as arguments; leave one of them out"));
        }
        (Some(text), None) => (Some(text), "/arguments"),
        (None, text) => (text, "/arguments_text"),
    };
    let edited_arguments = match edited {
        // Whoever saw something else edits something else.
        Some(text) if row.digest == yes.digest => edited::accepted(&gateway, &row, text, field).await?,
        Some(_) | None => None,
    };
    if edited_arguments.is_some() && yes.remember.is_some() {
        let what = "what was edited is for one call; approve it, and remember another one, or write a rule";
        return Err(Problem::field("/remember", what));
    }
    let rule = judged(&gateway, &row, yes.remember, (Action::Allow, None)).await?;
    let answer = Answer { edited_arguments, ..answer(&gateway, &operator, yes.digest, approval::APPROVED) };
    Ok(web::Json(settle(&gateway, &id, answer, rule).await?))
}

/// Judges the rule before anything is decided.
async fn judged(
    gateway: &Gateway,
    row: &Row,
    remember: Option<Remember>,
    (action, guidance): (Action, Option<&str>),
) -> Result<Option<(NewRule, Option<String>)>, Problem> {
    match remember {
        Some(remember) => Ok(Some(remembered::judged(remember.draft(gateway, row, action, guidance).await?)?)),
        None => Ok(None),
    }
}

/// A person's no.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// The digest that was shown; may be left out, as a no is safe for whatever is asked.
    digest: Option<String>,
    /// Told to the model.
    #[schema(example = "use the staging account instead")]
    reason: Option<String>,
    /// A rule that denies what is like it from now on, with the reason as its guidance.
    remember: Option<Remember>,
}

/// Denies a call.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/deny", operation_id = "deny", tag = "Approvals",
    params(("id" = String, Path, description = "The question's id.")), request_body = Deny,
    responses((status = 200, description = "The call ends here.", body = ApprovalBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody),
              (status = 409, description = "Decided already, or another digest.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody),
              (status = 503, description = "It is decided, and what was to be remembered is not.", body = ProblemBody)))]
pub async fn deny(
    gateway: web::Data<Gateway>,
    operator: Operator,
    id: web::Path<String>,
    Body(no): Body<Deny>,
) -> Result<web::Json<ApprovalBody>, Problem> {
    if no.reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        return Err(Problem::field("/reason", format!("at most {REASON_CHARS_MAX} characters are expected")));
    }
    let row = find(&gateway, &id).await?;
    let rule = judged(&gateway, &row, no.remember, (Action::Deny, no.reason.as_deref())).await?;
    let digest = no.digest.unwrap_or(row.digest);
    let answer = Answer { reason: no.reason, ..answer(&gateway, &operator, digest, approval::DENIED) };
    Ok(web::Json(settle(&gateway, &id, answer, rule).await?))
}

/// A later end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// How much later, 1 to 86400.
    #[schema(minimum = 1, maximum = 86_400)]
    seconds: u32,
}

/// Gives a question more time.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/extend", operation_id = "extend_approval", tag = "Approvals",
    params(("id" = String, Path, description = "The question's id.")), request_body = Extend,
    responses((status = 200, description = "It ends later.", body = ApprovalBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody),
              (status = 409, description = "It is decided already.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn extend(
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    Body(wanted): Body<Extend>,
) -> Result<web::Json<ApprovalBody>, Problem> {
    if !(1..=EXTEND_SECONDS_MAX).contains(&wanted.seconds) {
        return Err(Problem::field("/seconds", format!("1 to {EXTEND_SECONDS_MAX} is expected")));
    }
    let now = clock::now_ms();
    let latest = now + i64::from(EXTEND_SECONDS_MAX) * 1000;
    let more_ms = i64::from(wanted.seconds) * 1000;
    let extended = store::approval::extend(&gateway.store, &id, more_ms, latest, now).await;
    let row = extended
        .map_err(|error| Problem::from(error).named(WHAT, &id).recoded(Code::Conflict, Code::AlreadyDecided))?;
    Ok(web::Json(row.into()))
}

fn answer(gateway: &Gateway, operator: &Operator, digest: String, status: &str) -> Answer {
    let now = clock::now_ms();
    let holds_ms = i64::try_from(gateway.approvals.terms().holds.as_millis()).unwrap_or(i64::MAX);
    Answer {
        digest,
        status: status.to_owned(),
        reason: None,
        edited_arguments: None,
        by: operator.name().to_owned(),
        now,
        holds_until: now.saturating_add(holds_ms),
    }
}

/// Commits the answer, and the rule that remembers it, or neither.
async fn settle(
    gateway: &Gateway,
    id: &str,
    answer: Answer,
    rule: Option<(NewRule, Option<String>)>,
) -> Result<ApprovalBody, Problem> {
    let digest = answer.digest.clone();
    let settled = match rule {
        None => gateway.approvals.settle(id, answer).await.map(|row| (row, None)),
        Some((new, before)) => {
            let settled = gateway.approvals.settle_and_remember(id, answer, (new, before.as_deref())).await;
            settled.map(|(row, rule_id)| (row, Some(rule_id)))
        }
    };
    match settled {
        Ok((row, remembered_rule_id)) => {
            if remembered_rule_id.is_some() {
                gateway.publish_rules().await?;
            }
            Ok(ApprovalBody { remembered_rule_id, ..row.into() })
        }
        Err(GateError::Store(StoreError::NotFound { what: "rule" })) => {
            let what = "the rule that asked is gone by now, before which this was to be remembered; nothing is decided";
            Err(Problem::field("/remember", what))
        }
        Err(GateError::Store(error @ StoreError::Conflict { .. })) => {
            let row = find(gateway, id).await?;
            let is_other = row.status == "pending" && row.digest != digest;
            let code = if is_other { Code::DigestMismatch } else { Code::AlreadyDecided };
            Err(Problem::from(error).recoded(Code::Conflict, code))
        }
        Err(error) => Err(Problem::from(error).named(WHAT, id)),
    }
}

async fn find(gateway: &Gateway, id: &str) -> Result<Row, Problem> {
    store::approval::find(&gateway.store, id).await?.ok_or_else(|| Problem::no_such(WHAT, id))
}
