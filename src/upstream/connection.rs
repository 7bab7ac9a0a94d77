//! An open connection to a server: what a session, or an agent's requests, go out over.
//!
//! It lives as long as somebody holds it. When the last holder lets go, its process is stopped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::catalog;
use super::error::{Unspent, UpstreamError};
use super::handshake::Handshake;
use super::known::{KnownTools, Watch};
use super::link::{Asked, Link, Patience};
use super::log_levels::LogLevels;
use super::sink::Audience;
use super::subscriptions::Subscriptions;
use super::wire::{Reply, Ticket};
use crate::gate::Permit;
use crate::mcp::{error, splice};

const LISTEN: &str = "subscriptions/listen";
/// How long a retired process may finish what is in flight.
const PROCESS_DRAINED_WITHIN: Duration = Duration::from_secs(30);

/// One process, or one session with a remote server, behind its handshake.
pub struct Connection {
    /// What was agreed at its start.
    pub handshake: Handshake,
    /// The revision of the server that it was opened for.
    pub revision: i64,
    /// Who uses it.
    pub audience: Audience,
    link: Link,
    patience: Patience,
    /// True when it is to be closed as soon as nobody needs it.
    is_draining: AtomicBool,
    claims: AtomicUsize,
    pub(super) known: KnownTools,
    pub(super) subscriptions: Subscriptions,
    pub(super) log_levels: LogLevels,
}

/// What of a server's tools is needed to call them.
pub(super) struct ToolTraits {
    /// By tool. Those without are left out.
    pub(super) mirrored: HashMap<String, Arc<Vec<Mirrored>>>,
    /// Tools that can only be called as a task.
    pub(super) task_only: HashSet<String>,
}

/// A header's name after `Mcp-Param-`, in lower case, and the path of the argument that it mirrors.
pub type Mirrored = (String, Vec<String>);

impl Connection {
    pub(super) fn new(
        handshake: Handshake,
        revision: i64,
        audience: Audience,
        link: Link,
        patience: Patience,
        watch: Option<Watch>,
    ) -> Self {
        Self {
            handshake,
            revision,
            audience,
            link,
            patience,
            is_draining: AtomicBool::new(false),
            claims: AtomicUsize::new(0),
            known: KnownTools::new(watch),
            subscriptions: Subscriptions::default(),
            log_levels: LogLevels::default(),
        }
    }

    /// Whether a call would be let out now, so that one that would not is refused before it counts as made.
    ///
    /// # Errors
    /// Why not, and until when.
    pub fn look(&self) -> Result<(), UpstreamError> {
        self.link.look()
    }

    /// Keeps the connection open for a call that is about to be made; `None` when it is to be closed, or is.
    #[must_use]
    pub fn claim(self: &Arc<Self>) -> Option<Claim> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        let claim = Claim(self.clone());
        // Whoever drains sees the claim, or is seen here: the order of the two is the same for both.
        self.is_open().then_some(claim)
    }

    /// The arguments that `tool` wants mirrored in headers; listed when they were not yet, or when the list has changed.
    ///
    /// # Errors
    /// The tools can't be listed.
    pub async fn mirrored_arguments(&self, tool: &str) -> Result<Arc<Vec<Mirrored>>, UpstreamError> {
        Ok(self.tool_traits().await?.mirrored.get(tool).cloned().unwrap_or_default())
    }

    /// Whether `tool` can only be called as a task (2025-11-25).
    ///
    /// # Errors
    /// The tools can't be listed.
    pub async fn needs_task(&self, tool: &str) -> Result<bool, UpstreamError> {
        Ok(self.tool_traits().await?.task_only.contains(tool))
    }

    /// Sends the permitted request and waits for its answer. Dropping the future cancels the request.
    ///
    /// # Errors
    /// No answer; the error says whether the request may have been read. [`UpstreamError::SessionLost`] gives the permit
    /// back: the server refused the request for its session alone.
    pub async fn call(
        &self,
        permit: Permit,
        method: &str,
        params: Option<&str>,
        ticket: Ticket,
    ) -> Result<Reply, UpstreamError> {
        match self.exchange(method, params, ticket.clone()).await {
            Err(UpstreamError::SessionLost(_)) => {
                Err(UpstreamError::SessionLost(Some(Box::new(Unspent { permit, ticket }))))
            }
            reply => reply,
        }
    }

    /// For those who have spent a permit on the request.
    pub(super) async fn exchange(
        &self,
        method: &str,
        params: Option<&str>,
        ticket: Ticket,
    ) -> Result<Reply, UpstreamError> {
        // A subscription is meant to stay; its end is the agent's or the server's.
        let patience = match method {
            LISTEN => Patience::endless(),
            // It comes when the task is over.
            "tasks/result" => Patience::of(self.patience.longest),
            _ => self.patience,
        };
        let mirrored = self.mirrored_in(method, params).await;
        let generation = self.tools_generation();
        let asked = |mirrored| Asked { method, params, ticket: Some(ticket.clone()), mirrored };
        let mut reply = self.link.ask(asked(&mirrored), patience).await;
        if self.link.is_mirrored() && reply.as_ref().is_ok_and(is_header_mismatch) {
            // Refused before anything was done: the tool wants other arguments repeated than it did when it was listed.
            self.link.wire.tools_changed.fetch_add(1, Ordering::AcqRel);
            let mirrored = self.mirrored_in(method, params).await;
            reply = self.link.ask(asked(&mirrored), patience).await;
        }
        if let ("tools/list", Ok(Reply::Result(result))) = (method, &reply) {
            Box::pin(self.tools_pass(params, result, generation)).await;
        }
        match reply {
            Ok(Reply::Result(result)) if method == "tools/list" && self.link.is_mirrored() => {
                Ok(Reply::Result(catalog::without_unusable(result)))
            }
            reply => reply,
        }
    }

    /// What a call's tool wants repeated in headers. A server that lists no tools wants nothing.
    async fn mirrored_in(&self, method: &str, params: Option<&str>) -> Arc<Vec<Mirrored>> {
        let tool = params.filter(|_| method == "tools/call" && self.link.is_mirrored());
        match tool.and_then(|params| splice::find_string(params, &["name"])) {
            Some(tool) => self.mirrored_arguments(&tool).await.unwrap_or_default(),
            None => Arc::default(),
        }
    }

    /// Counts how often the server said that its tools changed.
    pub(super) fn tools_changed(&self) -> &AtomicU64 {
        &self.link.wire.tools_changed
    }

    /// How long a request may take, however much is heard of it.
    #[must_use]
    pub fn request_timeout_max(&self) -> Duration {
        self.patience.longest
    }

    /// Passes an agent's notification on. Notifications do nothing by themselves; what isn't one by name is refused.
    ///
    /// # Errors
    /// It could not be handed over.
    pub fn notify(&self, method: &str, params: Option<&str>) -> Result<(), UpstreamError> {
        if method.starts_with("notifications/") { self.link.wire.notify(method, params) } else { Ok(()) }
    }

    /// Passes an agent's answer on to the server's request `id`; `false` when this server asked no such thing.
    pub fn answer(&self, id: u64, reply: &Reply) -> bool {
        self.link.wire.answer(id, reply)
    }

    /// Sets again what a session had set on a connection that was lost. Each was permitted and recorded when the agent set
    /// it; whether the rules still let it is asked by the caller.
    ///
    /// # Errors
    /// No answer.
    pub async fn restore(&self, setting: Setting, params: &str) -> Result<Reply, UpstreamError> {
        self.list(setting.method(), params).await
    }

    /// Listens at a modern server in a session's name: for what a legacy server would tell unasked, and for resources
    /// whose subscriptions were permitted and recorded when the agent made them. What it gives resolves at the end of the
    /// listening; dropping it ends the listening.
    ///
    /// # Errors
    /// It could not be handed over.
    pub fn listen(
        &self,
        params: &str,
        ticket: Ticket,
    ) -> Result<impl Future<Output = Result<Reply, UpstreamError>> + 'static, UpstreamError> {
        let (link, params) = (self.link.clone(), params.to_owned());
        if !link.is_open() {
            return Err(UpstreamError::Stopped { was_sent: false });
        }
        Ok(async move {
            let asked = Asked { method: LISTEN, params: Some(&params), ticket: Some(ticket), mirrored: &[] };
            link.ask(asked, Patience::endless()).await
        })
    }

    /// How long an answer is waited for when nothing is heard.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.patience.quiet
    }

    /// Takes back what was permitted before: a subscription, or a task. What the server answers does not matter.
    pub(super) fn take_back(&self, method: &'static str, params: String) {
        let (link, patience) = (self.link.clone(), Patience::of(self.patience.quiet));
        let told = async move { link.ask(Asked::own(method, &params), patience).await.is_ok() };
        // It is handed over at once where it can be; the answer is waited for beside.
        let mut told = Box::pin(told);
        if futures_util::FutureExt::now_or_never(&mut told).is_none() {
            actix_rt::spawn(told);
        }
    }

    /// A listing for the gateway's own use.
    pub(super) async fn list(&self, method: &'static str, params: &str) -> Result<Reply, UpstreamError> {
        let _busy = Busy::new(&self.claims);
        self.link.ask(Asked::own(method, params), Patience::of(self.patience.quiet)).await
    }

    /// Whether new requests can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.is_open() && !self.is_draining.load(Ordering::SeqCst)
    }

    /// Resolves when its process has ended.
    pub async fn ended(&self) {
        self.link.wire.over().await;
    }

    /// Whether a call is being made over it. Subscriptions don't count: they can be made anew.
    pub(super) fn is_busy(&self) -> bool {
        self.claims.load(Ordering::SeqCst) > 0
    }

    /// Takes nothing new.
    pub(super) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    /// How long what is in flight may take once nothing new is taken. A process stands in the way of nobody for long; a
    /// remote server's calls end by themselves within their time, so none is lost to a new token.
    pub(super) fn drain_max(&self) -> Duration {
        if self.link.remote.is_some() { self.patience.longest } else { PROCESS_DRAINED_WITHIN }
    }

    /// When it was last used, in ms.
    pub(super) fn last_used(&self) -> i64 {
        self.link.wire.last_used.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.link.wire.stop.notify_one();
    }
}

/// The modern era's word for a header that does not say what the body says.
fn is_header_mismatch(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(object) if error::code_of(object) == Some(error::HEADER_MISMATCH))
}

/// Counts while it lives.
struct Busy<'c>(&'c AtomicUsize);

impl<'c> Busy<'c> {
    fn new(claims: &'c AtomicUsize) -> Self {
        claims.fetch_add(1, Ordering::SeqCst);
        Self(claims)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Held while a call is made.
pub struct Claim(Arc<Connection>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.claims.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a session keeps on its connection.
#[derive(Debug, Clone, Copy)]
pub enum Setting {
    /// The least severe log message.
    LogLevel,
    /// A resource whose changes are told.
    Subscription,
}

impl Setting {
    /// The method that sets it.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::LogLevel => "logging/setLevel",
            Self::Subscription => "resources/subscribe",
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop();
    }
}
