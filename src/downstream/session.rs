//! A session with a legacy agent: what was agreed, the connection that is its own, and the streams that can be resumed.

mod hearing;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

use super::bridge::{self, Client};
use super::listen;
use super::promises::Promises;
use super::response::{Framing, Response};
use super::stream::{EventStream, parse_event_id};
use crate::clock;
use crate::mcp::question::Abilities;
use crate::mcp::version::Era;
use crate::mcp::{envelope, splice};
use crate::upstream::{Audience, Connection, Opening, Owner, Reply, Setting, Sink, Upstream, UpstreamError};
use hearing::Hearing;

/// Most streams of a session that a lost reader can come back to.
const STREAMS_MAX: usize = 32;
/// Most bytes of answers that were given and are kept, beside the last one.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whether the rules still let something be set again.
pub(super) type May = Arc<dyn Fn(Setting, Option<&str>) -> bool + Send + Sync>;

/// One agent's session with one server.
pub(super) struct Session {
    pub(super) id: Arc<str>,
    /// Whose it is. A session id proves nothing: the key is asked each time.
    pub(super) agent_id: String,
    /// The server's id: one of the same name made later is another.
    pub(super) server_id: Arc<str>,
    /// The revision that the agent may be told.
    asked_version: String,
    /// The revision that it was told.
    version: OnceLock<String>,
    /// The agent's `initialize` parameters, for the next connection if this one is lost.
    params: String,
    promises: Arc<Promises>,
    standing: Arc<EventStream>,
    connection: ArcSwapOption<Connection>,
    /// Whether there was a connection before: then a new one has to be told what the agent told that one.
    was_connected: AtomicBool,
    /// One opening at a time.
    opening: tokio::sync::Mutex<()>,
    /// In front of a modern server: what listens there.
    hearing: Mutex<Option<Hearing>>,
    /// One change of it at a time.
    hearing_turn: tokio::sync::Mutex<()>,
    is_initialized: AtomicBool,
    last_used: AtomicI64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the request's id, as text: how to cancel it.
    in_flight: HashMap<String, Arc<Notify>>,
    /// Newest last.
    streams: VecDeque<Arc<EventStream>>,
    /// Connections that were replaced and still have calls: these may wait for the agent's answers.
    former: Vec<Weak<Connection>>,
    log_level: Option<String>,
    subscriptions: BTreeSet<String>,
    /// What the gateway itself asked the agent, by id.
    asked: HashMap<u64, oneshot::Sender<Reply>>,
}

impl Session {
    pub(super) fn new(
        id: Arc<str>,
        agent_id: String,
        server_id: Arc<str>,
        asked_version: String,
        params: String,
        promises: Arc<Promises>,
    ) -> Self {
        Self {
            id,
            agent_id,
            server_id,
            asked_version,
            version: OnceLock::new(),
            params,
            promises,
            standing: EventStream::standing(),
            connection: ArcSwapOption::empty(),
            was_connected: AtomicBool::new(false),
            opening: tokio::sync::Mutex::default(),
            hearing: Mutex::default(),
            hearing_turn: tokio::sync::Mutex::default(),
            is_initialized: AtomicBool::new(false),
            last_used: AtomicI64::new(clock::now_ms()),
            state: Mutex::default(),
        }
    }

    /// The session's connection; a new one when there is none, when it was lost, or when the server was edited.
    ///
    /// What the agent had set is set again, as far as it `may` be.
    pub(super) async fn connection(
        self: &Arc<Self>,
        upstream: &Upstream,
        may: &impl Fn() -> May,
    ) -> Result<Arc<Connection>, UpstreamError> {
        if let Some(connection) = self.usable(upstream) {
            return Ok(connection);
        }
        let _turn = self.opening.lock().await;
        if let Some(connection) = self.usable(upstream) {
            return Ok(connection);
        }
        if let Some(present) = self.connection.swap(None) {
            let mut state = self.state();
            state.former.retain(|former| former.strong_count() > 0);
            state.former.push(Arc::downgrade(&present));
        }
        let connection = if upstream.spec.shared {
            upstream.open(Owner::Everyone, Opening::shared(), self.clone()).await?
        } else {
            let is_resumed = self.is_initialized.load(Ordering::Acquire);
            let opening = Opening::Handshake { params: self.params.clone(), is_resumed };
            upstream.open(Owner::Session, opening, self.standing.clone()).await?
        };
        let agreed = bridge::agreed_version(&connection, &self.asked_version);
        let _kept_from_the_first = self.version.set(agreed.to_owned());
        let may = may();
        if self.was_connected.load(Ordering::Acquire) {
            self.restore(&connection, &may).await?;
        }
        if connection.handshake.era == Era::Modern {
            self.hear_anew(&connection, may);
        }
        self.was_connected.store(true, Ordering::Release);
        self.connection.store(Some(connection.clone()));
        Ok(connection)
    }

    /// What the handshake agreed on with the agent.
    pub(super) fn version(&self) -> &str {
        self.version.get().unwrap_or(&self.asked_version)
    }

    /// The new process knows nothing of the session, and the agent nothing of the new process.
    async fn restore(&self, connection: &Connection, may: &May) -> Result<(), UpstreamError> {
        let (log_level, subscriptions) = {
            let state = self.state();
            (state.log_level.clone(), state.subscriptions.clone())
        };
        // A modern server is told the level with each request, and the subscriptions by what listens.
        if connection.handshake.era == Era::Legacy {
            if let Some(level) = log_level
                && may(Setting::LogLevel, None)
            {
                connection.restore(Setting::LogLevel, &format!(r#"{{"level":{level}}}"#)).await?;
            }
            for uri in subscriptions.iter().filter(|uri| may(Setting::Subscription, Some(uri))) {
                connection.restore(Setting::Subscription, &json!({ "uri": uri }).to_string()).await?;
            }
        }
        let capabilities = connection.handshake.capabilities();
        for kind in ["tools", "prompts", "resources"] {
            if splice::find(capabilities, &[kind, "listChanged"]) == Some("true") {
                let method = format!("notifications/{kind}/list_changed");
                self.standing.notify(envelope::notification(&method, None));
            }
        }
        Ok(())
    }

    fn usable(&self, upstream: &Upstream) -> Option<Arc<Connection>> {
        let connection = self.connection.load_full()?;
        (connection.is_open() && connection.revision == upstream.spec.revision).then_some(connection)
    }

    /// Gives the connection up, and its process with it; the next request opens another and sets it up as this one was.
    pub(super) fn release(&self) {
        self.set_hearing(None);
        self.connection.store(None);
    }

    /// The connection as it is, for what is not worth a new one.
    pub(super) fn present(&self) -> Option<Arc<Connection>> {
        self.connection.load_full()
    }

    pub(super) fn initialized(&self) {
        self.is_initialized.store(true, Ordering::Release);
    }

    /// What the client said of itself.
    pub(super) fn client(&self) -> Option<(String, String)> {
        let part = |member| splice::find_string(&self.params, &["clientInfo", member]);
        Some((part("name")?, part("version").unwrap_or_default()))
    }

    pub(super) fn bridged(&self) -> Client {
        Client {
            info: splice::find(&self.params, &["clientInfo"]).map(Into::into),
            log_level: self.state().log_level.clone(),
            abilities: Abilities::read(splice::find(&self.params, &["capabilities"]).unwrap_or("{}")),
        }
    }

    /// Remembers what the agent set on its connection.
    pub(super) fn remember(&self, method: &str, params: Option<&str>) {
        let Some(params) = params else { return };
        let uri = splice::find_string(params, &["uri"]);
        let mut state = self.state();
        match (method, uri) {
            ("logging/setLevel", _) => state.log_level = splice::find(params, &["level"]).map(Into::into),
            ("resources/subscribe", Some(uri)) => {
                state.subscriptions.insert(uri);
            }
            ("resources/unsubscribe", Some(uri)) => {
                state.subscriptions.remove(&uri);
            }
            _ => {}
        }
    }

    /// Whether one more resource can be subscribed to.
    pub(super) fn has_room_for(&self, uri: &str) -> bool {
        let state = self.state();
        state.subscriptions.len() < listen::RESOURCES_MAX || state.subscriptions.contains(uri)
    }

    /// Registers a request; `None` when one with that id is still in flight.
    pub(super) fn begin(self: &Arc<Self>, id: &str, stream: &Arc<EventStream>) -> Option<Begun> {
        let cancelled = Arc::new(Notify::new());
        let mut state = self.state();
        if state.in_flight.contains_key(id) {
            return None;
        }
        state.in_flight.insert(id.to_owned(), cancelled.clone());
        state.streams.push_back(stream.clone());
        state.forget_streams();
        drop(state);
        Some(Begun { session: self.clone(), id: id.to_owned(), cancelled })
    }

    /// Forgets a stream that was answered by a single message: nothing of it has an id to come back to.
    pub(super) fn forget(&self, stream: &Arc<EventStream>) {
        self.state().streams.retain(|kept| !Arc::ptr_eq(kept, stream));
    }

    /// Forgets big streams that nobody came back to.
    pub(super) fn forget_stale(&self) {
        self.state().streams.retain(|stream| !stream.is_stale());
    }

    /// What the agent will answer to a request of the gateway's own.
    pub(super) fn await_answer(&self, id: u64) -> oneshot::Receiver<Reply> {
        let (answer, awaited) = oneshot::channel();
        self.state().asked.insert(id, answer);
        awaited
    }

    /// Nobody waits for that answer any more.
    pub(super) fn forget_question(&self, id: u64) {
        self.state().asked.remove(&id);
    }

    /// Hands the agent's answer to the process that asked, or to whoever asked in a modern server's place.
    pub(super) fn answer(&self, id: u64, reply: &Reply) {
        let awaited = self.state().asked.remove(&id);
        if let Some(awaited) = awaited {
            // The call may have ended meanwhile; then the answer is for nobody.
            let _ = awaited.send(reply.clone());
            return;
        }
        if self.present().is_some_and(|connection| connection.answer(id, reply)) {
            return;
        }
        let former = self.state().former.clone();
        let _taken_by_one_at_most = former.iter().filter_map(Weak::upgrade).any(|former| former.answer(id, reply));
    }

    /// The agent no longer wants the answer to the request `id`.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(cancelled) = self.state().in_flight.get(id) {
            cancelled.notify_one();
        }
    }

    /// The answer to a GET: the standing stream, or what came after an event of another one.
    pub(super) fn listen(&self, last_event_id: Option<&str>) -> Response {
        let framing = Framing::of_session(self.version());
        let known = last_event_id.and_then(parse_event_id).and_then(|(number, seq)| {
            let state = self.state();
            let mut streams = state.streams.iter().chain(std::iter::once(&self.standing));
            streams.find(|stream| stream.id() == number).map(|stream| (stream.clone(), seq))
        });
        // An id that is forgotten or was never given out has nothing to resume, but the session goes on.
        let (stream, seq) = known.unwrap_or_else(|| (self.standing.clone(), self.standing.unread_from()));
        Response::Stream { reader: stream.read_after(seq), framing, session: None }
    }

    /// Nothing more will happen in this session.
    pub(super) fn end(&self) {
        self.standing.finish(None);
        self.set_hearing(None);
        self.connection.store(None);
        self.state().asked.clear();
        for cancelled in self.state().in_flight.values() {
            cancelled.notify_one();
        }
    }

    /// Whether it holds a connection of its own.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.load().as_ref().is_some_and(|connection| connection.audience == Audience::Session)
    }

    pub(super) fn touch(&self) {
        self.last_used.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// Since when nothing has happened, in ms; `None` while something is in flight or somebody listens.
    pub(super) fn idle_since(&self) -> Option<i64> {
        let is_busy = !self.state().in_flight.is_empty() || self.standing.has_reader();
        (!is_busy).then(|| self.last_used.load(Ordering::Relaxed))
    }

    pub(super) fn standing(&self) -> Arc<EventStream> {
        self.standing.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps the streams within their bounds. What is still being written goes last.
    fn forget_streams(&mut self) {
        loop {
            let finished = || self.streams.iter().filter(|stream| stream.is_finished());
            let is_big = finished().map(|stream| stream.bytes()).sum::<usize>() > BYTES_MAX && finished().count() > 1;
            let are_many = self.streams.len() > STREAMS_MAX;
            if !is_big && !are_many {
                return;
            }
            let oldest = self.streams.iter().position(|stream| stream.is_finished());
            self.streams.remove(oldest.unwrap_or_default());
        }
    }
}

/// Hears what a shared process tells everyone, and passes on what is for this session.
impl Sink for Session {
    fn notify(&self, message: String) {
        let part = |name| splice::find_string(&message, &["params", name]);
        let is_for_it = match splice::find_string(&message, &["method"]).as_deref() {
            Some(listen::UPDATED) => part("uri").is_some_and(|uri| {
                self.state().subscriptions.iter().any(|subscribed| listen::is_about(subscribed, &uri))
            }),
            Some("notifications/tasks/status") => {
                part("taskId").is_some_and(|id| self.promises.is_of(&self.server_id, &self.agent_id, &id))
            }
            _ => true,
        };
        if is_for_it {
            self.standing.notify(message);
        }
    }

    fn ask(&self, _: String) -> bool {
        false
    }
}

/// A request that is in flight. Dropping it forgets the request.
pub(super) struct Begun {
    session: Arc<Session>,
    id: String,
    cancelled: Arc<Notify>,
}

impl Begun {
    pub(super) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.session.state().in_flight.remove(&self.id);
        self.session.touch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(bytes: usize, is_finished: bool) -> Arc<EventStream> {
        let stream = EventStream::of_request();
        if is_finished {
            stream.finish(Some("x".repeat(bytes)));
        }
        stream
    }

    #[test]
    fn what_was_answered_makes_way_before_what_is_still_being_written() {
        let mut state = State::default();
        let open = stream(0, false);
        state.streams.push_back(open.clone());
        for _ in 0..100 {
            state.streams.push_back(stream(10, true));
            state.forget_streams();
        }
        assert_eq!(state.streams.len(), STREAMS_MAX);
        assert!(Arc::ptr_eq(&state.streams[0], &open));
    }

    #[test]
    fn big_answers_are_not_kept_in_numbers_but_the_last_one_is() {
        let mut state = State::default();
        for _ in 0..10 {
            state.streams.push_back(stream(BYTES_MAX / 2 + 1, true));
            state.forget_streams();
        }
        assert_eq!(state.streams.len(), 1);
    }

    #[tokio::test]
    async fn a_session_hears_only_of_resources_that_it_asked_for() {
        let session =
            Session::new("1".into(), "ann".into(), "s".into(), "2025-11-25".into(), "{}".into(), Arc::default());
        session.remember("resources/subscribe", Some(r#"{"uri":"x://mine"}"#));
        let update = |uri: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"x://{uri}"}}}}"#)
        };
        Sink::notify(&session, update("another"));
        Sink::notify(&session, update("mine"));
        Sink::notify(&session, envelope::notification("notifications/tools/list_changed", None));
        let mut reader = session.standing().read_after(0);
        assert_eq!(*reader.next().await.unwrap().text, update("mine"));
        assert!(reader.next().await.unwrap().text.contains("list_changed"));
    }
}
