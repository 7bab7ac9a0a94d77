//! Calls of modern agents that a legacy server holds because it asked something. The call stays open here while its agent
//! is answered with the question; the agent's next request brings the answer, and a word by which the call is found.
//!
//! The word is chance and stands for nothing outside this process: there is nothing in it to be read or forged. It is good
//! once, for a while, and for the same agent making the same call of the same server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::alone::Alone;
use super::call::Task;
use super::promises;
use crate::gate::Permit;
use crate::mcp::question::{self, InputRequired};
use crate::mcp::version::Era;
use crate::mcp::{envelope, error, method, splice};
use crate::upstream::{Claim, Connection, LogWanted, Reply, Ticket, UpstreamError};

/// As long as people need, and as a tool may be expected to wait for them.
const HELD_MAX: Duration = Duration::from_mins(5);
/// Most calls that are held for one agent; beyond them its oldest makes way.
const AGENT_MAX: usize = 32;
/// Most calls that are held.
const COUNT_MAX: usize = 1024;
/// Servers that ask several things at once do so in one breath: this long is waited for the rest.
const BREATH: Duration = Duration::from_millis(20);

/// A call that its server has not answered yet. Dropping it tells the server that nobody will answer its questions, and
/// that nobody waits for its result.
pub(super) struct Held {
    pub(super) connection: Arc<Connection>,
    /// The call itself stays on the thread that began it, and is driven there. Dropping this gives it up.
    _wanted: oneshot::Sender<()>,
    reply: oneshot::Receiver<Result<Reply, UpstreamError>>,
    agent: Arc<Alone>,
    /// When the request's own time is over.
    deadline: Instant,
}

/// What stays with a call for as long as it is held: its connection's being open, and its wish to hear of the log.
pub(super) type Kept = (Claim, Option<LogWanted>);

/// How it goes on.
enum Step {
    Reply(Result<Reply, UpstreamError>),
    Asks(Held),
}

impl Held {
    /// Makes the permitted call.
    pub(super) fn begin(
        (connection, kept): (Arc<Connection>, Kept),
        (permit, ticket): (Permit, Ticket),
        (method, params): (String, Option<String>),
        agent: Arc<Alone>,
    ) -> Self {
        agent.let_ask();
        let deadline = Instant::now() + connection.request_timeout_max();
        let ((wanted, mut given_up), (answered, reply)) = (oneshot::channel(), oneshot::channel());
        let (over, asked) = (connection.clone(), agent.clone());
        actix_rt::spawn(async move {
            // Let go of last: whoever closes the connection waits until the server was told of the end.
            let _kept = kept;
            let made = (Era::Modern, method.as_str(), params.as_deref());
            let reply = {
                let call = std::pin::pin!(promises::call(&over, permit, made, ticket));
                tokio::select! {
                    biased;
                    reply = call => Some(reply),
                    _ = &mut given_up => None,
                }
            };
            // The call is over or cancelled by now. Had its questions been closed before, it might have gone on to its end.
            decline(&over, &asked);
            if let Some(reply) = reply {
                // Who no longer waits has ended this, too.
                let _ = answered.send(reply);
            }
        });
        Self { connection, _wanted: wanted, reply, agent, deadline }
    }

    /// Hands the answers to the server; what was not answered is asked again. The permit of the request that brings them
    /// is spent on that.
    pub(super) fn answer(&self, permit: Permit, params: Option<&str>, by: &Alone) {
        drop(permit);
        self.agent.take_over(by);
        let answers = params.and_then(|params| splice::find(params, &["inputResponses"])).unwrap_or("{}");
        for (id, question) in self.agent.questions() {
            if let Some(answer) = splice::find(answers, &[&question.key])
                && question::fits(&question.method, answer)
            {
                self.agent.is_answered(id);
                // What the server took back meanwhile needs no answer.
                self.connection.answer(id, &Reply::Result(answer.to_owned()));
            }
        }
    }

    async fn step(mut self) -> Step {
        let agent = self.agent.clone();
        let asked = async {
            loop {
                agent.asked().await;
                tokio::time::sleep(BREATH).await;
                if agent.has_questions() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            // Without one, the call broke off.
            reply = &mut self.reply => Step::Reply(reply.unwrap_or(Err(UpstreamError::Stopped { was_sent: true }))),
            () = asked => Step::Asks(self),
        }
    }
}

/// Tells the server that its questions are not answered.
fn decline(connection: &Connection, agent: &Alone) {
    for (id, question) in agent.questions() {
        agent.is_answered(id);
        let reply = if question.method == question::ELICIT {
            Reply::Result(question::CLOSED.into())
        } else {
            Reply::Error(error::object(error::INTERNAL, "the client gave no answer"))
        };
        connection.answer(id, &reply);
    }
}

/// What makes two requests the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SameCall {
    agent_id: Arc<str>,
    digest: [u8; 32],
}

impl SameCall {
    /// Over the server, and over the very text that was decided on.
    pub(super) fn of(task: &Task, agent_id: &Arc<str>) -> Self {
        let params = task.params.as_deref();
        let arguments = params.and_then(|params| splice::find(params, &["arguments"])).unwrap_or_default();
        let subject = method::subject(&task.method, params).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [&*task.upstream.spec.id, &task.method, &subject, arguments] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { agent_id: agent_id.clone(), digest: hash.finalize().into() }
    }
}

/// All calls that are held.
#[derive(Clone, Default)]
pub(super) struct HeldCalls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By the text of the agent's `requestState`, quotes and all.
    by_word: HashMap<String, Entry>,
    is_closed: bool,
}

struct Entry {
    same: SameCall,
    until: Instant,
    held: Held,
}

impl HeldCalls {
    /// The call that the parameters' `requestState` is the word for, if this is the same one.
    pub(super) fn take(&self, params: Option<&str>, same: &SameCall) -> Option<Held> {
        let word = splice::find(params?, &["requestState"])?;
        let mut state = self.state();
        let is_it = state.by_word.get(word).is_some_and(|entry| entry.same == *same && entry.until > Instant::now());
        if is_it { state.by_word.remove(word).map(|entry| entry.held) } else { None }
    }

    /// Waits for the server's answer or its questions; the latter become the answer, and the call is kept.
    pub(super) async fn go_on(&self, mut held: Held, same: SameCall) -> Result<Reply, UpstreamError> {
        loop {
            match held.step().await {
                Step::Reply(reply) => return reply,
                Step::Asks(asking) => match self.keep(asking, same.clone()) {
                    Ok(result) => return Ok(Reply::Result(result)),
                    // Nobody could bring the answers: the server may do without them.
                    Err(refused) => {
                        decline(&refused.connection, &refused.agent);
                        held = *refused;
                    }
                },
            }
        }
    }

    /// Keeps a call; gives the result that asks its questions, or the call back when there is no place for it.
    fn keep(&self, held: Held, same: SameCall) -> Result<String, Box<Held>> {
        let word = envelope::quoted(&new_word());
        let questions = held.agent.questions().into_iter().map(|(_, question)| question).collect();
        let asked = InputRequired { questions, state: Some(word.clone()) };
        let until = held.deadline.min(Instant::now() + HELD_MAX);
        let made_way = {
            let mut state = self.state();
            if state.is_closed || state.by_word.len() >= COUNT_MAX || until <= Instant::now() {
                return Err(Box::new(held));
            }
            let made_way = state.make_way(&same.agent_id);
            state.by_word.insert(word.clone(), Entry { same, until, held });
            made_way
        };
        drop(made_way);
        let calls = Arc::downgrade(&self.0);
        actix_rt::spawn(async move {
            tokio::time::sleep_until(until).await;
            let expired = calls.upgrade().and_then(|calls| Self(calls).state().by_word.remove(&word));
            drop(expired);
        });
        Ok(asked.text())
    }

    /// Holds nothing any more: nobody will come back.
    pub(super) fn close(&self) {
        let all = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.by_word)
        };
        drop(all);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_way(&mut self, agent_id: &Arc<str>) -> Option<Entry> {
        let own = || self.by_word.iter().filter(|(_, entry)| entry.same.agent_id == *agent_id);
        if own().count() < AGENT_MAX {
            return None;
        }
        let oldest = own().min_by_key(|(_, entry)| entry.until).map(|(word, _)| word.clone())?;
        self.by_word.remove(&oldest)
    }
}

/// More than 128 bits of chance.
fn new_word() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
