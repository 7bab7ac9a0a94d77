//! Tasks of the gateway's own (2026-07-28): what a call that waits for a person is answered with where the agent knows
//! tasks, and what it is told when it comes back for it. They are called pledges here, as a server's are promises.
//!
//! What an agent asks about its own call reaches no server: like `server/discover` it is answered without a decision and
//! without a row. The call itself is decided and recorded like any other ([`carrying`]).

mod carrying;
mod telling;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

pub(super) use telling::Granting;

use super::Downstream;
use super::asking;
use super::call::{Said, Task, crossing_of_own, failure};
use super::promises;
use crate::invocation::Pledges;
use crate::mcp::question::{self, InputRequired};
use crate::mcp::{error, splice};
use crate::store::pledge::{INPUT_REQUIRED, Row, WORKING};
use crate::store::{StoreError, approval, invocation};
use crate::upstream::UpstreamError;

/// How often an agent should ask, in ms.
const POLL_INTERVAL_MS: u64 = 2_000;

/// A call that goes on in a later request's name, or in a later process.
pub(super) struct GoesOn {
    /// The row of the call, chosen before.
    pub(super) invocation_id: String,
    /// The question that it waits for and no other; `None` when it is to be decided as any call.
    pub(super) question: Option<approval::Row>,
}

/// What a request about a task is answered with.
pub(super) enum About {
    /// It is none of the gateway's own.
    Nothing,
    /// This.
    Said(Said),
    /// What the server says of its own task, which the call became.
    Behind(Box<Task>, String),
}

impl Downstream {
    /// Answers a request about a task of the gateway's own.
    pub(super) async fn about_pledge(&self, task: &Task) -> About {
        if !matches!(task.method.as_str(), "tasks/get" | "tasks/update" | "tasks/cancel") {
            return About::Nothing;
        }
        let Some(id) = task.params.as_deref().and_then(|params| splice::find_string(params, &["taskId"])) else {
            return About::Nothing;
        };
        if !Pledges::may_be(&id) {
            return About::Nothing;
        }
        let answered = match self.pledges.find(&id, &task.agent_id, &task.upstream.spec.id).await {
            // The server may be such a gateway itself.
            Ok(None) if self.promises.is_of(&task.upstream.spec.id, &task.agent_id, &id) => return About::Nothing,
            Ok(_) if !promises::knows_tasks(task.params.as_deref()) => Ok(task.says_error(&promises::undeclared())),
            Ok(None) => Ok(task.says_error(&error::object(error::INVALID_PARAMS, promises::NOT_FOUND))),
            Ok(Some(row)) => match &row.behind {
                Some(behind) => return self.behind(task, &row, behind),
                None => self.answer_about(task, row).await,
            },
            Err(error) => Err(error),
        };
        About::Said(answered.unwrap_or_else(|error| {
            tracing::error!(error = %crate::chain(&error), "a task could not be looked up");
            let what = "the gateway can't read its tasks at the moment; ask again later";
            let data = json!({ "code": "tasks_unavailable", "retry": "safe" });
            task.says_error(&error::object_with(error::INTERNAL, what, &data))
        }))
    }

    fn behind(&self, task: &Task, row: &Row, behind: &str) -> About {
        // Its owner may be forgotten; the row knows it.
        self.promises.remember(&task.upstream.spec.id, &task.agent_id, behind, row.expires_at);
        let params = task.params.as_deref().unwrap_or("{}");
        let params = splice::set(params, &["taskId"], &json!(behind).to_string());
        let mut of_server = task.another(&task.method, &params);
        of_server.stream = task.stream.clone();
        About::Behind(Box::new(of_server), row.id.clone())
    }

    async fn answer_about(&self, task: &Task, row: Row) -> Result<Said, StoreError> {
        match task.method.as_str() {
            "tasks/cancel" => {
                self.pledges.withdraw(&row.id).await?;
                Ok(task.says(COMPLETE))
            }
            "tasks/update" => {
                if let Some(params) = answered(&row, task.params.as_deref().unwrap_or("{}"))
                    && let Some(carried) = self.pledges.go_on(&row, &params).await?
                {
                    self.carry_on(task, &params, carried, None);
                }
                Ok(task.says(COMPLETE))
            }
            _ => {
                let row = self.brought_up(task, row).await?;
                let question = self.pledges.question(&row).await?;
                Ok(task.says(&self.told(&row, question.as_ref())))
            }
        }
    }

    /// The row as it should be: one whose run ended with its process goes on, or is told what is known of it.
    pub(super) async fn brought_up(&self, task: &Task, row: Row) -> Result<Row, StoreError> {
        if row.state != WORKING || row.behind.is_some() || self.pledges.is_carried(&row) || self.is_stopping() {
            return Ok(row);
        }
        let made = self.pledges.call(&row).await?;
        if !self.pledges.is_abandoned(&row, made.as_ref()) {
            return Ok(row);
        }
        if let Some((state, outcome)) = made.as_ref().and_then(|made| outcome_of(task, made)) {
            self.pledges.settle(&row.id, state, Some(outcome)).await?;
        } else if let Some(carried) = self.pledges.take(&row).await? {
            let question = self.pledges.question(&row).await?;
            self.carry_on(task, &row.params, carried, question);
        }
        let now = self.pledges.find(&row.id, &task.agent_id, &task.upstream.spec.id).await?;
        Ok(now.unwrap_or(row))
    }

    /// The members of a task, and what comes of it.
    pub(super) fn told(&self, row: &Row, question: Option<&approval::Row>) -> String {
        let outcome = row.outcome.as_deref().unwrap_or("{}");
        let mut told = self.members(row, question);
        told = splice::set(&told, &["resultType"], "\"complete\"");
        match row.state.as_str() {
            "completed" => splice::set(&told, &["result"], outcome),
            "failed" => splice::set(&told, &["error"], outcome),
            INPUT_REQUIRED => splice::set(&told, &["inputRequests"], &asked(row)),
            _ => told,
        }
    }

    /// The members that every task has.
    fn members(&self, row: &Row, question: Option<&approval::Row>) -> String {
        let is_working = row.state == WORKING;
        let until = self.pledges.kept_until(row, question.filter(|_| is_working));
        let message = match (row.state.as_str(), question) {
            (WORKING, Some(question)) if question.status == approval::PENDING => {
                Some(format!("Waiting for approval — {}", asking::link(&self.public_url, &question.id)))
            }
            (WORKING, Some(question)) if question.status == approval::APPROVED => Some("Approved".into()),
            ("failed", _) => splice::find_string(row.outcome.as_deref().unwrap_or("{}"), &["message"]),
            _ => None,
        };
        let mut members = json!({
            "taskId": row.id,
            "status": row.state,
            "createdAt": moment(row.created_at),
            "lastUpdatedAt": moment(row.updated_at),
            "ttlMs": until.saturating_sub(row.created_at).max(0),
            "pollIntervalMs": POLL_INTERVAL_MS,
        });
        if let (Some(message), Some(members)) = (message, members.as_object_mut()) {
            members.insert("statusMessage".into(), message.into());
        }
        members.to_string()
    }
}

/// An acknowledgement.
const COMPLETE: &str = r#"{"resultType":"complete"}"#;

/// The keys of a server's questions are the task's for as long as it lives, and servers use theirs again.
fn key_of(row: &Row, key: &str) -> String {
    format!("{}.{key}", row.round)
}

/// What the server asks, under keys that it asks nothing else by.
fn asked(row: &Row) -> String {
    let Some(Ok(asks)) = InputRequired::read(row.outcome.as_deref().unwrap_or("{}")) else { return "{}".into() };
    let questions =
        asks.questions.into_iter().map(|asked| question::Question { key: key_of(row, &asked.key), ..asked });
    let renamed = InputRequired { questions: questions.collect(), state: None }.text();
    splice::find(&renamed, &["inputRequests"]).unwrap_or("{}").to_owned()
}

/// The parameters of the next round, with the answers to what is asked; `None` when none of it is answered.
fn answered(row: &Row, update: &str) -> Option<String> {
    if row.state != INPUT_REQUIRED {
        return None;
    }
    let asks = InputRequired::read(row.outcome.as_deref()?)?.ok()?;
    let given = |key: &str| splice::find(update, &["inputResponses", &key_of(row, key)]).map(ToOwned::to_owned);
    let answers: Vec<_> = asks.questions.iter().filter_map(|asked| Some((&*asked.key, given(&asked.key)?))).collect();
    if answers.is_empty() { None } else { Some(next_params(&row.params, &asks, answers)) }
}

fn next_params<'k>(params: &str, asks: &InputRequired, answers: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let params = splice::without(params, |key| key == "requestState");
    let params = splice::set(&params, &["inputResponses"], &question::object(answers));
    match &asks.state {
        Some(state) => splice::set(&params, &["requestState"], state),
        None => params,
    }
}

/// What is known of a call whose process ended; `None` when it may still be made.
fn outcome_of(task: &Task, made: &invocation::Row) -> Option<(&'static str, String)> {
    let ran = |what: &str| {
        let data = json!({ "code": "outcome_lost", "retry": "no", "invocation_id": made.id });
        Some(("failed", error::object_with(error::UPSTREAM, what, &data)))
    };
    match (made.state.as_str(), &made.result, &made.error) {
        ("completed", Some(result), _) if made.result_bytes == i64::try_from(result.len()).ok() => {
            Some(("completed", crossing_of_own(task.era).result("tools/call", result.clone())))
        }
        ("completed", None, Some(error)) if error::code_of(error).is_some() => Some(("failed", error.clone())),
        ("completed", ..) => ran("the call was made and answered, but the gateway stopped before its result was kept"),
        ("unknown", ..) => {
            let lost = failure(task, &UpstreamError::Stopped { was_sent: true });
            Some(("failed", lost))
        }
        ("failed", _, error) => {
            let what = error.clone().unwrap_or_else(|| "the call failed".into());
            let data = json!({ "code": "upstream", "retry": "no", "invocation_id": made.id });
            Some(("failed", error::object_with(error::UPSTREAM, &what, &data)))
        }
        ("denied" | "expired" | "refused", _, error) => {
            let text = format!("Atryum did not make this call: {}", error.as_deref().unwrap_or("it was denied"));
            let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true }).to_string();
            Some(("completed", crossing_of_own(task.era).result("tools/call", result)))
        }
        _ => None,
    }
}

fn moment(at_ms: i64) -> String {
    let moment = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The answer about a server's own task, under the name by which the agent knows it.
pub(super) fn renamed(said: Said, id: &str) -> Said {
    let Some(result) = splice::find(&said.text, &["result"]) else { return said };
    if splice::find(result, &["taskId"]).is_none() {
        return said;
    }
    let text = splice::set(&said.text, &["result", "taskId"], &json!(id).to_string());
    Said { text, ..said }
}
