//! A modern server's questions, put to a legacy agent: its server's `input_required` becomes requests on the agent's
//! stream, and the agent's answers become the next round of the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::Task;
use super::session::Session;
use crate::gate::{Gate, Permit, Seen};
use crate::mcp::question::{self, Abilities, InputRequired, Question};
use crate::mcp::{envelope, meta, splice};
use crate::upstream::{Connection, Reply, Round, Sink, Ticket, UpstreamError, next_question_id};

/// Most questions of one round.
const QUESTIONS_MAX: usize = 32;

/// An agent that can be asked while its request is under way.
pub(super) struct Asker<'s> {
    pub(super) session: &'s Arc<Session>,
    pub(super) sink: &'s Arc<dyn Sink>,
    pub(super) abilities: &'s Abilities,
}

/// Makes the call, round by round. The agent has as long for its answers, taken together, as a request may take.
pub(super) async fn run(
    (task, gate, asker): (&Task, &Gate, &Asker<'_>),
    connection: &Connection,
    permit: Permit,
    params: String,
    ticket: Ticket,
) -> Result<Reply, UpstreamError> {
    let mut left = connection.request_timeout_max();
    let (mut reply, mut round) = Round::first(connection, permit, &task.method, params, ticket).await?;
    loop {
        let Reply::Result(result) = &reply else { return Ok(reply) };
        let wanted = match InputRequired::read(result) {
            None => return Ok(reply),
            Some(read) => read.map_err(|what| unanswered(format!("what it asks can't be read: {what}")))?,
        };
        let began = Instant::now();
        let answers = asker.ask(&wanted.questions, left).await?;
        left = left.saturating_sub(began.elapsed());
        let call = task.call_as_sent(round.params());
        let decision = gate.decide_with(&call, &task.upstream.spec.id, Seen::NotYet);
        (reply, round) = round.next(&decision, answers.as_deref(), wanted.state.as_deref()).await?;
    }
}

impl Asker<'_> {
    /// The answers, as the text of an object; `None` when nothing was asked.
    async fn ask(&self, questions: &[Question], patience: Duration) -> Result<Option<String>, UpstreamError> {
        if questions.is_empty() {
            return Ok(None);
        }
        if questions.len() > QUESTIONS_MAX {
            return Err(unanswered(format!(
                "it asked {} things at once; {QUESTIONS_MAX} are allowed",
                questions.len()
            )));
        }
        for Question { method, params, .. } in questions {
            if !self.abilities.allow(method, params.as_deref()) {
                return Err(unanswered(format!("its client can't be asked {method}, and never said that it could")));
            }
        }
        let asked = questions.iter().map(|question| self.put(question)).collect::<Result<Vec<_>, _>>()?;
        let answers = futures_util::future::try_join_all(asked.into_iter().map(Asked::answer));
        match tokio::time::timeout(patience, answers).await {
            Ok(answers) => {
                let keys = questions.iter().map(|question| question.key.as_str());
                Ok(Some(question::object(keys.zip(answers?))))
            }
            Err(_) => Err(unanswered("its client gave no answer in the time that the call had".into())),
        }
    }

    fn put(&self, question: &Question) -> Result<Asked, UpstreamError> {
        let id = next_question_id();
        let asked = Asked {
            reply: self.session.await_answer(id),
            id,
            method: question.method.clone(),
            session: self.session.clone(),
            sink: self.sink.clone(),
            is_answered: false,
        };
        let params = legacy_params(question);
        if self.sink.ask(envelope::request(&id.to_string(), &question.method, params.as_deref())) {
            Ok(asked)
        } else {
            let what = "its client can't be reached with a question: it has to accept text/event-stream, and for a \
                        batch also to listen with a GET";
            Err(unanswered(what.into()))
        }
    }
}

/// A question as a legacy agent knows it.
fn legacy_params(question: &Question) -> Option<String> {
    let params = question.params.as_deref().map(meta::strip_reserved)?;
    let lacks_id = splice::find(&params, &["elicitationId"]).is_none();
    Some(if question::is_of_url(&question.method, Some(&params)) && lacks_id {
        let id = envelope::quoted(&uuid::Uuid::new_v4().to_string());
        splice::set(&params, &["elicitationId"], &id)
    } else {
        params
    })
}

/// A question that the agent has. Dropping it takes it back.
struct Asked {
    id: u64,
    method: String,
    session: Arc<Session>,
    sink: Arc<dyn Sink>,
    reply: oneshot::Receiver<Reply>,
    is_answered: bool,
}

impl Asked {
    /// The text of the answer, as the modern era has it.
    async fn answer(mut self) -> Result<String, UpstreamError> {
        let reply = (&mut self.reply).await;
        self.is_answered = reply.is_ok();
        match reply {
            Ok(Reply::Result(result)) => Ok(result),
            // A client that can't show the question has shown nothing, as if its person had closed it.
            Ok(Reply::Error(_)) if self.method == question::ELICIT => Ok(question::CLOSED.into()),
            Ok(Reply::Error(object)) => {
                let why = splice::find_string(&object, &["message"]).unwrap_or(object);
                Err(unanswered(format!("its client answered {} with an error: {why}", self.method)))
            }
            Err(_) => Err(unanswered("the session ended".into())),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.session.forget_question(self.id);
        let params = format!(r#"{{"requestId":{},"reason":"the answer is no longer wanted"}}"#, self.id);
        self.sink.notify(envelope::notification("notifications/cancelled", Some(&params)));
    }
}

fn unanswered(reason: String) -> UpstreamError {
    UpstreamError::Unanswered { reason }
}
