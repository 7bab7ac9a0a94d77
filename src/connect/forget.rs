//! Letting go of what is held for a server.

use super::Connect;
use super::error::ConnectError;
use crate::clock;
use crate::credential::{CredentialError, Held};
use crate::oauth::token::Grant;
use crate::store;

impl Connect {
    /// Forgets what is held for the server of that name, and tells its authorization server so where that can be told. What
    /// could not be told is in the log; nothing is kept for it. `false`: there was nothing.
    ///
    /// # Errors
    /// There is no such server, or the store failed.
    pub async fn forget(&self, name: &str, operator: &str) -> Result<bool, ConnectError> {
        let row = store::server::find(&self.store, name).await?.ok_or(ConnectError::NoServer)?;
        let held = match self.held(&row).await {
            Ok(held) => held,
            Err(ConnectError::Inside(CredentialError::Store(error))) => return Err(error.into()),
            // What can't be opened can't be shown to anybody either.
            Err(error) => {
                tracing::warn!(error = %crate::chain(&error), server.name = name, "what is held can't be revoked");
                None
            }
        };
        if !self.credentials.forget(&row.id).await? {
            return Ok(false);
        }
        tracing::info!(server.name = name, operator, "a login was forgotten");
        if let Some(upstream) = self.registry.directory().find(name) {
            upstream.reload_credential().await;
        }
        if let Some(held) = held {
            revoke(name, &held).await;
        }
        Ok(true)
    }

    async fn held(&self, row: &store::server::Row) -> Result<Option<Held>, ConnectError> {
        let settings = crate::upstream::OAuthSettings::read(row);
        let settings = settings.map_err(|reason| ConnectError::Settings { reason })?;
        let client_secret = self.client_secret(row, &settings).await?;
        Ok(self.credentials.find(&row.id, client_secret.as_ref()).await?)
    }
}

async fn revoke(name: &str, held: &Held) {
    let grant =
        Grant { server: &held.provider, client: &held.client, resource: held.resource(), now_ms: clock::now_ms() };
    match grant.revoke(&held.tokens).await {
        Ok(true) => tracing::info!(server.name = name, "the tokens were revoked"),
        Ok(false) => {
            tracing::info!(
                server.name = name,
                "the authorization server revokes nothing; the tokens end by themselves"
            );
        }
        Err(error) => tracing::warn!(
            server.name = name,
            %error,
            "the tokens could not be revoked and may be good until they expire; end the login at the provider"
        ),
    }
}
