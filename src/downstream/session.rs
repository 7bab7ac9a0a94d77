//! A session with a legacy agent: what was agreed, the connection that is its own, and the streams that can be resumed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::json;
use tokio::sync::Notify;

use super::bridge::Client;
use super::response::{Framing, Response};
use super::stream::{EventStream, parse_event_id};
use crate::clock;
use crate::mcp::{envelope, splice};
use crate::upstream::{Connection, Opening, Owner, Setting, Upstream, UpstreamError};

/// Most streams of a session that a lost reader can come back to.
const STREAMS_MAX: usize = 32;

/// One agent's session with one server.
pub(super) struct Session {
    pub(super) id: Arc<str>,
    /// Whose it is. A session id proves nothing: the key is asked each time.
    pub(super) agent_id: String,
    pub(super) server: Arc<str>,
    /// What the handshake agreed on with the agent.
    pub(super) version: String,
    /// The agent's `initialize` parameters, for the next connection if this one is lost.
    params: String,
    standing: Arc<EventStream>,
    connection: ArcSwapOption<Connection>,
    /// One opening at a time.
    opening: tokio::sync::Mutex<()>,
    is_initialized: AtomicBool,
    /// Whether the connection was given up and is to be set up anew.
    was_connected: AtomicBool,
    last_used: AtomicI64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the request's id, as text: how to cancel it.
    in_flight: HashMap<String, Arc<Notify>>,
    /// Newest last.
    streams: VecDeque<Arc<EventStream>>,
    log_level: Option<String>,
    subscriptions: BTreeSet<String>,
}

impl Session {
    pub(super) fn new(id: Arc<str>, agent_id: String, server: Arc<str>, version: String, params: String) -> Self {
        Self {
            id,
            agent_id,
            server,
            version,
            params,
            standing: EventStream::standing(),
            connection: ArcSwapOption::empty(),
            opening: tokio::sync::Mutex::default(),
            is_initialized: AtomicBool::new(false),
            was_connected: AtomicBool::new(false),
            last_used: AtomicI64::new(clock::now_ms()),
            state: Mutex::default(),
        }
    }

    /// The session's connection; a new one when there is none, when it was lost, or when the server was edited.
    pub(super) async fn connection(&self, upstream: &Upstream) -> Result<Arc<Connection>, UpstreamError> {
        if let Some(connection) = self.usable(upstream) {
            return Ok(connection);
        }
        let _turn = self.opening.lock().await;
        if let Some(connection) = self.usable(upstream) {
            return Ok(connection);
        }
        let was_connected = self.connection.swap(None).is_some() | self.was_connected.swap(false, Ordering::AcqRel);
        let owner = if upstream.spec.shared { Owner::Everyone } else { Owner::Session };
        let opening = if upstream.spec.shared {
            Opening::shared()
        } else {
            Opening::Handshake { params: self.params.clone(), is_resumed: self.is_initialized.load(Ordering::Acquire) }
        };
        let connection = upstream.open(owner, opening, self.standing.clone()).await?;
        if was_connected {
            self.restore(&connection).await?;
        }
        self.connection.store(Some(connection.clone()));
        Ok(connection)
    }

    /// The new process knows nothing of the session, and the agent nothing of the new process.
    async fn restore(&self, connection: &Connection) -> Result<(), UpstreamError> {
        let (log_level, subscriptions) = {
            let state = self.state();
            (state.log_level.clone(), state.subscriptions.clone())
        };
        if let Some(level) = log_level {
            connection.restore(Setting::LogLevel, &format!(r#"{{"level":{level}}}"#)).await?;
        }
        for uri in subscriptions {
            connection.restore(Setting::Subscription, &json!({ "uri": uri }).to_string()).await?;
        }
        let capabilities = connection.handshake.capabilities();
        for kind in ["tools", "prompts", "resources"] {
            if splice::find(capabilities, &[kind, "listChanged"]) == Some("true") {
                let method = format!("notifications/{kind}/list_changed");
                crate::upstream::Sink::notify(&*self.standing, envelope::notification(&method, None));
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
        if let Some(connection) = self.connection.swap(None) {
            self.was_connected.store(true, Ordering::Release);
            drop(connection);
        }
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

    /// Registers a request; `None` when one with that id is still in flight.
    pub(super) fn begin(self: &Arc<Self>, id: &str, stream: &Arc<EventStream>) -> Option<Begun> {
        let cancelled = Arc::new(Notify::new());
        let mut state = self.state();
        if state.in_flight.contains_key(id) {
            return None;
        }
        state.in_flight.insert(id.to_owned(), cancelled.clone());
        state.streams.push_back(stream.clone());
        if state.streams.len() > STREAMS_MAX {
            state.streams.pop_front();
        }
        drop(state);
        Some(Begun { session: self.clone(), id: id.to_owned(), cancelled })
    }

    /// The agent no longer wants the answer to the request `id`.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(cancelled) = self.state().in_flight.get(id) {
            cancelled.notify_one();
        }
    }

    /// The answer to a GET: the standing stream, or what came after an event of another one.
    pub(super) fn listen(&self, last_event_id: Option<&str>) -> Response {
        let framing = Framing::of_session(&self.version);
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
        self.connection.store(None);
        for cancelled in self.state().in_flight.values() {
            cancelled.notify_one();
        }
    }

    /// Whether it holds a connection of its own.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.load().as_ref().is_some_and(|connection| !connection.is_pooled)
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
