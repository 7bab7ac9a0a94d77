//! What a modern agent hears during its own request, and what a legacy server asks it meanwhile.
//!
//! In this era a server asks by its answer. So a legacy server's questions are gathered here, until the request is
//! answered with them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::stream::EventStream;
use crate::mcp::envelope::{self, Message};
use crate::mcp::log_level::LogLevel;
use crate::mcp::question::{Abilities, Question};
use crate::mcp::splice;
use crate::upstream::Sink;

/// Most questions of one call that wait at once.
const QUESTIONS_MAX: usize = 32;

/// The way to one modern agent, for as long as its call takes: over the request that made it, then over each that brings
/// answers.
pub(super) struct Alone {
    pub(super) abilities: Abilities,
    state: Mutex<State>,
    /// Notified when there is something to ask.
    asked: Notify,
}

struct State {
    hearing: Hearing,
    /// Set for those calls that can be answered with questions.
    can_ask: bool,
    /// Another request took the place of the one that the server knows.
    is_taken_over: bool,
    questions: Vec<(u64, Question)>,
}

/// Where a request's agent hears, and what it wants to hear.
#[derive(Clone)]
pub(super) struct Hearing {
    pub(super) stream: Arc<EventStream>,
    /// The least severe that it asked for.
    pub(super) log_level: Option<LogLevel>,
    pub(super) progress_token: Option<String>,
}

impl Hearing {
    fn wants_log(&self, level: Option<LogLevel>) -> bool {
        self.log_level.is_some_and(|wanted| level.is_none_or(|level| level >= wanted))
    }
}

impl Alone {
    pub(super) fn new(hearing: Hearing, abilities: Abilities) -> Self {
        let state = State { hearing, can_ask: false, is_taken_over: false, questions: Vec::new() };
        Self { abilities, state: Mutex::new(state), asked: Notify::new() }
    }

    /// From now on questions are taken.
    pub(super) fn let_ask(&self) {
        self.state().can_ask = true;
    }

    /// The agent hears the rest over another request.
    pub(super) fn take_over(&self, by: &Self) {
        let hearing = by.state().hearing.clone();
        let mut state = self.state();
        state.hearing = hearing;
        state.is_taken_over = true;
    }

    /// Resolves when there is something to ask.
    pub(super) async fn asked(&self) {
        loop {
            let asked = self.asked.notified();
            if self.has_questions() {
                return;
            }
            asked.await;
        }
    }

    pub(super) fn has_questions(&self) -> bool {
        !self.state().questions.is_empty()
    }

    /// What waits to be answered, each with the id under which the answer is expected.
    pub(super) fn questions(&self) -> Vec<(u64, Question)> {
        self.state().questions.clone()
    }

    pub(super) fn is_answered(&self, id: u64) {
        self.state().questions.retain(|(known, _)| *known != id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Alone {
    fn notify(&self, message: String) {
        let Some(method) = splice::find_string(&message, &["method"]) else { return };
        if method == "notifications/cancelled" {
            // The server no longer wants an answer of the agent; there is no way to tell the agent.
            let id = splice::find(&message, &["params", "requestId"]).and_then(|id| id.parse().ok());
            return id.into_iter().for_each(|id| self.is_answered(id));
        }
        let (hearing, is_taken_over) = {
            let state = self.state();
            (state.hearing.clone(), state.is_taken_over)
        };
        match (method.as_str(), &hearing.progress_token) {
            ("notifications/message", _) => {
                let level = splice::find_string(&message, &["params", "level"]);
                if hearing.wants_log(level.as_deref().and_then(LogLevel::named)) {
                    Sink::notify(&*hearing.stream, message);
                }
            }
            ("notifications/progress", None) if is_taken_over => {}
            ("notifications/progress", Some(token)) if is_taken_over => {
                let message = splice::set(&message, &["params", "progressToken"], token);
                Sink::notify(&*hearing.stream, message);
            }
            _ => Sink::notify(&*hearing.stream, message),
        }
    }

    fn room(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        let stream = self.state().hearing.stream.clone();
        stream.is_crowded().then(|| Box::pin(async move { stream.has_room().await }) as _)
    }

    fn hears_log(&self, level: Option<LogLevel>) -> bool {
        self.state().hearing.wants_log(level)
    }

    fn ask(&self, message: String) -> bool {
        let Ok(Message::Request { id, method, params }) = envelope::parse(&message) else { return false };
        let Ok(id) = id.get().parse::<u64>() else { return false };
        let params = params.map(|params| params.get().to_owned());
        let mut state = self.state();
        if !state.can_ask || state.questions.len() >= QUESTIONS_MAX || !self.abilities.allow(&method, params.as_deref())
        {
            return false;
        }
        // What a person is shown has no end that anybody is told of in this era, and so no id.
        let params = params.map(|params| splice::without(&params, |key| key == "elicitationId"));
        let question = Question { key: format!("question-{id}"), method: method.into_owned(), params };
        state.questions.push((id, question));
        drop(state);
        self.asked.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hearing(progress_token: Option<&str>) -> Hearing {
        let progress_token = progress_token.map(Into::into);
        Hearing { stream: EventStream::of_request(), log_level: None, progress_token }
    }

    fn alone(declared: &str) -> Alone {
        Alone::new(hearing(Some("1")), Abilities::read(declared))
    }

    #[tokio::test]
    async fn only_what_the_agent_declared_is_asked_and_only_when_it_can_be() {
        let alone = alone(r#"{"roots":{}}"#);
        let (roots, form) =
            (envelope::request("7", "roots/list", None), envelope::request("8", "elicitation/create", None));
        assert!(!alone.ask(roots.clone()), "this call can't be answered with a question");
        alone.let_ask();
        assert!(alone.ask(roots) && !alone.ask(form));
        alone.asked().await;
        assert_eq!(alone.questions()[0].0, 7);
        alone.notify(envelope::notification("notifications/cancelled", Some(r#"{"requestId":7}"#)));
        assert!(!alone.has_questions(), "the server took it back");
    }

    #[tokio::test]
    async fn after_a_question_the_agent_hears_over_the_request_that_brought_the_answer() {
        let (alone, next) = (alone("{}"), hearing(Some("\"second\"")));
        let progress = envelope::notification("notifications/progress", Some(r#"{"progressToken":1,"progress":2}"#));
        alone.take_over(&Alone::new(next.clone(), Abilities::default()));
        alone.notify(progress.clone());
        let mut reader = next.stream.read_after(0);
        assert!(reader.next().await.unwrap().text.contains(r#""progressToken":"second""#));
        let silent = hearing(None);
        alone.take_over(&Alone::new(silent.clone(), Abilities::default()));
        alone.notify(progress);
        silent.stream.finish(None);
        assert_eq!(silent.stream.read_after(0).next().await, None, "it gave no token for progress");
    }
}
