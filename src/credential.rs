//! What the gateway holds for servers that want OAuth: tokens, and who the gateway is to those who gave them out.
//!
//! Opened texts go out to whoever owns the server, sealed ones to the store. Tokens are renewed here: of all who would use
//! a refresh token, in this process or another, one holds the lease, asks, and commits what came of it before anybody
//! uses it. A refusal never takes anything away: the tokens stay until others take their place or an operator forgets
//! them.
//!
//! Each text is sealed for its field and for the origin that it may be sent to: the access token for that of the server,
//! the refresh token and the client's secret for that of the token endpoint.
//!
//! Never done here: remembering anything, deciding when to refresh, or sending a token to the server.

mod error;
mod held;

use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock;
use crate::oauth::OAuthError;
use crate::oauth::registration::Client;
use crate::oauth::token::{Grant, TokenSet};
use crate::store::credential::{Failure, Refreshed};
use crate::store::{Store, credential};
use crate::vault::{SecretText, Vault};

pub use error::CredentialError;
pub use held::{Held, Login};

/// How long a refresh token is leased: longer than a refresh may take.
const LEASE_MS: i64 = 30_000;
/// First and longest delay before what was renewed is written again.
const COMMIT_DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The handle to what is held. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Credentials {
    store: Store,
    vault: Vault,
}

/// What came of a refresh.
#[derive(Debug)]
pub enum Refresh {
    /// What is held now: other tokens, committed; or, when there was nothing to refresh with, the word that it is over.
    Present(Box<Held>),
    /// Nothing is held any more.
    Gone,
    /// Another gateway is at it; look again then, in milliseconds since 1970.
    Leased {
        /// When it is over at the latest.
        until: i64,
    },
    /// The tokens are as they were. Whether it may be tried again is the error's word:
    /// [`is_over`](Held::is_over) of what is held says the same after it.
    Refused(OAuthError),
}

impl Credentials {
    /// Over that store and vault.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// What is held for a server, opened. `typed_secret` is the secret of a client that the operator registered.
    ///
    /// # Errors
    /// It can't be read or opened.
    pub async fn find(
        &self,
        server_id: &str,
        typed_secret: Option<&SecretText>,
    ) -> Result<Option<Held>, CredentialError> {
        let Some(row) = credential::find(&self.store, server_id).await? else { return Ok(None) };
        Held::open(&self.vault, row, typed_secret).map(Some)
    }

    /// Puts what a login brought in the place of what there was; `None`: the server was edited since the login began, and
    /// nothing is kept.
    ///
    /// # Errors
    /// It can't be sealed or written.
    pub async fn put(&self, login: Login, server_revision: i64) -> Result<Option<Held>, CredentialError> {
        let typed_secret = login.client.secret.clone();
        let row = login.seal(&self.vault)?;
        let Some(row) = credential::put(&self.store, row, server_revision).await? else { return Ok(None) };
        Held::open(&self.vault, row, typed_secret.as_ref()).map(Some)
    }

    /// Renews the tokens, unless somebody else has done so already or is about to.
    ///
    /// Not to be dropped half-way: the authorization server may have given out the next tokens by then, which nobody would
    /// have. Run it on a task of its own.
    ///
    /// # Errors
    /// The store or the vault failed. Whether the refresh token is used up is then unknown.
    pub async fn refresh(&self, held: &Held) -> Result<Refresh, CredentialError> {
        let server_id = held.server_id();
        let typed_secret = held.client.secret.as_ref();
        let now = clock::now_ms();
        let lease = (now, now + LEASE_MS);
        let Some(leased) = credential::lease(&self.store, server_id, held.revision(), lease).await? else {
            return self.refresh_of_another(held).await;
        };
        let leased = Held::open(&self.vault, leased, typed_secret)?;
        let grant = Grant {
            server: &leased.provider,
            client: &leased.client,
            resource: leased.resource(),
            now_ms: clock::now_ms(),
        };
        match grant.refresh(&leased.tokens).await {
            Ok(tokens) => self.renewed(&leased, &tokens).await,
            Err(error) => self.refused(&leased, error).await,
        }
    }

    /// Forgets what is held; says whether there was something.
    ///
    /// # Errors
    /// It can't be removed.
    pub async fn forget(&self, server_id: &str) -> Result<bool, CredentialError> {
        Ok(credential::delete(&self.store, server_id).await?)
    }

    /// The lease was not to be had: what is there instead.
    async fn refresh_of_another(&self, held: &Held) -> Result<Refresh, CredentialError> {
        let Some(found) = self.find(held.server_id(), held.client.secret.as_ref()).await? else {
            return Ok(Refresh::Gone);
        };
        Ok(match found.leased_until() {
            Some(until) if until > clock::now_ms() => Refresh::Leased { until },
            _ => Refresh::Present(Box::new(found)),
        })
    }

    async fn renewed(&self, leased: &Held, tokens: &TokenSet) -> Result<Refresh, CredentialError> {
        let next = Refreshed {
            access: leased.seal_access(&self.vault, &tokens.access)?,
            refresh: tokens.refresh.as_ref().map(|refresh| leased.seal_refresh(&self.vault, refresh)).transpose()?,
            scopes: tokens.scopes.as_ref().and_then(|scopes| serde_json::to_string(scopes).ok()),
            expires_at: tokens.expires_at_ms,
        };
        if !self.commit(leased, next).await? {
            tracing::warn!(server.id = leased.server_id(), "what is held was changed while it was renewed");
        }
        self.refresh_of_another(leased).await
    }

    /// The next tokens are nowhere else: a database that fails is asked again for as long as the lease holds.
    async fn commit(&self, leased: &Held, next: Refreshed) -> Result<bool, CredentialError> {
        let mut backoff = Backoff::new(COMMIT_DELAYS.0, COMMIT_DELAYS.1);
        loop {
            let now = clock::now_ms();
            let written =
                credential::refreshed(&self.store, leased.server_id(), leased.revision(), next.clone(), now).await;
            match written {
                Err(error) if leased.leased_until().is_some_and(|until| now < until) => {
                    tracing::warn!(server.id = leased.server_id(), %error, "renewed tokens can't be written yet");
                    tokio::time::sleep(backoff.fail()).await;
                }
                written => return Ok(written?),
            }
        }
    }

    async fn refused(&self, leased: &Held, error: OAuthError) -> Result<Refresh, CredentialError> {
        let is_client_unknown = error.is_client_unknown() && leased.is_registered_by_us();
        let is_over = error.is_grant_over() || is_client_unknown;
        let failure = Failure { problem: leased.scrub(&error.to_string()), is_over, is_client_unknown };
        credential::failed(&self.store, leased.server_id(), leased.revision(), failure, clock::now_ms()).await?;
        Ok(Refresh::Refused(error))
    }
}

/// Whether a client's secret is kept with the server's definition rather than with its tokens.
fn has_typed_secret(client: &Client) -> bool {
    client.registration == crate::oauth::registration::Registration::Manual
}
