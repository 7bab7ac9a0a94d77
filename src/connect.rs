//! Logging in at a server that wants OAuth: a person's way there and back.
//!
//! [`Connect::begin`] finds out who gives out the server's tokens, makes the gateway known there, and gives the address
//! that a person opens. All that is needed for the way back is written down before, sealed where it is secret: a *flow*,
//! good for one callback within ten minutes, from whoever began it, for the server as it was. [`Connect::finish`] takes
//! the callback: it judges whose it is before anybody is asked anything, exchanges the code, puts what that brought in the
//! place of what was held, and makes a real handshake. Each way to fail is told at the flow; none of them takes away what
//! was held before.
//!
//! Never done here: refreshing, sending a token to the server, or opening a browser.

mod begin;
mod binding;
mod error;
mod finish;
mod flow;
mod forget;
mod place;
mod probe;
mod provider;
mod scope;

use std::sync::Arc;

use crate::clock;
use crate::credential::Credentials;
use crate::identity::Operators;
use crate::store::oauth_flow::{self, Row};
use crate::store::{Store, StoreError};
use crate::upstream::Registry;
use crate::vault::{Subkey, Vault};

pub use begin::Begun;
pub use binding::{Starter, Tie};
pub use error::{CallbackError, ConnectError, Step};
pub use finish::{Outcome, Returned};
pub use place::Place;

/// How long a person has.
const FLOW_MS: i64 = 10 * 60 * 1000;
/// How long an expired flow can be asked about.
const KEPT_MS: i64 = 60 * 60 * 1000;
/// What follows a callback takes no longer than this.
const FINISH_MS: i64 = 5 * 60 * 1000;

/// The handle to what is needed to log in. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Connect {
    store: Store,
    vault: Vault,
    credentials: Credentials,
    operators: Operators,
    registry: Registry,
    place: Arc<Place>,
    cookies: Arc<Subkey>,
}

/// How a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A person is on the way, or the callback is being worked on.
    Pending,
    /// The server was logged in to, and a handshake was made.
    Succeeded,
    /// It is over without that.
    Failed,
    /// Nobody came back in time.
    Expired,
}

impl Connect {
    /// Over those rooms, for a gateway that is found there.
    #[must_use]
    pub fn new(store: Store, vault: Vault, operators: Operators, registry: Registry, place: Place) -> Self {
        let credentials = Credentials::new(store.clone(), vault.clone());
        let cookies = Arc::new(vault.subkey("connect flow"));
        Self { store, vault, credentials, operators, registry, place: Arc::new(place), cookies }
    }

    /// Where the gateway is found.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How a server's flow is, and why it failed; `None`: there is no such flow, or not any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn look(&self, server_id: &str, flow_id: &str) -> Result<Option<(Progress, Option<String>)>, StoreError> {
        let found = oauth_flow::find(&self.store, flow_id).await?.filter(|row| row.server_id == server_id);
        Ok(found.map(|row| progress(row, clock::now_ms())))
    }
}

fn progress(row: Row, now: i64) -> (Progress, Option<String>) {
    match (row.finished_at, row.used_at) {
        (Some(_), _) if row.problem.is_none() => (Progress::Succeeded, None),
        (Some(_), _) => (Progress::Failed, row.problem),
        (None, Some(used_at)) if used_at + FINISH_MS <= now => {
            let problem = "the gateway was stopped while it took the callback; connect again";
            (Progress::Failed, Some(problem.to_owned()))
        }
        (None, None) if row.expires_at <= now => {
            let problem = "nobody came back from the login within ten minutes; connect again";
            (Progress::Expired, Some(problem.to_owned()))
        }
        (None, _) => (Progress::Pending, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_pending_until_it_is_finished_or_its_time_is_over() {
        let row = |used_at, finished_at, problem: Option<&str>| Row {
            id: "f".into(),
            state_digest: "d".into(),
            server_id: "s".into(),
            server_revision: 1,
            login: "token".into(),
            operator: "ann".into(),
            issuer: "https://as.example".into(),
            resource: None,
            redirect_uri: "https://gate.example/oauth/callback".into(),
            provider: "{}".into(),
            client_id: "me".into(),
            registration: "dynamic".into(),
            auth_method: "none".into(),
            client_secret: None,
            client_secret_expires_at: None,
            verifier: Vec::new(),
            scopes: "[]".into(),
            created_at: 0,
            expires_at: FLOW_MS,
            used_at,
            finished_at,
            problem: problem.map(str::to_owned),
        };
        for (used_at, finished_at, problem, now, expected) in [
            (None, None, None, FLOW_MS - 1, Progress::Pending),
            (None, None, None, FLOW_MS, Progress::Expired),
            (Some(7), None, None, 8, Progress::Pending),
            (Some(7), None, None, 7 + FINISH_MS, Progress::Failed),
            (Some(7), Some(8), None, FLOW_MS * 9, Progress::Succeeded),
            (Some(7), Some(8), Some("no"), 9, Progress::Failed),
        ] {
            let (found, reason) = progress(row(used_at, finished_at, problem), now);
            assert_eq!(found, expected, "{used_at:?} {finished_at:?} {now}");
            assert_eq!(reason.is_some(), matches!(found, Progress::Failed | Progress::Expired));
        }
    }
}
