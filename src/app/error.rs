//! Why the gateway did not start, or did not stop well.

use crate::audit::AuditError;
use crate::gate::GateError;
use crate::http::server::ListenError;
use crate::identity::IdentityError;
use crate::journal::RedactionError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// Each is for the operator: what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database can't be used.
    #[error("the database can't be used")]
    Store(#[from] StoreError),
    /// The master key can't be used.
    #[error("the secrets can't be unlocked")]
    Vault(#[from] VaultError),
    /// The agents' keys or the operators can't be loaded.
    #[error("the agents and operators can't be loaded")]
    Identity(#[from] IdentityError),
    /// The audit can't be begun.
    #[error("the audit can't be begun")]
    Audit(#[from] AuditError),
    /// What is not to be written down can't be understood.
    #[error(transparent)]
    Redaction(#[from] RedactionError),
    /// The rules can't be loaded.
    #[error("the rules can't be loaded")]
    Gate(#[from] GateError),
    /// The figures can't be registered.
    #[error("the metrics can't be registered")]
    Metrics(#[from] prometheus::Error),
    /// Nothing can be served on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The server broke off.
    #[error("the server broke off")]
    Broken(#[source] std::io::Error),
    /// The demo could not be set up.
    #[error("the demo can't be set up: {0}")]
    Demo(String),
}
