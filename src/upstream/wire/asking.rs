//! What a server asks while requests are under way: whom, and how the answer comes back.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::questions::Question;
use super::{Origin, Reply, State, Wire};
use crate::mcp::{envelope, error, splice};
use crate::upstream::sink::{Audience, Sink, next_question_id};

/// A request, if the question is about one, and who may answer.
pub(super) type Asker = (Option<u64>, Arc<dyn Sink>);

impl State {
    /// The agents' requests that are in flight.
    pub(super) fn calls(&self) -> impl Iterator<Item = Asker> {
        self.pending.iter().filter_map(|(id, pending)| Some((Some(*id), pending.caller()?.sink.clone())))
    }
}

impl Wire {
    /// The server asks something.
    pub(super) fn question(&self, upstream_id: &str, method: &str, params: Option<&str>, origin: Origin) {
        if method == "ping" {
            let _ = self.send(envelope::result(upstream_id, "{}"));
            return;
        }
        // Where several requests of several agents are under way, only the way it came can say whose question it is.
        let listeners = match (self.audience, origin) {
            (Audience::Session, _) => [self.owner(origin), Some((None, self.fallback.clone())), self.newest()],
            (_, Origin::Request(_)) => [self.owner(origin), None, None],
            (Audience::Agent, Origin::Unknown) => [self.asker(), None, None],
            (Audience::Agent | Audience::Everyone, _) => [None, None, None],
        };
        let id = next_question_id();
        let message = envelope::request(&id.to_string(), method, params);
        for (about, sink) in listeners.into_iter().flatten() {
            let question = Question { upstream_id: upstream_id.to_owned(), about, sink: sink.clone() };
            let oldest = self.state().questions.add(id, question);
            if let Some(oldest) = oldest {
                self.refuse(&oldest.upstream_id, "too many questions wait for an answer");
            }
            if sink.ask(message.clone()) {
                return;
            }
            self.state().questions.take(id);
        }
        self.refuse(upstream_id, "no agent is there to answer this");
    }

    fn refuse(&self, upstream_id: &str, why: &str) {
        let refusal = error::object(error::METHOD_NOT_FOUND, why);
        let _ = self.send(envelope::error(Some(upstream_id), &refusal));
    }

    /// Hands an agent's answer to the server's request that asked for it; `false` when this server asked no such thing.
    pub(in crate::upstream) fn answer(&self, id: u64, reply: &Reply) -> bool {
        let Some(question) = self.state().questions.take(id) else { return false };
        self.heard(question.about);
        let text = match reply {
            Reply::Result(result) => envelope::result(&question.upstream_id, result),
            Reply::Error(error) => envelope::error(Some(&question.upstream_id), error),
        };
        // A process that does not read will not miss it either.
        let _ = self.send(text);
        true
    }

    /// The server no longer wants the answer to something that it asked an agent.
    pub(super) fn withdrawn(&self, params: Option<&str>) {
        let Some(params) = params else { return };
        let Some(upstream_id) = splice::find(params, &["requestId"]) else { return };
        let Some((id, asked)) = self.state().questions.take_of_upstream(upstream_id) else { return };
        self.heard(asked.about);
        let params = splice::set(params, &["requestId"], &id.to_string());
        asked.sink.notify(envelope::notification("notifications/cancelled", Some(&params)));
    }

    /// The newest of the agents' requests.
    fn newest(&self) -> Option<Asker> {
        self.state().calls().max_by_key(|(id, _)| *id)
    }

    /// For the requests of one agent, some of which may wait for its answers: a call that waits is taken to wait, so that
    /// one that was made meanwhile can ask, too.
    fn asker(&self) -> Option<Asker> {
        let state = self.state();
        let mut others = state.calls().filter(|(id, _)| !id.is_some_and(|id| state.questions.are_about(id)));
        match (others.next(), others.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => None,
            (None, _) => {
                let mut waiting = state.calls();
                waiting.next().filter(|_| waiting.next().is_none())
            }
        }
    }

    /// Whether the server waits for an agent's answer before it goes on with this request.
    pub(super) fn waits_for_answer(&self, request: u64) -> bool {
        self.state().questions.are_about(request)
    }

    /// The server has a reason again to be heard of, from now on.
    fn heard(&self, about: Option<u64>) {
        let state = self.state();
        if let Some(pending) = about.and_then(|request| state.pending.get(&request)) {
            *pending.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}
