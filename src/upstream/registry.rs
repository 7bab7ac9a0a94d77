//! Makes the running upstreams match the stored servers.
//!
//! The registry takes no input: start, an edit, a deletion and the periodic look are all the same reading of the whole
//! table. So there is no path that is only run when something rare happens.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Semaphore;

use super::actor::Upstream;
use super::core::House;
use super::definition::{Definition, OAuthSettings};
use super::directory::{Directory, Upstreams};
use super::sealed::{ENV_FIELD, slot};
use super::spec::{Limits, ServerSpec};
use super::test::TestReport;
use crate::credential::Credentials;
use crate::gate::Pins;
use crate::metrics::Metrics;
use crate::store::{self, Store};
use crate::supervision::{Sentinel, Slot, supervise};
use crate::vault::Vault;

/// How often it looks without being nudged.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Processes that may be in their start at once, of all servers together.
const STARTS_MAX: usize = 4;

/// Read the servers and make what runs match. Answers when it does.
#[derive(Message)]
#[rtype(result = "()")]
struct Reconcile;

#[derive(Clone)]
struct Parts {
    store: Store,
    vault: Vault,
    house: House,
    directory: Directory,
    /// One reconciliation at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct RegistryActor {
    parts: Parts,
    _sentinel: Sentinel,
}

impl Actor for RegistryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One that was made again may have missed a nudge.
        ctx.notify(Reconcile);
        ctx.run_interval(LOOK_EVERY, |actor, ctx| {
            let parts = actor.parts.clone();
            ctx.spawn(async move { reconcile(&parts).await }.into_actor(actor));
        });
    }
}

impl Handler<Reconcile> for RegistryActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Reconcile, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        Box::pin(async move { reconcile(&parts).await })
    }
}

async fn reconcile(parts: &Parts) {
    let _turn = parts.turn.lock().await;
    let rows = match store::server::load_all(&parts.store).await {
        Ok(rows) => rows,
        Err(error) => {
            // What runs, runs on; the next look tries again.
            tracing::error!(error = %crate::chain(&error), "the servers can't be read; the running ones are kept");
            return;
        }
    };
    let running = parts.directory.snapshot();
    let mut wanted = Upstreams::new();
    for row in &rows {
        let kept = running.get(row.name.as_str()).filter(|upstream| is_same(upstream, row));
        let upstream = match kept {
            Some(upstream) => upstream.clone(),
            None => start(parts, row).await,
        };
        wanted.insert(upstream.spec.name.clone(), upstream);
    }
    let retired: Vec<_> = running
        .iter()
        .filter(|(name, upstream)| !wanted.get(*name).is_some_and(|kept| Arc::ptr_eq(kept, upstream)))
        .map(|(_, upstream)| upstream.clone())
        .collect();
    // The new ones are found before the old ones close: the next call goes to the new one.
    parts.directory.publish(wanted);
    for upstream in retired {
        if parts.directory.find(&upstream.spec.name).is_none()
            && let Some(metrics) = &parts.house.metrics
        {
            metrics.forget_server(&upstream.spec.name);
        }
        upstream.retire().await;
    }
}

fn is_same(upstream: &Upstream, row: &store::server::Row) -> bool {
    *upstream.spec.id == *row.id && upstream.spec.revision == row.revision
}

async fn start(parts: &Parts, row: &store::server::Row) -> Arc<Upstream> {
    let spec = load_spec(parts, row).await.unwrap_or_else(|reason| {
        tracing::error!(server.name = %row.name, reason, "a server can't be run as it is stored");
        ServerSpec::unusable(row, reason)
    });
    Upstream::start(spec, &parts.house).await
}

async fn load_spec(parts: &Parts, row: &store::server::Row) -> Result<ServerSpec, String> {
    let sealed = store::secret::load_all(&parts.store, &row.id).await.map_err(|error| crate::chain(&error))?;
    let token_url = OAuthSettings::read(row)?.token_url;
    let mut secrets = Vec::new();
    for secret in sealed {
        let slot = slot(&row.id, &secret.field, row.base_url.as_deref(), token_url.as_deref());
        let opened = parts.vault.open(&slot, &secret.sealed);
        let text = opened.map_err(|error| {
            format!("{} can't be opened: {error}", secret.field.strip_prefix(ENV_FIELD).unwrap_or(&secret.field))
        })?;
        secrets.push((secret.field, text));
    }
    ServerSpec::parse(row, secrets)
}

/// Where the actors of this room run.
pub struct Arbiters {
    /// The registry's.
    pub control: ArbiterHandle,
    /// The upstreams', with their processes' reading and writing.
    pub upstreams: ArbiterHandle,
}

/// The face of the registry.
#[derive(Clone)]
pub struct Registry {
    parts: Parts,
    actor: Arc<Slot<RegistryActor>>,
}

impl Registry {
    /// Starts the registry on `control` and the upstreams on `arbiter`, and returns when they match the store.
    pub async fn start(
        store: Store,
        vault: Vault,
        metrics: Metrics,
        pins: Pins,
        limits: Limits,
        arbiters: Arbiters,
    ) -> Self {
        let credentials = Some(Credentials::new(store.clone(), vault.clone()));
        let parts = Parts {
            store,
            vault,
            house: House {
                limits: Arc::new(limits),
                starts: Arc::new(Semaphore::new(STARTS_MAX)),
                metrics: Some(metrics),
                arbiter: arbiters.upstreams,
                credentials,
                pins: Some(pins),
            },
            directory: Directory::default(),
            turn: Arc::default(),
        };
        let actor = supervise("registry", arbiters.control, {
            let parts = parts.clone();
            move |sentinel| RegistryActor { parts: parts.clone(), _sentinel: sentinel }
        })
        .await;
        let registry = Self { parts, actor };
        registry.nudge().await;
        registry
    }

    /// What the registry publishes.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.parts.directory.clone()
    }

    /// Asks for a look; returns when what runs matches what was stored before this was called.
    pub async fn nudge(&self) {
        let is_done = match self.actor.address() {
            Some(address) => address.send(Reconcile).await.is_ok(),
            None => false,
        };
        if !is_done {
            tracing::error!("the registry is being restarted; the edit takes effect at its next look");
        }
    }

    /// Has every server that wants OAuth read what is held for it: another gateway may have renewed it, or a person logged in
    /// there.
    pub async fn reread_logins(&self) {
        for upstream in self.parts.directory.snapshot().values() {
            upstream.reread_login().await;
        }
    }

    /// Tries a definition that is not stored; nothing of it is kept.
    pub async fn try_definition(&self, definition: Definition) -> TestReport {
        let house = House { metrics: None, credentials: None, pins: None, ..self.parts.house.clone() };
        let upstream = Upstream::start(definition.into_spec(), &house).await;
        let report = upstream.test().await;
        upstream.retire().await;
        report
    }

    /// Stops every upstream: nothing new is taken, what is in flight may finish, the processes end.
    pub async fn stop(&self) {
        let _turn = self.parts.turn.lock().await;
        let running = self.parts.directory.snapshot();
        self.parts.directory.publish(Upstreams::new());
        for upstream in running.values() {
            upstream.retire().await;
        }
        // Each process holds a place until it and all it left behind are gone.
        for upstream in running.values() {
            upstream.gone().await;
        }
    }
}

#[cfg(test)]
mod tests;
