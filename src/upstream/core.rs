//! What an upstream's actor owns: its processes, their count, its backoff, and what it publishes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use actix::ArbiterHandle;
use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connection::Connection;
use super::error::UpstreamError;
use super::fanout::Fanout;
use super::handshake::{self, Handshake};
use super::sink::{NoSink, Sink};
use super::spec::{Limits, ServerSpec};
use super::status::{Status, Word};
use super::stdio;
use super::tail::Tail;
use super::wire::Wire;
use crate::backoff::Backoff;
use crate::clock;
use crate::mcp::version::Era;
use crate::metrics::Metrics;

/// First and longest delay between failing starts.
const DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A next try that is due within this time is waited for; a later one is refused, saying when.
const PATIENCE: Duration = Duration::from_secs(5);
/// A process that lived this long is taken to be well: its end starts with the first delay.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// At least this long for the era question, however fast the server started before.
const PROBE_MIN: Duration = Duration::from_secs(5);
/// A process that is told to stop is gone within this time, whatever it does.
const ROOM_WITHIN: Duration = Duration::from_secs(7);
/// How long a retired connection may finish what is in flight.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What all upstreams of the process have in common.
#[derive(Clone)]
pub(super) struct House {
    pub(super) limits: Arc<Limits>,
    /// One permit a start, so that many servers do not all start at once.
    pub(super) starts: Arc<Semaphore>,
    pub(super) metrics: Option<Metrics>,
    /// Where the actors run.
    pub(super) arbiter: ArbiterHandle,
}

/// How a connection is to be opened.
#[derive(Debug, Clone)]
pub enum Opening {
    /// With an agent's own `initialize` parameters. `is_resumed`: the session exists already, so the gateway also says
    /// that it is initialized.
    Handshake {
        /// The text of the parameters; their `protocolVersion` is one that a handshake may agree on.
        params: String,
        /// Whether this replaces a connection that was lost.
        is_resumed: bool,
    },
    /// For requests that stand alone, in the era the server prefers.
    Stateless,
}

impl Opening {
    /// For a connection that all agents share: the gateway opens it in its own name, without capabilities.
    #[must_use]
    pub fn shared() -> Self {
        own_opening()
    }
}

/// Who a connection is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// One agent session: it gets a connection of its own.
    Session,
    /// The stateless requests of one agent.
    Agent(Arc<str>),
    /// Every agent session of a server that is marked as shared.
    Everyone,
}

/// Who hears what belongs to no request, and whether they are several.
#[derive(Clone)]
struct Listener {
    sink: Arc<dyn Sink>,
    is_pooled: bool,
}

type Seat = Arc<tokio::sync::Mutex<Option<(Arc<Connection>, Arc<Fanout>)>>>;

pub(super) struct Core {
    pub(super) spec: Arc<ServerSpec>,
    pub(super) limits: Arc<Limits>,
    pub(super) tail: Arc<Tail>,
    pub(super) status: ArcSwap<Status>,
    /// One permit a process of this server.
    processes: Arc<Semaphore>,
    /// One permit a start, for all servers.
    starts: Arc<Semaphore>,
    state: Mutex<State>,
    is_retired: AtomicBool,
    /// None for a trial: what is not stored is not counted.
    metrics: Option<Metrics>,
}

struct State {
    /// What stateless requests are best sent in; learnt at the first one.
    era: Option<Era>,
    backoff: Backoff,
    not_before: Option<Instant>,
    last_failure: String,
    connections: Vec<Weak<Connection>>,
    pool: HashMap<Owner, Seat>,
}

impl Core {
    pub(super) fn new(spec: Arc<ServerSpec>, house: &House) -> Arc<Self> {
        let limits = house.limits.clone();
        if let (Some(metrics), false) = (&house.metrics, spec.enabled) {
            metrics.server_up(&spec.name, false);
        }
        Arc::new(Self {
            status: ArcSwap::from_pointee(Status::untried(spec.enabled)),
            tail: Arc::new(Tail::new(spec.secrets())),
            processes: Arc::new(Semaphore::new(limits.processes_max)),
            starts: house.starts.clone(),
            metrics: house.metrics.clone(),
            state: Mutex::new(State {
                era: None,
                backoff: Backoff::new(DELAYS.0, DELAYS.1),
                not_before: None,
                last_failure: String::new(),
                connections: Vec::new(),
                pool: HashMap::new(),
            }),
            is_retired: AtomicBool::new(false),
            spec,
            limits,
        })
    }

    /// Gives a connection for `owner`: a pooled one when there is one, else a new one. Messages that belong to no request
    /// go to `listener`.
    pub(super) async fn open(
        self: Arc<Self>,
        owner: Owner,
        opening: Opening,
        listener: Arc<dyn Sink>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        self.refuse_if_closed()?;
        if owner == Owner::Session {
            return self.guarded(self.clone().open_new(opening, Listener { sink: listener, is_pooled: false })).await;
        }
        let seat = self.state().pool.entry(owner).or_default().clone();
        // Whoever comes while it is being opened waits here and finds it.
        let mut seat = seat.lock().await;
        if let Some((connection, fanout)) = &*seat
            && connection.is_open()
        {
            fanout.add(&listener);
            return Ok(connection.clone());
        }
        let fanout = Arc::new(Fanout::default());
        let connection =
            self.guarded(self.clone().open_new(opening, Listener { sink: fanout.clone(), is_pooled: true })).await?;
        fanout.add(&listener);
        *seat = Some((connection.clone(), fanout));
        Ok(connection)
    }

    /// Opens a connection that nobody else will use, for a test or a listing.
    pub(super) async fn open_own(self: &Arc<Self>) -> Result<Arc<Connection>, UpstreamError> {
        self.refuse_if_closed()?;
        self.guarded(self.clone().open_new(own_opening(), Listener { sink: Arc::new(NoSink), is_pooled: false })).await
    }

    async fn open_new(self: Arc<Self>, opening: Opening, listener: Listener) -> Result<Arc<Connection>, UpstreamError> {
        match opening {
            Opening::Handshake { params, is_resumed } => {
                let opened = self.open_legacy(&params, listener.clone()).await;
                match opened {
                    Err(refused) if handshake::may_be_modern_only(&refused) => {
                        self.open_modern(listener, self.limits.start_timeout).await?.ok_or(refused)
                    }
                    Ok(connection) => {
                        if is_resumed {
                            connection.notify("notifications/initialized", None)?;
                        }
                        Ok(connection)
                    }
                    Err(error) => Err(error),
                }
            }
            Opening::Stateless => self.open_stateless(listener).await,
        }
    }

    /// A process is bound to an era by its first message. So the question which era the server prefers is put to a second
    /// process, never to one that is to be used otherwise; and only after a first one has come up, because until then
    /// silence may only mean that it is still being installed.
    async fn open_stateless(self: &Arc<Self>, listener: Listener) -> Result<Arc<Connection>, UpstreamError> {
        let era = self.state().era;
        if era == Some(Era::Modern)
            && let Some(connection) = self.open_modern(listener.clone(), self.limits.start_timeout).await?
        {
            return Ok(connection);
        }
        let started = Instant::now();
        let legacy = match self.open_legacy(&handshake::own_initialize_params(), listener.clone()).await {
            Ok(connection) => {
                connection.notify("notifications/initialized", None)?;
                connection
            }
            Err(refused) if handshake::may_be_modern_only(&refused) => {
                let connection = self.open_modern(listener, self.limits.start_timeout).await?.ok_or(refused)?;
                self.state().era = Some(Era::Modern);
                return Ok(connection);
            }
            Err(error) => return Err(error),
        };
        if era == Some(Era::Legacy) {
            return Ok(legacy);
        }
        match self.open_modern(listener, started.elapsed() + PROBE_MIN).await {
            Ok(Some(modern)) => {
                self.state().era = Some(Era::Modern);
                Ok(modern)
            }
            Ok(None) | Err(UpstreamError::StartTimedOut { .. } | UpstreamError::Exited { .. }) => {
                self.state().era = Some(Era::Legacy);
                Ok(legacy)
            }
            // Not the server's word: ask again next time.
            Err(_) => Ok(legacy),
        }
    }

    async fn open_legacy(self: &Arc<Self>, params: &str, listener: Listener) -> Result<Arc<Connection>, UpstreamError> {
        let process = self.start(listener).await?;
        let handshake = handshake::initialize(&process.wire, params, self.limits.start_timeout).await;
        handshake.map(|handshake| process.established(self, handshake)).map_err(|error| self.named(error))
    }

    async fn open_modern(
        self: &Arc<Self>,
        listener: Listener,
        limit: Duration,
    ) -> Result<Option<Arc<Connection>>, UpstreamError> {
        let process = self.start(listener).await?;
        let handshake = handshake::discover(&process.wire, limit).await.map_err(|error| self.named(error))?;
        Ok(handshake.map(|handshake| process.established(self, handshake)))
    }

    async fn start(self: &Arc<Self>, listener: Listener) -> Result<Process, UpstreamError> {
        let max = self.limits.processes_max;
        let place = self.processes.clone().try_acquire_owned().map_err(|_| UpstreamError::TooMany { max })?;
        let turn = self.starts.clone().acquire_owned().await.map_err(|_| UpstreamError::Stopped { was_sent: false })?;
        let is_established = Arc::new(AtomicBool::new(false));
        let (core, established) = (Arc::downgrade(self), is_established.clone());
        let born = Instant::now();
        let wire = stdio::start(
            &self.spec.launch,
            self.limits.line_bytes_max,
            listener.sink,
            self.tail.clone(),
            move |exit| {
                drop(place);
                if let (Some(core), Some(exit), true) = (core.upgrade(), exit, established.load(Ordering::Acquire)) {
                    core.lost(&exit, born);
                }
            },
        )?;
        Ok(Process { wire, is_established, is_pooled: listener.is_pooled, _turn: turn })
    }

    /// Waits out a short backoff, refuses during a long one, and keeps the status true to what comes of the attempt.
    async fn guarded(
        &self,
        attempt: impl Future<Output = Result<Arc<Connection>, UpstreamError>>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        self.wait_until_due().await?;
        if self.status.load().status != Word::Ready {
            self.publish(|status| Status { status: Word::Connecting, reason: None, action: None, ..status });
        }
        let opened = attempt.await;
        match &opened {
            Ok(connection) => self.succeeded(connection),
            Err(error) if error.is_failure() => self.failed(error),
            Err(_) => {}
        }
        opened
    }

    async fn wait_until_due(&self) -> Result<(), UpstreamError> {
        let (due, failures, reason) = {
            let state = self.state();
            (state.not_before, state.backoff.failures(), state.last_failure.clone())
        };
        let Some(wait) = due.and_then(|due| due.checked_duration_since(Instant::now())) else { return Ok(()) };
        if wait > PATIENCE {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return Err(UpstreamError::Backoff { failures, wait_ms, reason });
        }
        tokio::time::sleep(wait).await;
        self.refuse_if_closed()
    }

    fn succeeded(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        state.not_before = None;
        state.connections.retain(|known| known.strong_count() > 0);
        state.connections.push(Arc::downgrade(connection));
        drop(state);
        let handshake = &connection.handshake;
        self.publish(|status| Status {
            status: Word::Ready,
            reason: None,
            action: None,
            protocol_version: Some(handshake.version.clone()),
            server_info: handshake.server_info().and_then(|info| serde_json::from_str(info).ok()),
            ..status
        });
    }

    fn failed(&self, error: &UpstreamError) {
        let reason = self.tail.scrub(&error.to_string());
        let is_definition = matches!(error, UpstreamError::Launch(_) | UpstreamError::Secrets { .. });
        let failures = {
            let mut state = self.state();
            state.not_before = Some(Instant::now() + state.backoff.fail());
            state.last_failure.clone_from(&reason);
            state.backoff.failures()
        };
        tracing::warn!(server.name = %self.spec.name, failures, kind = error.kind(), "a server could not be started");
        self.publish(|status| Status {
            status: match (is_definition, failures) {
                (true, _) => Word::ActionRequired,
                (false, 0..=2) => Word::Failing,
                (false, _) => Word::Backoff,
            },
            reason: Some(reason),
            action: is_definition.then_some("edit"),
            ..status
        });
    }

    /// A process that was in use ended by itself.
    fn lost(&self, exit: &str, born: Instant) {
        let mut reason = format!("the server {exit}");
        let last = self.tail.last(3);
        if !last.is_empty() {
            reason = format!("{reason}; it last said: {}", last.join(" / "));
        }
        {
            let mut state = self.state();
            if born.elapsed() > WELL_AFTER {
                state.backoff.reset();
            }
            state.not_before = Some(Instant::now() + state.backoff.fail());
            state.last_failure.clone_from(&reason);
        }
        tracing::warn!(server.name = %self.spec.name, exit, "a server's process ended by itself");
        if let Some(metrics) = &self.metrics {
            metrics.server_restarted(&self.spec.name);
        }
        self.publish(|status| Status {
            status: Word::Failing,
            reason: Some(reason),
            restarts: status.restarts + 1,
            ..status
        });
    }

    fn publish(&self, change: impl FnOnce(Status) -> Status) {
        if self.is_retired.load(Ordering::Acquire) {
            return;
        }
        let mut next = change(Status::clone(&self.status.load()));
        next.checked_at = Some(clock::now_ms());
        if let Some(metrics) = &self.metrics {
            metrics.server_up(&self.spec.name, next.status == Word::Ready);
        }
        self.status.store(Arc::new(next));
    }

    /// Takes nothing new; what is in flight may finish, then the processes are stopped.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.close_all();
    }

    /// Lets all connections go; the next request opens new ones.
    pub(super) fn close_all(&self) {
        let mut state = self.state();
        state.pool.clear();
        state.not_before = None;
        state.backoff.reset();
        let connections: Vec<_> = state.connections.drain(..).collect();
        drop(state);
        for connection in connections {
            actix_rt::spawn(drain(connection));
        }
    }

    /// Returns when one more process may be started, but waits no longer than a process takes to be stopped.
    pub(super) async fn has_room(&self) {
        let _ = tokio::time::timeout(ROOM_WITHIN, self.processes.acquire()).await;
    }

    /// Returns when no process is left.
    pub(super) async fn gone(&self) {
        let all = u32::try_from(self.limits.processes_max).unwrap_or(u32::MAX);
        let _ = self.processes.acquire_many(all).await;
    }

    /// Closes pooled connections that nobody used for long.
    pub(super) fn close_idle(&self) {
        let idle_ms = i64::try_from(self.limits.idle.as_millis()).unwrap_or(i64::MAX);
        let now = clock::now_ms();
        self.state().pool.retain(|_, seat| {
            let Ok(mut seat) = seat.try_lock() else { return true };
            let is_idle = seat.as_ref().is_none_or(|(connection, _)| {
                !connection.is_open() || (connection.in_flight() == 0 && now - connection.last_used() > idle_ms)
            });
            if is_idle {
                *seat = None;
            }
            !is_idle
        });
    }

    fn refuse_if_closed(&self) -> Result<(), UpstreamError> {
        if !self.spec.enabled {
            return Err(UpstreamError::Disabled);
        }
        if self.is_retired.load(Ordering::Acquire) {
            return Err(UpstreamError::Stopped { was_sent: false });
        }
        Ok(())
    }

    /// A handshake that timed out is told as such, with the process's last words.
    fn named(&self, error: UpstreamError) -> UpstreamError {
        match error {
            UpstreamError::TimedOut { seconds } => UpstreamError::StartTimedOut { seconds, stderr: self.tail.last(3) },
            UpstreamError::Exited { exit, stderr, .. } => UpstreamError::Exited { exit, stderr, was_sent: false },
            other => other,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The opening of a connection of the gateway's own.
pub(super) fn own_opening() -> Opening {
    Opening::Handshake { params: handshake::own_initialize_params(), is_resumed: true }
}

/// A process whose handshake is not done. Dropped before it is, the process is stopped.
struct Process {
    wire: Arc<Wire>,
    is_established: Arc<AtomicBool>,
    is_pooled: bool,
    _turn: tokio::sync::OwnedSemaphorePermit,
}

impl Process {
    fn established(self, core: &Core, handshake: Handshake) -> Arc<Connection> {
        self.is_established.store(true, Ordering::Release);
        Arc::new(Connection::new(handshake, core.spec.revision, self.is_pooled, self.wire.clone(), core.limits.clone()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_established.load(Ordering::Acquire) {
            self.wire.stop.notify_one();
        }
    }
}

async fn drain(connection: Weak<Connection>) {
    let deadline = Instant::now() + DRAIN_MAX;
    while let Some(connection) = connection.upgrade() {
        if connection.in_flight() == 0 || Instant::now() > deadline {
            return connection.stop();
        }
        drop(connection);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
