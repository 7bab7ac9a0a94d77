//! Everything the doors may ask, in one value.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::audit::Audit;
use crate::config::Config;
use crate::connect::Connect;
use crate::downstream::Downstream;
use crate::gate::{Approvals, Gate};
use crate::http::extract::{Attempts, Refusals};
use crate::http::problem::{Code, Problem};
use crate::identity::{Keyring, Operators};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::store::Store;
use crate::upstream::{Directory, Registry};
use crate::vault::Vault;

/// The rooms behind the doors, by their handles. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Gateway {
    /// How the gateway was told to run.
    pub config: Arc<Config>,
    /// What is kept.
    pub store: Store,
    /// Seals what must not be read back.
    pub vault: Vault,
    /// Who may call as an agent.
    pub keyring: Keyring,
    /// Who may operate the gateway.
    pub operators: Operators,
    /// What the rules say.
    pub gate: Gate,
    /// The calls that wait for a person.
    pub approvals: Approvals,
    /// Tells people that a call waits for them.
    pub notifier: Notifier,
    /// Makes the running servers match the stored ones.
    pub registry: Registry,
    /// The running servers by name.
    pub directory: Directory,
    /// Logs in at servers that want OAuth.
    pub connect: Connect,
    /// The record of calls.
    pub journal: Journal,
    /// The record of what was done, signed.
    pub audit: Audit,
    /// What agents talk to.
    pub downstream: Downstream,
    /// What is counted.
    pub metrics: Metrics,
    /// Failed logins, by address.
    pub attempts: Arc<Attempts>,
    /// Credentials that did not hold, for the audit.
    pub refusals: Arc<Refusals>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The base URL that browsers and agents use, without a slash at its end.
    pub public_url: Arc<str>,
}

impl Gateway {
    /// Makes an edit of the rules hold, before it is answered.
    ///
    /// # Errors
    /// The edit is stored and does not hold yet; until it does, everything is denied.
    pub async fn publish_rules(&self) -> Result<(), Problem> {
        self.gate.reload().await.map(drop).map_err(|error| {
            stored_only(&error, "the rules can't be loaded, and every call is denied until they can; look at the log")
        })
    }

    /// Makes a review of a tool, or a setting for such, hold before it is answered.
    ///
    /// # Errors
    /// It is stored and does not hold yet.
    pub async fn publish_pins(&self) -> Result<(), Problem> {
        self.gate
            .pins()
            .reload()
            .await
            .map_err(|error| stored_only(&error, "what was read before still holds; send it again"))
    }

    /// Makes an edit of agents or keys hold, before it is answered.
    ///
    /// # Errors
    /// The edit is stored and does not hold yet: a key that was revoked may still be taken.
    pub async fn publish_keys(&self) -> Result<(), Problem> {
        self.keyring.reload().await.map_err(|error| {
            stored_only(&error, "the keys can't be loaded, and those that were loaded before still hold; send it again")
        })
    }
}

/// Says that an edit is in the store and not in force: neither "it failed" nor "it is done" would be true.
fn stored_only(error: &dyn std::error::Error, what: &str) -> Problem {
    tracing::error!(error = %crate::chain(error), "an edit is stored and does not hold yet");
    Problem::new(Code::Unavailable, format!("the edit is stored and does not hold yet: {what}"))
}
