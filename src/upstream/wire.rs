//! The messages between the gateway and one process: which request an answer belongs to, and which agent a message is for.
//!
//! The gateway gives each request an id of its own, and uses the same number as its progress token; so whatever ids and
//! tokens agents choose, none is mistaken for another's. What comes back is given the agent's own id and token again.
//!
//! Pure of I/O: lines go out through a queue and come in through [`Wire::line`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::error::UpstreamError;
use super::sink::Sink;
use crate::mcp::envelope::{self, Message};
use crate::mcp::{error, meta, splice};

/// Most messages that wait to be written to a process.
pub(super) const QUEUE_MAX: usize = 256;
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
    Exited { exit: String, stderr: Vec<String> },
}

impl Ended {
    fn error(&self, was_sent: bool) -> UpstreamError {
        match self {
            Self::Stopped => UpstreamError::Stopped { was_sent },
            Self::Exited { exit, stderr } => {
                UpstreamError::Exited { exit: exit.clone(), stderr: stderr.clone(), was_sent }
            }
        }
    }
}

struct Pending {
    reply: oneshot::Sender<Result<Reply, UpstreamError>>,
    ticket: Option<Ticket>,
    last_heard: Arc<Mutex<Instant>>,
}

/// A request of the server that waits for an agent's answer.
struct Asked {
    upstream_id: String,
    sink: Arc<dyn Sink>,
}

#[derive(Default)]
struct State {
    pending: HashMap<u64, Pending>,
    asked: HashMap<u64, Asked>,
    noise: u32,
}

/// One process's messages.
pub(super) struct Wire {
    queue: mpsc::Sender<String>,
    state: Mutex<State>,
    next_id: AtomicU64,
    fallback: Arc<dyn Sink>,
    ended: OnceLock<Ended>,
    /// Notified when the wire is to be closed.
    pub(super) stop: Notify,
    /// Milliseconds since the epoch.
    pub(super) last_used: AtomicI64,
    /// Counts how often the server said that its tools changed.
    pub(super) tools_changed: AtomicU64,
}

impl Wire {
    /// A wire whose lines are to be written from the receiver.
    pub(super) fn new(fallback: Arc<dyn Sink>) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (queue, lines) = mpsc::channel(QUEUE_MAX);
        let wire = Self {
            queue,
            state: Mutex::default(),
            next_id: AtomicU64::new(1),
            fallback,
            ended: OnceLock::new(),
            stop: Notify::new(),
            last_used: AtomicI64::new(crate::clock::now_ms()),
            tools_changed: AtomicU64::new(0),
        };
        (Arc::new(wire), lines)
    }

    /// Sends a request. The returned value is the claim to its answer; dropping that cancels the request.
    pub(super) fn request(
        self: &Arc<Self>,
        method: &str,
        params: Option<&str>,
        ticket: Option<Ticket>,
    ) -> Result<InFlight, UpstreamError> {
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
        self.state().pending.insert(id, Pending { reply, ticket, last_heard: last_heard.clone() });
        let in_flight = InFlight {
            wire: self.clone(),
            id,
            is_cancellable: method != "initialize",
            answer,
            last_heard,
            is_done: false,
        };
        if let Err(error) = self.send(text) {
            in_flight.forget();
            return Err(error);
        }
        // The process may have ended between the look above and the insertion: then nobody would fail this request.
        if let Err(error) = self.refuse_if_ended(true) {
            in_flight.forget();
            return Err(error);
        }
        Ok(in_flight)
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &str, params: Option<&str>) -> Result<(), UpstreamError> {
        self.refuse_if_ended(false)?;
        self.send(envelope::notification(method, params))
    }

    /// Hands an agent's answer to the server's request that asked for it. Unknown or answered ones are dropped.
    pub(super) fn answer(&self, id: u64, reply: &Reply) {
        let Some(asked) = self.state().asked.remove(&id) else { return };
        let text = match reply {
            Reply::Result(result) => envelope::result(&asked.upstream_id, result),
            Reply::Error(error) => envelope::error(Some(&asked.upstream_id), error),
        };
        // A process that does not read will not miss it either.
        let _ = self.send(text);
    }

    /// Whether requests can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.ended.get().is_none()
    }

    /// How many requests wait for their answer.
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
        self.message(message);
        true
    }

    /// A line was longer than allowed and is lost; `head` is how it began. Whoever waited for it must not wait on.
    pub(super) fn line_too_long(&self, head: &str, bytes_max: usize) {
        let mut state = self.state();
        let answered = id_in(head).and_then(|id| state.pending.remove(&id));
        let lost = match answered {
            Some(pending) => vec![pending],
            // Whose it was can't be told: nobody is left waiting for what may never come.
            None => state.pending.drain().map(|(_, pending)| pending).collect(),
        };
        drop(state);
        for pending in lost {
            let _ = pending.reply.send(Err(UpstreamError::TooLarge { bytes_max }));
        }
    }

    /// Nothing more comes. Everyone who waits is told why.
    pub(super) fn end(&self, ended: Ended) {
        let ended = self.ended.get_or_init(|| ended).clone();
        let pending: Vec<_> = self.state().pending.drain().collect();
        for (_, pending) in pending {
            let _ = pending.reply.send(Err(ended.error(true)));
        }
    }

    fn message(&self, message: Message<'_>) {
        match message {
            Message::Response { id, outcome } => self.response(id.get(), outcome),
            Message::Notification { method, params } => {
                self.notification(&method, params.map(serde_json::value::RawValue::get));
            }
            Message::Request { id, method, params } => {
                self.question(id.get(), &method, params.map(serde_json::value::RawValue::get));
            }
        }
    }

    fn response(&self, id: &str, outcome: envelope::Reply<'_>) {
        let Some(pending) = id.parse().ok().and_then(|id: u64| self.state().pending.remove(&id)) else {
            // Late, double, or with an id that was never given out.
            return;
        };
        let reply = match outcome {
            envelope::Reply::Result(result) => {
                Reply::Result(restore_subscription(result.get(), pending.ticket.as_ref()))
            }
            envelope::Reply::Error(error) => Reply::Error(error.get().to_owned()),
        };
        let _ = pending.reply.send(Ok(reply));
    }

    fn notification(&self, method: &str, params: Option<&str>) {
        if method == "notifications/progress" {
            return self.progress(params);
        }
        if method == "notifications/cancelled" {
            return self.withdrawn(params);
        }
        if method == "notifications/tools/list_changed" {
            self.tools_changed.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(id) = meta::get(params, meta::SUBSCRIPTION_ID) {
            return self.subscribed(method, params.unwrap_or("{}"), id);
        }
        let message = envelope::notification(method, params);
        if is_unrelated(method) {
            self.fallback.notify(message);
        } else {
            self.owner().unwrap_or_else(|| self.fallback.clone()).notify(message);
        }
    }

    fn progress(&self, params: Option<&str>) {
        let Some(params) = params else { return };
        let Some(id) = splice::find(params, &["progressToken"]).and_then(|id| id.parse::<u64>().ok()) else { return };
        let mut owner = None;
        if let Some(pending) = self.state().pending.get(&id) {
            *pending.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if let Some(Ticket { sink, progress_token: Some(token), .. }) = &pending.ticket {
                owner = Some((sink.clone(), splice::set(params, &["progressToken"], token)));
            }
        }
        if let Some((sink, params)) = owner {
            sink.notify(envelope::notification("notifications/progress", Some(&params)));
        }
    }

    /// The server no longer wants the answer to something that it asked an agent.
    fn withdrawn(&self, params: Option<&str>) {
        let Some(params) = params else { return };
        let Some(upstream_id) = splice::find(params, &["requestId"]) else { return };
        let mut state = self.state();
        let Some(id) = state.asked.iter().find(|(_, asked)| asked.upstream_id == upstream_id).map(|(id, _)| *id) else {
            return;
        };
        let Some(asked) = state.asked.remove(&id) else { return };
        drop(state);
        let params = splice::set(params, &["requestId"], &id.to_string());
        asked.sink.notify(envelope::notification("notifications/cancelled", Some(&params)));
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

    fn question(&self, upstream_id: &str, method: &str, params: Option<&str>) {
        if method == "ping" {
            let _ = self.send(envelope::result(upstream_id, "{}"));
            return;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = envelope::request(&id.to_string(), method, params);
        for sink in [self.owner(), Some(self.fallback.clone()), self.newest()].into_iter().flatten() {
            self.state().asked.insert(id, Asked { upstream_id: upstream_id.to_owned(), sink: sink.clone() });
            if sink.ask(message.clone()) {
                return;
            }
            self.state().asked.remove(&id);
        }
        let refusal = error::object(error::METHOD_NOT_FOUND, "no agent is there to answer this");
        let _ = self.send(envelope::error(Some(upstream_id), &refusal));
    }

    /// Nothing in a message from a process says which request it belongs to; with exactly one in flight it is that one.
    fn owner(&self) -> Option<Arc<dyn Sink>> {
        let state = self.state();
        let mut tickets = state.pending.values().filter_map(|pending| pending.ticket.as_ref());
        let first = tickets.next()?;
        tickets.next().is_none().then(|| first.sink.clone())
    }

    fn newest(&self) -> Option<Arc<dyn Sink>> {
        let state = self.state();
        let (_, pending) =
            state.pending.iter().filter(|(_, pending)| pending.ticket.is_some()).max_by_key(|(id, _)| **id)?;
        pending.ticket.as_ref().map(|ticket| ticket.sink.clone())
    }

    fn send(&self, text: String) -> Result<(), UpstreamError> {
        self.queue.try_send(text).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => UpstreamError::Busy { queued: QUEUE_MAX },
            mpsc::error::TrySendError::Closed(_) => {
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

/// The claim to the answer of a request that was sent.
pub(super) struct InFlight {
    wire: Arc<Wire>,
    id: u64,
    is_cancellable: bool,
    answer: oneshot::Receiver<Result<Reply, UpstreamError>>,
    last_heard: Arc<Mutex<Instant>>,
    is_done: bool,
}

impl InFlight {
    /// Waits for the answer: at most `quiet` without progress, and never longer than `longest`.
    pub(super) async fn reply(mut self, quiet: Duration, longest: Duration) -> Result<Reply, UpstreamError> {
        let started = Instant::now();
        loop {
            let last_heard = *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = (last_heard + quiet).min(started + longest);
            tokio::select! {
                biased;
                answer = &mut self.answer => {
                    self.is_done = true;
                    return answer.unwrap_or(Err(UpstreamError::Stopped { was_sent: true }));
                }
                () = tokio::time::sleep_until(deadline) => {
                    let heard_since = *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner) > last_heard;
                    if !heard_since || deadline >= started + longest {
                        return Err(UpstreamError::TimedOut { seconds: started.elapsed().as_secs() });
                    }
                }
            }
        }
    }

    /// The request was not handed over after all.
    fn forget(mut self) {
        self.wire.state().pending.remove(&self.id);
        self.is_done = true;
    }
}

/// Whoever stops waiting cancels: the server is told, and a late answer is dropped.
impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let was_pending = self.wire.state().pending.remove(&self.id).is_some();
        if was_pending && self.is_cancellable {
            let params = format!(r#"{{"requestId":{},"reason":"the caller no longer waits"}}"#, self.id);
            let _ = self.wire.notify("notifications/cancelled", Some(&params));
        }
    }
}

/// Changes of the server as a whole: they belong to no request, even if one is in flight.
fn is_unrelated(method: &str) -> bool {
    method.ends_with("/list_changed")
        || matches!(method, "notifications/resources/updated" | "notifications/elicitation/complete")
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

/// The numeric id near the start of a message that was too long to read.
fn id_in(head: &str) -> Option<u64> {
    let after = head.split_once("\"id\":")?.1.trim_start();
    let digits = after.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
