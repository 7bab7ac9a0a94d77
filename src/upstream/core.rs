//! What an upstream's actor owns: its processes, their count, its backoff, and what it publishes.

mod check;
mod dial;
mod health;
mod keeper;
mod standing;
mod start;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use actix::ArbiterHandle;
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::connection::Connection;
use super::error::UpstreamError;
use super::fanout::Fanout;
use super::handshake;
use super::http::{Breaker, Login};
use super::sink::{Audience, NoSink, Sink};
use super::spec::{Limits, ServerSpec, Transport};
use super::status::Status;
use super::tail::Tail;
use crate::backoff::Backoff;
use crate::child::Launch;
use crate::clock;
use crate::credential::Credentials;
use crate::gate::Pins;
use crate::mcp::question::Abilities;
use crate::mcp::version::Era;
use crate::metrics::Metrics;
use crate::oauth::Challenge;
use keeper::Keeper;
use standing::Refusal;

/// First and longest delay between failing starts.
const DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// At least this long for the era question, however fast the server started before.
const PROBE_MIN: Duration = Duration::from_secs(5);
/// A process that is told to stop is gone within this time, whatever it does.
const ROOM_WITHIN: Duration = Duration::from_secs(7);
/// Most connections to one remote server.
const CONNECTIONS_MAX: usize = 20_000;

/// What all upstreams of the process have in common.
#[derive(Clone)]
pub(super) struct House {
    pub(super) limits: Arc<Limits>,
    /// One permit a start, so that many servers do not all start at once.
    pub(super) starts: Arc<Semaphore>,
    pub(super) metrics: Option<Metrics>,
    /// Where the actors run.
    pub(super) arbiter: ArbiterHandle,
    /// None for a trial: what is not stored has no login that is kept.
    pub(super) credentials: Option<Credentials>,
    /// None for a trial: what is not stored is held to nothing.
    pub(super) pins: Option<Pins>,
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
    /// For requests that stand alone, in the era the server prefers; a legacy one is told what their agent can be asked.
    Stateless(Abilities),
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

/// Who hears what belongs to no request, and who uses the connection.
#[derive(Clone)]
struct Listener {
    sink: Arc<dyn Sink>,
    audience: Audience,
}

type Seat = Arc<tokio::sync::Mutex<Option<(Arc<Connection>, Arc<Fanout>)>>>;

pub(super) struct Core {
    pub(super) spec: Arc<ServerSpec>,
    pub(super) limits: Arc<Limits>,
    pub(super) tail: Arc<Tail>,
    pub(super) status: ArcSwap<Status>,
    /// What a remote server last said of the login that it wants.
    pub(super) challenge: ArcSwapOption<Challenge>,
    /// One permit a process, or a connection to a remote server.
    places: Arc<Semaphore>,
    places_max: usize,
    /// What a remote server is shown.
    pub(super) login: Arc<Login>,
    /// Why it can't be.
    login_fault: Option<String>,
    /// Of a server that wants OAuth.
    keeper: Option<Keeper>,
    /// For a remote server: whether it is asked at all.
    pub(super) breaker: Breaker,
    /// One permit a start, for all servers.
    starts: Arc<Semaphore>,
    own_starts: Arc<Semaphore>,
    state: Mutex<State>,
    retired: watch::Sender<bool>,
    /// None for a trial: what is not stored is not counted.
    metrics: Option<Metrics>,
    pins: Option<Pins>,
}

struct State {
    /// What was seen of the connection, whatever is the matter with the login.
    facts: Status,
    refusal: Option<Refusal>,
    /// What stateless requests are best sent in; learnt at the first one.
    era: Option<Era>,
    /// A remote server that is spoken to in the way of 2024-11-05.
    is_paired: bool,
    /// A remote server that refused a handshake of the legacy era.
    is_modern_only: bool,
    /// A remote server's last answer.
    last_answer: Option<Instant>,
    backoff: Backoff,
    not_before: Option<Instant>,
    last_failure: String,
    last_success: Option<Instant>,
    connections: Vec<Weak<Connection>>,
    /// A legacy server is told once for the whole connection what can be asked, so that is part of whose it is.
    pool: HashMap<(Owner, Abilities), Seat>,
}

impl Core {
    pub(super) fn new(spec: Arc<ServerSpec>, house: &House) -> Arc<Self> {
        let limits = house.limits.clone();
        let places_max = match &spec.transport {
            Transport::Stdio(_) => limits.processes_max,
            Transport::Http(_) => CONNECTIONS_MAX,
        };
        if let (Some(metrics), false) = (&house.metrics, spec.enabled) {
            metrics.server_up(&spec.name, false);
        }
        let facts = standing::first(&spec);
        let (login, login_fault) = Login::of(&spec.transport);
        Arc::new(Self {
            status: ArcSwap::from_pointee(facts.clone()),
            challenge: ArcSwapOption::empty(),
            tail: Arc::new(Tail::new(spec.secrets())),
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            login: Arc::new(login),
            login_fault,
            keeper: Keeper::of(&spec, house.credentials.as_ref()),
            breaker: Breaker::default(),
            starts: house.starts.clone(),
            own_starts: Arc::new(Semaphore::new(start::STARTS_MAX)),
            metrics: house.metrics.clone(),
            pins: house.pins.clone(),
            state: Mutex::new(State {
                facts,
                refusal: None,
                era: None,
                is_paired: false,
                is_modern_only: false,
                last_answer: None,
                backoff: Backoff::new(DELAYS.0, DELAYS.1),
                not_before: None,
                last_failure: String::new(),
                last_success: None,
                connections: Vec::new(),
                pool: HashMap::new(),
            }),
            retired: watch::Sender::new(false),
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
        let audience = match owner {
            Owner::Session => {
                let listener = Listener { sink: listener, audience: Audience::Session };
                return self.guarded(self.clone().open_new(opening, listener)).await;
            }
            Owner::Agent(_) => Audience::Agent,
            Owner::Everyone => Audience::Everyone,
        };
        let shared = self.seat(&owner, &opening);
        // Whoever comes while it is being opened waits here and finds it.
        let mut seat = shared.lock().await;
        if let Some((connection, fanout)) = &*seat
            && connection.is_open()
        {
            fanout.add(&listener);
            return Ok(connection.clone());
        }
        let fanout = Arc::new(Fanout::default());
        let open = || self.guarded(self.clone().open_new(opening.clone(), Listener { sink: fanout.clone(), audience }));
        let mut opened = open().await;
        if matches!(opened, Err(UpstreamError::TooMany { .. })) && self.close_unused_of(&owner) {
            self.has_room().await;
            opened = open().await;
        }
        let connection = opened?;
        if connection.handshake.era == Era::Modern {
            // Found out just now: whoever comes next looks for it here.
            self.state().pool.entry((owner, Abilities::default())).or_insert_with(|| shared.clone());
        }
        fanout.add(&listener);
        *seat = Some((connection.clone(), fanout));
        Ok(connection)
    }

    /// The next try is due now, whatever failed before.
    pub(super) fn forgive(&self) {
        self.breaker.forgive();
        self.forgive_login();
        let mut state = self.state();
        state.not_before = None;
        state.refusal = None;
    }

    /// A modern server is told with each request what its agent can be asked: all of an agent's requests share one seat.
    fn seat(&self, owner: &Owner, opening: &Opening) -> Seat {
        let mut state = self.state();
        let abilities = match opening {
            Opening::Stateless(abilities) if state.era != Some(Era::Modern) => abilities.clone(),
            Opening::Stateless(_) | Opening::Handshake { .. } => Abilities::default(),
        };
        state.pool.entry((owner.clone(), abilities)).or_default().clone()
    }

    /// Closes the connections that the same owner opened with other abilities and does not use now; `false` when there are
    /// none.
    fn close_unused_of(&self, owner: &Owner) -> bool {
        let mut state = self.state();
        let count = state.pool.len();
        state.pool.retain(|(other, _), seat| {
            // Whoever opens it holds its seat; whoever uses it, the connection.
            let is_unused = seat.try_lock().is_ok_and(|seat| {
                seat.as_ref().is_some_and(|(connection, _)| Arc::strong_count(connection) == 1 && !connection.is_busy())
            });
            other != owner || !is_unused
        });
        state.pool.len() < count
    }

    /// Opens a connection that nobody else will use, for a test or a listing.
    pub(super) async fn open_own(self: &Arc<Self>) -> Result<Arc<Connection>, UpstreamError> {
        self.refuse_if_closed()?;
        let listener = Listener { sink: Arc::new(NoSink), audience: Audience::Session };
        let connection = self.guarded(self.clone().open_new(own_opening(), listener)).await?;
        connection.known.is_for_a_look();
        Ok(connection)
    }

    async fn open_new(self: Arc<Self>, opening: Opening, listener: Listener) -> Result<Arc<Connection>, UpstreamError> {
        match &self.spec.transport {
            Transport::Stdio(launch) => self.open_process(launch, opening, listener).await,
            Transport::Http(endpoint) => self.open_remote(endpoint, opening, listener).await,
        }
    }

    async fn open_process(
        self: &Arc<Self>,
        launch: &Launch,
        opening: Opening,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        match opening {
            Opening::Handshake { params, is_resumed } => {
                let opened = self.open_legacy(launch, &params, listener.clone()).await;
                match opened {
                    Err(refused) if handshake::may_be_modern_only(&refused) => {
                        self.open_modern(launch, listener, self.limits.start_timeout).await?.ok_or(refused)
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
            Opening::Stateless(abilities) => self.open_stateless(launch, listener, &abilities).await,
        }
    }

    /// A process is bound to an era by its first message. So the question which era the server prefers is put to a second
    /// process, never to one that is to be used otherwise; and only after a first one has come up, because until then
    /// silence may only mean that it is still being installed.
    async fn open_stateless(
        self: &Arc<Self>,
        launch: &Launch,
        listener: Listener,
        abilities: &Abilities,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let era = self.state().era;
        if era == Some(Era::Modern)
            && let Some(connection) = self.open_modern(launch, listener.clone(), self.limits.start_timeout).await?
        {
            return Ok(connection);
        }
        let started = Instant::now();
        let params = handshake::initialize_params(abilities);
        let legacy = match self.open_legacy(launch, &params, listener.clone()).await {
            Ok(connection) => {
                connection.notify("notifications/initialized", None)?;
                connection
            }
            Err(refused) if handshake::may_be_modern_only(&refused) => {
                let connection = self.open_modern(launch, listener, self.limits.start_timeout).await?.ok_or(refused)?;
                self.state().era = Some(Era::Modern);
                return Ok(connection);
            }
            Err(error) => return Err(error),
        };
        if era == Some(Era::Legacy) {
            return Ok(legacy);
        }
        match self.open_modern(launch, listener, started.elapsed() + PROBE_MIN).await {
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

    async fn open_legacy(
        self: &Arc<Self>,
        launch: &Launch,
        params: &str,
        listener: Listener,
    ) -> Result<Arc<Connection>, UpstreamError> {
        let process = self.start(launch, listener).await?;
        let handshake = handshake::initialize(&process.link, params, self.limits.start_timeout).await;
        handshake.map(|handshake| process.established(self, handshake)).map_err(|error| self.named(error))
    }

    async fn open_modern(
        self: &Arc<Self>,
        launch: &Launch,
        listener: Listener,
        limit: Duration,
    ) -> Result<Option<Arc<Connection>>, UpstreamError> {
        let process = self.start(launch, listener).await?;
        let handshake = handshake::discover(&process.link, limit).await.map_err(|error| self.named(error))?;
        Ok(handshake.map(|handshake| process.established(self, handshake)))
    }

    pub(super) fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    /// Resolves when it is retired.
    async fn retired(&self) {
        let _ = self.retired.subscribe().wait_for(|is_retired| *is_retired).await.is_ok();
    }

    /// Takes nothing new and gives up what is being started; what is in flight may finish, then the processes are stopped.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
        self.close_all();
    }

    /// Lets all connections go, each when its calls are over; the next request opens new ones.
    pub(super) fn close_all(&self) {
        let mut state = self.state();
        state.pool.clear();
        state.not_before = None;
        state.backoff.reset();
        let connections: Vec<_> = state.connections.drain(..).collect();
        drop(state);
        for connection in connections {
            if let Some(connection) = connection.upgrade() {
                connection.begin_drain();
            }
            actix_rt::spawn(drain(connection));
        }
    }

    /// Returns when one more process may be started, but waits no longer than a process takes to be stopped.
    pub(super) async fn has_room(&self) {
        let _ = tokio::time::timeout(ROOM_WITHIN, self.places.acquire()).await;
    }

    /// Returns when no process is left, and no refresh of its login is under way.
    pub(super) async fn gone(&self) {
        let all = u32::try_from(self.places_max).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
        if let Some(keeper) = &self.keeper {
            keeper.idle().await;
        }
    }

    /// Closes pooled connections that nobody used for long.
    pub(super) fn close_idle(&self) {
        let idle_ms = i64::try_from(self.limits.idle.as_millis()).unwrap_or(i64::MAX);
        let now = clock::now_ms();
        self.state().pool.retain(|_, seat| {
            let Ok(mut seat) = seat.try_lock() else { return true };
            let is_idle = seat.as_ref().is_none_or(|(connection, _)| {
                // Whoever listens only, or is about to call, holds it, too.
                let is_held = Arc::strong_count(connection) > 1;
                !connection.is_open() || (!is_held && now - connection.last_used() > idle_ms)
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
        if let Some(reason) = &self.spec.fault {
            return Err(UpstreamError::NotRunnable { reason: reason.clone() });
        }
        if self.is_retired() {
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

async fn drain(connection: Weak<Connection>) {
    let Some(limit) = connection.upgrade().map(|connection| connection.drain_max()) else { return };
    let deadline = Instant::now() + limit;
    while let Some(connection) = connection.upgrade() {
        if !connection.is_busy() || Instant::now() > deadline {
            return connection.stop();
        }
        drop(connection);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
