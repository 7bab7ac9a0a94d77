//! The audit as a whole: signed as it grows, told elsewhere, kept for as long as it should be, and looked at.
//!
//! Events are written where things happen, by `store`; what they look like is known by `trail`. Here the end of the chain
//! is signed, by a key that is derived from the vault's seed and so is neither in the database nor on the disk in clear.
//! Nothing is decided here, and nothing waits for what is done here.

mod janitor;
mod keeper;
mod line;
mod signer;
mod sink;
mod verify;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;

use crate::identity::Operators;
use crate::metrics::Metrics;
use crate::store::{self, Store, StoreError};
use crate::supervision::{Job, Rounds, Slot, supervise};
use crate::trail::{Checkpoint, PublicKey, Sign as _};
use crate::vault::Vault;
use signer::Signer;
use sink::Sink;

pub use sink::{SinkHealth, Target};

pub use line::{Line, LineError, line_of_checkpoint, line_of_event, plain};
pub use verify::{VerifyError, verify_database, verify_export};

/// How long a stop waits for those who are told elsewhere, and how often it looks.
const LAST_TOLD_WITHIN: Duration = Duration::from_secs(3);
const LAST_TOLD_PAUSE: Duration = Duration::from_millis(20);

/// The handle to the audit. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    signer: Signer,
    keep: Keep,
    metrics: Metrics,
    sinks: Vec<Sink>,
    /// why the last attempt to sign failed
    unsigned: Mutex<Option<String>>,
    /// the tasks, held so that they are made again when they end
    tasks: Mutex<Vec<Arc<Slot<Rounds>>>>,
}

/// For how long things are kept; 0 is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// calls
    pub call_days: i64,
    /// events
    pub event_days: i64,
    /// events, all together
    pub event_bytes: i64,
}

/// What goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// those that are told
    pub sinks: Vec<SinkHealth>,
    /// why nothing can be signed
    pub unsigned: Option<String>,
}

impl Audit {
    /// Takes the key from the vault. Nothing runs yet, and a sink that is new is told the last checkpoint and what
    /// comes after it.
    ///
    /// # Errors
    /// There is no key, or the store failed.
    pub async fn new(
        store: Store,
        vault: &Vault,
        metrics: Metrics,
        keep: Keep,
        targets: Vec<Target>,
    ) -> Result<Self, AuditError> {
        let signer = Signer::of(vault).ok_or(AuditError::NoKey)?;
        for target in &targets {
            store::audit::begin_sink(&store, target.name(), &signer.public_key()).await?;
        }
        let sinks = targets.into_iter().map(Sink::new).collect();
        let (unsigned, tasks) = (Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { store, signer, keep, metrics, sinks, unsigned, tasks }) })
    }

    /// Begins to sign what is told, to tell it elsewhere and to remove what is old, on `arbiter`.
    pub async fn start(&self, operators: &Operators, arbiter: &ArbiterHandle) {
        let audit = self.clone();
        self.run("audit keeper", arbiter, move || Box::pin(keeper::keep(audit.clone()))).await;
        for sink in &self.inner.sinks {
            let (audit, sink) = (self.clone(), sink.clone());
            self.run("audit sink", arbiter, move || Box::pin(sink::tell(audit.clone(), sink.clone()))).await;
        }
        let (audit, operators) = (self.clone(), operators.clone());
        self.run("janitor", arbiter, move || Box::pin(janitor::clean(audit.clone(), operators.clone()))).await;
    }

    async fn run(&self, name: &'static str, arbiter: &ArbiterHandle, begin: impl Fn() -> Job + Send + Clone + 'static) {
        let task = supervise(name, arbiter.clone(), move |sentinel| Rounds::new(sentinel, begin.clone())).await;
        self.tasks().push(task);
    }

    /// What the checkpoints are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.signer.public_key()
    }

    /// Signs the end of the chain, unless it is signed.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let signed = store::audit::put_checkpoint(&self.inner.store, &self.inner.signer).await;
        *self.unsigned() = signed.as_ref().err().map(|error| crate::chain(error));
        if signed.is_err() {
            self.inner.metrics.audit_sign_failed();
        }
        signed
    }

    /// What goes on.
    #[must_use]
    pub fn health(&self) -> Health {
        let sinks = self.inner.sinks.iter().map(Sink::health).collect();
        Health { sinks, unsigned: self.unsigned().clone() }
    }

    /// Signs what was told last, and lets those who can be reached be told of it. The tasks end.
    pub async fn stop(&self) {
        match self.checkpoint().await {
            Ok(_) => self.told_elsewhere().await,
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(error, "the end of the audit could not be signed; the next start does it");
            }
        }
        for task in self.tasks().drain(..) {
            task.retire();
        }
    }

    /// Waits, but not for long, until each sink that takes anything was told everything.
    async fn told_elsewhere(&self) {
        let give_up_at = Instant::now() + LAST_TOLD_WITHIN;
        for sink in &self.inner.sinks {
            while sink.health().failure.is_none() && Instant::now() < give_up_at {
                match self.is_told_everything(sink.name()).await {
                    Ok(false) => tokio::time::sleep(LAST_TOLD_PAUSE).await,
                    Ok(true) | Err(_) => break,
                }
            }
        }
    }

    async fn is_told_everything(&self, sink: &str) -> Result<bool, StoreError> {
        let store = &self.inner.store;
        let position = store::audit::sink_position(store, sink).await?;
        let signed = store::audit::last_checkpoint(store, &self.public_key()).await?.map_or(0, |last| last.seq);
        Ok(position.seq >= store::audit::end(store).await? && position.signed >= signed)
    }

    fn unsigned(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.inner.unsigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Slot<Rounds>>>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The vault's seed is no key, which does not happen.
    #[error("the key that signs the audit can't be made from the vault's seed")]
    NoKey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for Audit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Audit")
    }
}
