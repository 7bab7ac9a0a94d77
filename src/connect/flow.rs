//! What is written down of a flow before anybody is sent anywhere, and read when they are back.

use sha2::{Digest as _, Sha256};

use super::FLOW_MS;
use super::binding::Starter;
use crate::credential::CredentialError;
use crate::oauth::AuthorizationServer;
use crate::oauth::authorization::Begun;
use crate::oauth::registration::{AuthMethod, Client, Registration};
use crate::store;
use crate::store::oauth_flow::{Row, Sealed};
use crate::vault::{SecretText, Slot, Vault, hex};

/// What there is of a flow when it begins.
pub(super) struct Draft<'a> {
    pub(super) server: &'a store::server::Row,
    pub(super) starter: &'a Starter,
    pub(super) provider: &'a AuthorizationServer,
    pub(super) resource: Option<&'a str>,
    pub(super) client: &'a Client,
    pub(super) scopes: &'a [String],
    pub(super) redirect_uri: &'a str,
    pub(super) now: i64,
}

impl Draft<'_> {
    pub(super) fn seal(&self, vault: &Vault, begun: &Begun) -> Result<Row, CredentialError> {
        let id = store::new_id();
        let text = |field, value: serde_json::Result<String>| value.map_err(|_| CredentialError::Malformed { field });
        let secret = self.client.secret.as_ref();
        let client_secret =
            secret.map(|secret| vault.seal(&Slot::of_flow(&id, Sealed::ClientSecret), secret)).transpose()?;
        Ok(Row {
            state_digest: digest(&begun.state),
            server_id: self.server.id.clone(),
            server_revision: self.server.revision,
            login: self.starter.tie.to_string(),
            operator: self.starter.operator.clone(),
            issuer: self.provider.issuer.clone(),
            resource: self.resource.map(str::to_owned),
            redirect_uri: self.redirect_uri.to_owned(),
            provider: text("provider", serde_json::to_string(self.provider))?,
            client_id: self.client.id.clone(),
            registration: self.client.registration.word().to_owned(),
            auth_method: self.client.auth_method.as_str().to_owned(),
            client_secret,
            client_secret_expires_at: self.client.secret_expires_at_ms,
            verifier: vault.seal(&Slot::of_flow(&id, Sealed::Verifier), &begun.verifier)?,
            scopes: text("scopes", serde_json::to_string(self.scopes))?,
            created_at: self.now,
            expires_at: self.now + FLOW_MS,
            used_at: None,
            finished_at: None,
            problem: None,
            id,
        })
    }
}

/// A flow whose callback came, opened.
pub(super) struct Flow {
    pub(super) provider: AuthorizationServer,
    pub(super) client: Client,
    pub(super) verifier: SecretText,
    pub(super) scopes: Vec<String>,
}

impl Flow {
    pub(super) fn open(vault: &Vault, row: &Row) -> Result<Self, CredentialError> {
        let malformed = |field| move || CredentialError::Malformed { field };
        let provider: AuthorizationServer = serde_json::from_str(&row.provider).map_err(|_| malformed("provider")())?;
        let sealed = row.client_secret.as_ref();
        let secret =
            sealed.map(|sealed| vault.open(&Slot::of_flow(&row.id, Sealed::ClientSecret), sealed)).transpose()?;
        let client = Client {
            issuer: row.issuer.clone(),
            id: row.client_id.clone(),
            secret,
            auth_method: AuthMethod::parse(&row.auth_method).ok_or_else(malformed("auth_method"))?,
            registration: Registration::parse(&row.registration).ok_or_else(malformed("registration"))?,
            secret_expires_at_ms: row.client_secret_expires_at,
        };
        Ok(Self {
            provider,
            client,
            verifier: vault.open(&Slot::of_flow(&row.id, Sealed::Verifier), &row.verifier)?,
            scopes: serde_json::from_str(&row.scopes).map_err(|_| malformed("scopes")())?,
        })
    }
}

/// A state as it is kept. It is 256 random bits, which nobody can try out.
pub(super) fn digest(state: &SecretText) -> String {
    hex(&Sha256::digest(state.expose().as_bytes()))
}
