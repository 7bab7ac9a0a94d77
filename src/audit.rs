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

pub use line::{Line, LineError, line_of_checkpoint, line_of_event};
pub use verify::{VerifyError, verify_database, verify_export};

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

    /// Signs what was told last. The tasks end.
    pub async fn stop(&self) {
        for task in self.tasks().drain(..) {
            task.retire();
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(error = %crate::chain(&error), "the end of the audit could not be signed; the next start does it");
        }
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
