//! The audit as a whole: signed as it grows, told elsewhere, kept for as long as it should be, and looked at.
//!
//! Events are written where things happen, by `store`; what they look like is known by `trail`. Here the end of the chain
//! is signed, by a key that is derived from the vault's seed and so is neither in the database nor on the disk in clear.
//! Nothing is decided here, and nothing waits for what is done here.

mod keeper;
mod line;
mod rounds;
mod signer;
mod verify;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use actix::ArbiterHandle;

use crate::store::{self, Store, StoreError};
use crate::supervision::{Slot, supervise};
use crate::trail::{Checkpoint, PublicKey};
use crate::vault::Vault;
use rounds::Rounds;
use signer::Signer;

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
    /// why the last attempt to sign failed
    unsigned: Mutex<Option<String>>,
    /// the tasks, held so that they are made again when they end
    tasks: Mutex<Vec<Arc<Slot<Rounds>>>>,
}

/// What goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// why nothing can be signed
    pub unsigned: Option<String>,
}

impl Audit {
    /// Begins to sign what is told, on `arbiter`.
    pub async fn start(store: Store, vault: &Vault, arbiter: ArbiterHandle) -> Option<Self> {
        let signer = Signer::of(vault)?;
        let inner = Inner { store, signer, unsigned: Mutex::default(), tasks: Mutex::default() };
        let audit = Self { inner: Arc::new(inner) };
        let keeper = audit.clone();
        let keep = supervise("audit keeper", arbiter, move |sentinel| {
            let audit = keeper.clone();
            Rounds::new(sentinel, move || Box::pin(keeper::keep(audit.clone())))
        });
        let keep = keep.await;
        audit.tasks().push(keep);
        Some(audit)
    }

    /// What the checkpoints are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.signer.public_key()
    }

    /// Signs the end of the chain, unless it is signed.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let signed = store::audit::put_checkpoint(&self.inner.store, |head, since| self.inner.signer.sign(head, since));
        let signed = signed.await;
        *self.unsigned() = signed.as_ref().err().map(|error| crate::chain(error));
        signed
    }

    /// What goes on.
    #[must_use]
    pub fn health(&self) -> Health {
        Health { unsigned: self.unsigned().clone() }
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

impl fmt::Debug for Audit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Audit")
    }
}
