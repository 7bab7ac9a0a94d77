//! One registered server, alive: the actor that opens and closes its connections, and the handle that others hold.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::catalog::Items;
use super::connection::Connection;
use super::core::{Core, House, Opening, Owner};
use super::error::UpstreamError;
use super::sink::Sink;
use super::spec::ServerSpec;
use super::status::Status;
use super::test::{self, TestReport};
use crate::backoff::Backoff;
use crate::oauth::Challenge;
use crate::supervision::{Sentinel, Slot, supervise};

/// How often idle connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// A remote server is looked at so soon after it was registered or the gateway started, and
const FIRST_CHECK_WITHIN: Duration = Duration::from_secs(1);
/// then so long after its last answer.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// Waiting opens, tests and looks.
const MAILBOX_MAX: usize = 1024;

/// Open a connection, or give the pooled one.
#[derive(Message)]
#[rtype(result = "Result<Arc<Connection>, UpstreamError>")]
struct Open {
    owner: Owner,
    opening: Opening,
    listener: Arc<dyn Sink>,
}

/// Make a real handshake on a process of its own and say what was seen, step by step.
#[derive(Message)]
#[rtype(result = "TestReport")]
struct Test;

/// Make a handshake now, so that the status is true.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

/// List the tools anew.
#[derive(Message)]
#[rtype(result = "Result<Items, UpstreamError>")]
struct ListTools;

/// Let all connections go, draining them; `is_final`: and take nothing new.
#[derive(Message)]
#[rtype(result = "()")]
struct Close {
    is_final: bool,
}

struct UpstreamActor {
    core: Arc<Core>,
    _sentinel: Sentinel,
}

impl Actor for UpstreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.core.is_retired() {
            // Retired while it was made again.
            return ctx.stop();
        }
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        ctx.run_interval(SWEEP_EVERY, |actor, _| actor.core.close_idle());
        if self.core.spec.enabled {
            ctx.spawn(self.core.clone().keep().into_actor(self));
        }
        if self.core.is_checked() {
            Self::check_after(FIRST_CHECK_WITHIN, ctx);
        }
    }
}

impl UpstreamActor {
    /// Looks at the server after up to `delay`, and then again and again.
    fn check_after(delay: Duration, ctx: &mut Context<Self>) {
        let delay = Backoff::new(delay, delay).fail();
        ctx.run_later(delay, |actor, ctx| {
            ctx.spawn(actor.core.clone().check(CHECK_EVERY).into_actor(actor).map(|(), _, ctx| {
                Self::check_after(CHECK_EVERY, ctx);
            }));
        });
    }
}

impl Handler<Open> for UpstreamActor {
    type Result = ResponseFuture<Result<Arc<Connection>, UpstreamError>>;

    fn handle(&mut self, open: Open, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.core.clone().open(open.owner, open.opening, open.listener))
    }
}

impl Handler<Test> for UpstreamActor {
    type Result = ResponseFuture<TestReport>;

    fn handle(&mut self, _: Test, _: &mut Self::Context) -> Self::Result {
        let core = self.core.clone();
        Box::pin(async move { test::run(&core).await })
    }
}

impl Handler<Look> for UpstreamActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.core.clone().look())
    }
}

impl Handler<ListTools> for UpstreamActor {
    type Result = ResponseFuture<Result<Items, UpstreamError>>;

    fn handle(&mut self, _: ListTools, _: &mut Self::Context) -> Self::Result {
        let core = self.core.clone();
        Box::pin(async move {
            let connection = core.open_own().await?;
            connection.list_tools().await
        })
    }
}

impl Handler<Close> for UpstreamActor {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        if close.is_final {
            self.core.retire();
            ctx.stop();
        } else {
            self.core.close_all();
        }
    }
}

/// The handle of one upstream.
#[derive(Clone)]
pub struct Upstream {
    /// What it runs by.
    pub spec: Arc<ServerSpec>,
    core: Arc<Core>,
    actor: Arc<Slot<UpstreamActor>>,
}

impl Upstream {
    pub(super) async fn start(spec: ServerSpec, house: &House) -> Arc<Self> {
        let spec = Arc::new(spec);
        let core = Core::new(spec.clone(), house);
        core.reload().await;
        let actor = supervise("upstream", house.arbiter.clone(), {
            let core = core.clone();
            move |sentinel| UpstreamActor { core: core.clone(), _sentinel: sentinel }
        })
        .await;
        Arc::new(Self { spec, core, actor })
    }

    /// A connection for `owner`. Messages that belong to no request go to `listener` while somebody else holds it.
    ///
    /// # Errors
    /// There is none to be had; nothing was sent.
    pub async fn open(
        &self,
        owner: Owner,
        opening: Opening,
        listener: Arc<dyn Sink>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        self.address()?.send(Open { owner, opening, listener }).await.unwrap_or(Err(UpstreamError::ActorDown))
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.core.status.load_full()
    }

    /// What a remote server last said of the login that it wants; `None`: nothing, or it wants no bearer token.
    #[must_use]
    pub fn challenge(&self) -> Option<Challenge> {
        self.core.challenge.load_full().map(|challenge| Challenge::clone(&challenge))
    }

    /// Reads what is held for the server anew, and looks at the server with it: whoever changed what is held asks for
    /// this. Returns how the server is then.
    pub async fn reload_credential(&self) -> Arc<Status> {
        self.core.forget_wanted_scopes();
        self.core.reload().await;
        if let Ok(address) = self.address() {
            let _looked = address.send(Look).await.is_ok();
        }
        self.status()
    }

    /// Reads what is held for the server anew, and lets its keeper see to what follows.
    pub(super) async fn reread_login(&self) {
        self.core.reload().await;
        self.core.login.wake();
    }

    /// The last lines that its processes wrote to stderr, oldest first, without its secrets.
    #[must_use]
    pub fn logs(&self, tail: usize) -> Vec<String> {
        self.core.tail.last(tail)
    }

    /// The text with dots for the server's secrets.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.core.tail.scrub(text)
    }

    /// Returns when one more process may be started; after some seconds in any case.
    pub async fn has_room(&self) {
        self.core.has_room().await;
    }

    /// A real handshake on a process of its own; nothing else is touched.
    pub async fn test(&self) -> TestReport {
        match self.address() {
            Ok(address) => match address.send(Test).await {
                Ok(report) => report,
                Err(_) => TestReport::failed(&self.status(), &UpstreamError::ActorDown),
            },
            Err(error) => TestReport::failed(&self.status(), &error),
        }
    }

    /// The tools as the server lists them now, each as the text it sent.
    ///
    /// # Errors
    /// No connection, or no list.
    pub async fn catalog(&self) -> Result<Items, UpstreamError> {
        self.address()?.send(ListTools).await.unwrap_or(Err(UpstreamError::ActorDown))
    }

    /// Drains all connections; the next requests open new ones.
    pub async fn restart(&self) {
        self.close(false).await;
    }

    pub(super) async fn retire(&self) {
        self.actor.retire();
        self.close(true).await;
    }

    /// Returns when none of its processes is left.
    pub(super) async fn gone(&self) {
        self.core.gone().await;
    }

    async fn close(&self, is_final: bool) {
        let is_done = match self.actor.address() {
            Some(address) => address.send(Close { is_final }).await.is_ok(),
            None => false,
        };
        // The actor is being made again, but its processes live.
        if !is_done && is_final {
            self.core.retire();
        } else if !is_done {
            self.core.close_all();
        }
    }

    fn address(&self) -> Result<Addr<UpstreamActor>, UpstreamError> {
        if !self.spec.enabled {
            return Err(UpstreamError::Disabled);
        }
        self.actor.address().ok_or(UpstreamError::ActorDown)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for UpstreamActor {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Self::Context) {
            panic!("as a test wants it");
        }
    }

    /// Ends the upstream's actor as a mistake in it would.
    pub(in crate::upstream) async fn panic_in(upstream: &Upstream) {
        assert!(upstream.address().unwrap().send(Panic).await.is_err());
    }
}
