//! A remote MCP server that keeps a ledger of all it is sent, and misbehaves when it is told to.
//!
//! It has a thread and a port of its own and lives as long as its [`Remote`]. Its tools: `echo` (text), `held` (tells a
//! progress of 1, waits for [`Remote::release`], tells 2 and answers), `early` (ends its stream before the answer, which
//! a GET with its last event id then fetches), `lost` (a tool error that speaks of a lost session), `grow` (one tool
//! more, and says so), `ask` (elicits a name and echoes what it was answered), `steady` (tells progress eight times in two
//! seconds, then answers).

mod fault;
mod serve;
mod tls;
pub mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};

pub use fault::Fault;
pub use tls::Authority;
pub use wire::Request;

/// What a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// New connections, before anything is read from them.
    Accept,
    /// Every request.
    Every,
    /// POSTs of one method.
    Method(&'static str),
    /// GETs.
    Get,
}

/// How it is when it is well.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Speaks 2026-07-28 and nothing else.
    pub is_modern: bool,
    /// Answers as an event stream.
    pub wants_stream: bool,
    /// Gives out session ids, and wants them.
    pub is_sessionful: bool,
    /// What it says to an id that it doesn't know.
    pub lost_status: u16,
}

impl Default for Manner {
    fn default() -> Self {
        Self { is_modern: false, wants_stream: false, is_sessionful: true, lost_status: 404 }
    }
}

struct Planned {
    on: On,
    fault: Fault,
    /// how often it still happens; `None`: always
    left: Option<usize>,
}

/// Which requests it takes.
#[derive(Clone)]
struct Guard {
    /// what it says to the others
    challenge: String,
    tokens: Vec<String>,
}

#[derive(Default)]
struct Session {
    /// the standing streams
    listeners: Vec<mpsc::UnboundedSender<String>>,
    /// what a resumed stream is sent, by the last event id
    kept: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    ledger: Vec<Request>,
    planned: Vec<Planned>,
    sessions: BTreeMap<String, Session>,
    extra_tools: usize,
    guard: Option<Guard>,
    /// who waits for the answer to a question
    asked: HashMap<String, oneshot::Sender<Value>>,
}

struct Shared {
    manner: Manner,
    state: Mutex<State>,
    release: Notify,
    connections: AtomicUsize,
    abandoned: AtomicUsize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    fn fault(&self, is_for: impl Fn(On) -> bool) -> Option<Fault> {
        let mut state = self.state();
        let at = state.planned.iter().position(|planned| is_for(planned.on) && planned.left != Some(0))?;
        if let Some(left) = &mut state.planned[at].left {
            *left -= 1;
        }
        Some(state.planned[at].fault.clone())
    }
}

/// A running one.
pub struct Remote {
    /// Its MCP address.
    pub url: String,
    /// host:port
    pub address: String,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

impl Remote {
    /// A well-behaved one of the legacy era with sessions and plain JSON answers.
    pub fn start() -> Self {
        Self::with(Manner::default())
    }

    pub fn with(manner: Manner) -> Self {
        Self::on(manner, None)
    }

    /// Over TLS, with a certificate for 127.0.0.1 of that authority.
    pub fn tls(authority: &Authority) -> Self {
        Self::on(Manner::default(), Some(authority.acceptor()))
    }

    fn on(manner: Manner, tls: Option<tls::Acceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address").to_string();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let connections = AtomicUsize::new(0);
        let (state, release, abandoned) = (Mutex::default(), Notify::new(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { manner, state, release, connections, abandoned });
        let (stop, stopped) = oneshot::channel();
        let served = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve::accept(listener, tls, served) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { url: format!("{scheme}://{address}/mcp"), address, shared, _stop: stop }
    }

    /// From now on.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.state().planned.push(Planned { on, fault, left: None });
    }

    /// The next so many times.
    pub fn fault_times(&self, times: usize, on: On, fault: Fault) {
        self.shared.state().planned.push(Planned { on, fault, left: Some(times) });
    }

    /// From now on it is well.
    pub fn heal(&self) {
        self.shared.state().planned.clear();
    }

    /// From now on it takes requests with one of these bearer tokens only, and answers the others 401 with that challenge.
    pub fn guard(&self, challenge: &str, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| format!("Bearer {token}")).collect();
        self.shared.state().guard = Some(Guard { challenge: challenge.to_owned(), tokens });
    }

    /// From now on it takes every request.
    pub fn unguard(&self) {
        self.shared.state().guard = None;
    }

    /// It knows none of its sessions any more, as after a restart.
    pub fn lose_sessions(&self) {
        self.shared.state().sessions.clear();
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> Vec<String> {
        self.shared.state().sessions.keys().cloned().collect()
    }

    /// Lets one `held` call go on.
    pub fn release(&self) {
        self.shared.release.notify_one();
    }

    /// Ends all standing streams.
    pub fn end_streams(&self) {
        self.shared.state().sessions.values_mut().for_each(|session| session.listeners.clear());
    }

    /// How many `held` calls were left by whoever had made them.
    pub fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::SeqCst)
    }

    /// How many connections were ever made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// All that it read so far.
    pub fn ledger(&self) -> Vec<Request> {
        self.shared.state().ledger.clone()
    }

    /// The requests of that method that it read: `tools/call`, `initialize`, or `GET` and `DELETE`.
    pub fn seen(&self, method: &str) -> Vec<Request> {
        self.ledger().into_iter().filter(|request| request.is(method)).collect()
    }

    /// How often a call with that text arrived.
    pub fn times_called(&self, text: &str) -> usize {
        self.seen("tools/call").iter().filter(|call| call.json["params"]["arguments"]["text"] == text).count()
    }
}
