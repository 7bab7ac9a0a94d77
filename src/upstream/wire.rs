//! The messages of one connection to a server: which request an answer belongs to, and which agent a message is for.
//!
//! The gateway gives each request an id of its own, and uses the same number as its progress token; so whatever ids and
//! tokens agents choose, none is mistaken for another's. What comes back is given the agent's own id and token again.
//!
//! Free of I/O: messages go out through an [`Outlet`] and come in through [`Wire::line`] or [`Wire::take`].

mod asking;
mod head;
mod in_flight;
mod lasting;
mod outlet;
mod questions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub(super) use in_flight::InFlight;
pub(super) use outlet::Outlet;

use super::error::UpstreamError;
use super::http::HttpError;
use super::sink::{Audience, Sink};
use crate::mcp::envelope::{self, Message};
use crate::mcp::log_level::LogLevel;
use crate::mcp::{meta, splice};
use asking::Asker;
use head::Head;
use lasting::Lasting;
use questions::Questions;

/// After this many lines in a row that are no messages, the process is given up.
const NOISE_MAX: u32 = 100;

/// The answer to a request: the text of its `result` or its `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The text of the `result` member.
    Result(String),
    /// The text of the `error` member.
    Error(String),
}

/// What an agent's request brings along.
#[derive(Clone)]
pub struct Ticket {
    /// Where messages about this request go.
    pub sink: Arc<dyn Sink>,
    /// The agent's progress token, as text, if it gave one.
    pub progress_token: Option<String>,
    /// The agent's id of the request, as text.
    pub id: String,
}

/// Why a wire is no longer usable.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Stopped,
    Exited {
        exit: String,
        stderr: Vec<String>,
    },
    /// The stream that all answers come by is over (2024-11-05 over HTTP).
    Hung,
}

/// What is known of a message by the way it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing: all messages come the same way.
    Unknown,
    /// It came with the answer to this request.
    Request(u64),
    /// It belongs to no request.
    Apart,
}

impl Ended {
    fn error(&self, was_sent: bool) -> UpstreamError {
        match self {
            Self::Stopped => UpstreamError::Stopped { was_sent },
            Self::Exited { exit, stderr } => {
                UpstreamError::Exited { exit: exit.clone(), stderr: stderr.clone(), was_sent }
            }
            Self::Hung if was_sent => HttpError::NoAnswer.into(),
            Self::Hung => UpstreamError::Stopped { was_sent: false },
        }
    }
}

struct Pending {
    /// It stays open for news, and nothing else is about it.
    is_listening: bool,
    reply: oneshot::Sender<Result<Reply, UpstreamError>>,
    ticket: Option<Ticket>,
    last_heard: Arc<Mutex<Instant>>,
}

impl Pending {
    /// Of an agent's request that is no listening.
    fn caller(&self) -> Option<&Ticket> {
        self.ticket.as_ref().filter(|_| !self.is_listening)
    }
}

#[derive(Default)]
struct State {
    pending: HashMap<u64, Pending>,
    questions: Questions,
    lasting: Lasting,
    noise: u32,
}

/// One connection's messages.
pub(super) struct Wire {
    outlet: Outlet,
    state: Mutex<State>,
    next_id: AtomicU64,
    fallback: Arc<dyn Sink>,
    audience: Audience,
    ended: OnceLock<Ended>,
    /// Notified when it has ended.
    over: Notify,
    /// Notified when the wire is to be closed.
    pub(super) stop: Notify,
    /// Milliseconds since the epoch.
    pub(super) last_used: AtomicI64,
    /// Counts how often the server said that its tools changed.
    pub(super) tools_changed: AtomicU64,
}

impl Wire {
    /// A wire whose messages go out by `outlet`. What belongs to no request is for `fallback`.
    pub(super) fn new(outlet: Outlet, fallback: Arc<dyn Sink>, audience: Audience) -> Arc<Self> {
        Arc::new(Self {
            outlet,
            state: Mutex::default(),
            next_id: AtomicU64::new(1),
            fallback,
            audience,
            ended: OnceLock::new(),
            over: Notify::new(),
            stop: Notify::new(),
            last_used: AtomicI64::new(crate::clock::now_ms()),
            tools_changed: AtomicU64::new(0),
        })
    }

    /// Sends a request. The returned value is the claim to its answer; dropping that cancels the request.
    pub(super) fn request(
        self: &Arc<Self>,
        method: &str,
        params: Option<&str>,
        ticket: Option<Ticket>,
    ) -> Result<InFlight, UpstreamError> {
        let (in_flight, text) = self.prepare(method, params, ticket)?;
        if let Err(error) = self.send(text) {
            in_flight.forget();
            return Err(error);
        }
        // The process may have ended between the first look and the insertion: then nobody would fail this request.
        if let Err(error) = self.refuse_if_ended(true) {
            in_flight.forget();
            return Err(error);
        }
        Ok(in_flight)
    }

    /// Takes a request in without sending it: the text is the caller's to send.
    pub(super) fn prepare(
        self: &Arc<Self>,
        method: &str,
        params: Option<&str>,
        ticket: Option<Ticket>,
    ) -> Result<(InFlight, String), UpstreamError> {
        self.refuse_if_ended(false)?;
        self.last_used.store(crate::clock::now_ms(), Ordering::Relaxed);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let has_token = ticket.as_ref().is_some_and(|ticket| ticket.progress_token.is_some());
        let text = match params {
            Some(params) if has_token => {
                let params = splice::set(params, &["_meta", "progressToken"], &id.to_string());
                envelope::request(&id.to_string(), method, Some(&params))
            }
            _ => envelope::request(&id.to_string(), method, params),
        };
        let (reply, answer) = oneshot::channel();
        let last_heard = Arc::new(Mutex::new(Instant::now()));
        let is_listening = method == "subscriptions/listen";
        self.state().pending.insert(id, Pending { is_listening, reply, ticket, last_heard: last_heard.clone() });
        let in_flight = InFlight {
            wire: self.clone(),
            id,
            is_cancellable: method != "initialize",
            answer,
            last_heard,
            is_done: false,
        };
        Ok((in_flight, text))
    }

    /// The request will not be answered: whoever waits for it is told why.
    pub(super) fn fail(&self, id: u64, error: UpstreamError) {
        let pending = self.state().pending.remove(&id);
        if let Some(pending) = pending {
            let _ = pending.reply.send(Err(error));
        }
    }

    /// Where messages about the request go.
    pub(super) fn sink_of(&self, id: u64) -> Option<Arc<dyn Sink>> {
        self.state().pending.get(&id)?.ticket.as_ref().map(|ticket| ticket.sink.clone())
    }

    /// Whether the answer to the request has not come yet.
    pub(super) fn is_waited_for(&self, id: u64) -> bool {
        self.state().pending.contains_key(&id)
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &str, params: Option<&str>) -> Result<(), UpstreamError> {
        self.refuse_if_ended(false)?;
        self.send(envelope::notification(method, params))
    }

    /// Resolves when nothing more will come.
    pub(super) async fn over(&self) {
        let over = self.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        if self.is_open() {
            over.await;
        }
    }

    /// Whether requests can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.ended.get().is_none()
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.state().pending.len()
    }

    /// Takes a line from the process. `false` when there was so much noise that it should be given up.
    pub(super) fn line(&self, line: &str) -> bool {
        let Ok(message) = envelope::parse(line) else {
            let mut state = self.state();
            state.noise += 1;
            return state.noise < NOISE_MAX;
        };
        self.state().noise = 0;
        self.message(message, Origin::Unknown);
        true
    }

    /// Takes a message that came by a way of its own. `false` when it is none.
    pub(super) fn take(&self, text: &str, origin: Origin) -> bool {
        envelope::parse(text).map(|message| self.message(message, origin)).is_ok()
    }

    /// A line was longer than allowed and is lost; `head` is how it began. Whoever waited for it must not wait on.
    pub(super) fn line_too_long(&self, head: &str, bytes_max: usize) {
        let mut state = self.state();
        let lost: Vec<_> = match Head::read(head) {
            Head::Answer(id) => state.pending.remove(&id).into_iter().collect(),
            Head::NoAnswer => Vec::new(),
            // Whose it was can't be told: nobody is left waiting for what may never come.
            Head::Unclear => state.pending.drain().map(|(_, pending)| pending).collect(),
        };
        drop(state);
        for pending in lost {
            let _ = pending.reply.send(Err(UpstreamError::TooLarge { bytes_max }));
        }
    }

    /// Nothing more comes. Everyone who waits is told why.
    pub(super) fn end(&self, ended: Ended) {
        let ended = self.ended.get_or_init(|| ended).clone();
        let pending: Vec<_> = {
            let mut state = self.state();
            state.questions.clear();
            state.pending.drain().collect()
        };
        self.over.notify_waiters();
        for (_, pending) in pending {
            let _ = pending.reply.send(Err(ended.error(true)));
        }
    }

    fn message(&self, message: Message<'_>, origin: Origin) {
        match message {
            Message::Response { id, outcome } => self.response(id.get(), outcome),
            Message::Notification { method, params } => {
                self.notification(&method, params.map(serde_json::value::RawValue::get), origin);
            }
            Message::Request { id, method, params } => {
                self.question(id.get(), &method, params.map(serde_json::value::RawValue::get), origin);
            }
        }
    }

    fn response(&self, id: &str, outcome: envelope::Reply<'_>) {
        let number = id.parse::<u64>().ok();
        let Some(pending) = number.and_then(|id| self.state().pending.remove(&id)) else {
            // Late, double, or with an id that was never given out.
            return;
        };
        let reply = match outcome {
            envelope::Reply::Result(result) => {
                let restored = restore_subscription(result.get(), pending.ticket.as_ref());
                if let Some(id) = number {
                    self.state().lasting.answered(id, result.get(), pending.ticket);
                }
                Reply::Result(restored)
            }
            envelope::Reply::Error(error) => Reply::Error(error.get().to_owned()),
        };
        let _ = pending.reply.send(Ok(reply));
    }

    fn notification(&self, method: &str, params: Option<&str>, origin: Origin) {
        if method == "notifications/progress" {
            return self.progress(params);
        }
        if method == "notifications/cancelled" {
            return self.withdrawn(params);
        }
        if method == "notifications/tools/list_changed" {
            self.tools_changed.fetch_add(1, Ordering::AcqRel);
        }
        if let ("notifications/tasks/status" | "notifications/tasks", Some(params)) = (method, params) {
            self.state().lasting.told(params);
        }
        if let Some(id) = meta::get(params, meta::SUBSCRIPTION_ID) {
            return self.subscribed(method, params.unwrap_or("{}"), id);
        }
        let message = envelope::notification(method, params);
        if is_of_the_server(method) {
            return self.fallback.notify(message);
        }
        match (self.owner(origin), self.audience) {
            (Some((_, owner)), _) => owner.notify(message),
            // It may be about another agent's request, even about one that was just answered: it is nobody's.
            (None, Audience::Everyone) => {}
            (None, Audience::Agent) if method == "notifications/message" => self.log(params, message),
            (None, Audience::Session | Audience::Agent) => self.fallback.notify(message),
        }
    }

    /// Nothing says which of an agent's requests a log message is about: it goes to the newest that wants such.
    fn log(&self, params: Option<&str>, message: String) {
        let level = params.and_then(|params| splice::find_string(params, &["level"]));
        let level = level.as_deref().and_then(LogLevel::named);
        let newest = {
            let state = self.state();
            let calls = state.pending.iter().filter_map(|(id, pending)| Some((id, pending.caller()?)));
            let wanting = calls.filter(|(_, ticket)| ticket.sink.hears_log(level));
            wanting.max_by_key(|(id, _)| **id).map(|(_, ticket)| ticket.sink.clone())
        };
        if let Some(sink) = newest {
            sink.notify(message);
        }
    }

    fn progress(&self, params: Option<&str>) {
        let Some(params) = params else { return };
        let Some(id) = splice::find(params, &["progressToken"]).and_then(|id| id.parse::<u64>().ok()) else { return };
        let owner = {
            let state = self.state();
            let pending = state.pending.get(&id);
            if let Some(pending) = pending {
                *pending.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            let ticket = pending.map_or_else(|| state.lasting.ticket(id), |pending| pending.ticket.as_ref());
            ticket.and_then(|ticket| Some((ticket.sink.clone(), ticket.progress_token.clone()?)))
        };
        if let Some((sink, token)) = owner {
            let params = splice::set(params, &["progressToken"], &token);
            sink.notify(envelope::notification("notifications/progress", Some(&params)));
        }
    }

    fn subscribed(&self, method: &str, params: &str, id: &str) {
        let Some(id) = id.parse::<u64>().ok() else { return };
        let owner = self
            .state()
            .pending
            .get(&id)
            .and_then(|pending| pending.ticket.as_ref().map(|ticket| (ticket.sink.clone(), ticket.id.clone())));
        if let Some((sink, agents_id)) = owner {
            let params = splice::set(params, &["_meta", meta::SUBSCRIPTION_ID], &agents_id);
            sink.notify(envelope::notification(method, Some(&params)));
        }
    }

    /// Whose a message is. Nothing in it says so: the way it came does, or else that exactly one request is in flight.
    fn owner(&self, origin: Origin) -> Option<Asker> {
        let state = self.state();
        match origin {
            Origin::Unknown if self.audience == Audience::Everyone => return None,
            Origin::Unknown => {}
            Origin::Request(id) => return Some((Some(id), state.pending.get(&id)?.caller()?.sink.clone())),
            Origin::Apart => return None,
        }
        let mut calls = state.calls();
        let first = calls.next()?;
        calls.next().is_none().then_some(first)
    }

    fn send(&self, text: String) -> Result<(), UpstreamError> {
        self.outlet.send(text).map_err(|refused| match refused {
            outlet::Refused::Full(queued) => UpstreamError::Busy { queued },
            outlet::Refused::Closed => {
                self.ended.get().map_or(UpstreamError::Stopped { was_sent: false }, |ended| ended.error(false))
            }
        })
    }

    fn refuse_if_ended(&self, was_sent: bool) -> Result<(), UpstreamError> {
        self.ended.get().map_or(Ok(()), |ended| Err(ended.error(was_sent)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// News of the server as a whole: they belong to no request, even if one is in flight.
fn is_of_the_server(method: &str) -> bool {
    method.ends_with("/list_changed")
        || matches!(
            method,
            "notifications/resources/updated" | "notifications/elicitation/complete" | "notifications/tasks/status"
        )
}

/// The closing result of a listen request names that request; the agent knows it by another id.
fn restore_subscription(result: &str, ticket: Option<&Ticket>) -> String {
    match ticket {
        Some(ticket)
            // Nearly no result has it, and a short word is found many times faster than the whole key.
            if result.contains("subscriptionId")
                && splice::find(result, &["_meta", meta::SUBSCRIPTION_ID]).is_some() =>
        {
            splice::set(result, &["_meta", meta::SUBSCRIPTION_ID], &ticket.id)
        }
        _ => result.to_owned(),
    }
}

#[cfg(test)]
mod tests;
