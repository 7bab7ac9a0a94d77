//! One credential: as a row, and opened.

use crate::clock;
use crate::egress;
use crate::oauth::AuthorizationServer;
use crate::oauth::registration::{AuthMethod, Client, Registration};
use crate::oauth::token::TokenSet;
use crate::store::credential::{Row, Sealed};
use crate::vault::{SecretText, Slot, Vault};

use super::{CredentialError, has_typed_secret};

/// A shorter secret would be found in what is none.
const SECRET_BYTES_MIN: usize = 6;

/// What is held for one server, opened.
#[derive(Clone, Debug)]
pub struct Held {
    row: Row,
    /// Who gave the tokens out.
    pub provider: AuthorizationServer,
    /// Who the gateway is there.
    pub client: Client,
    /// What is shown, and what it is renewed with.
    pub tokens: TokenSet,
    /// What was asked for, which may be more than was given.
    pub asked_scopes: Vec<String>,
}

/// What a login brought.
#[derive(Debug)]
pub struct Login {
    /// The server it is for.
    pub server_id: String,
    /// The origin of its base URL.
    pub base_origin: String,
    /// The server's name towards its authorization server, byte for byte.
    pub resource: Option<String>,
    /// Who gave the tokens out.
    pub provider: AuthorizationServer,
    /// Who the gateway is there.
    pub client: Client,
    /// What was given.
    pub tokens: TokenSet,
    /// What was asked for.
    pub asked_scopes: Vec<String>,
    /// Where the person came back to.
    pub redirect_uri: String,
    /// The operator who logged in.
    pub connected_by: String,
}

impl Held {
    /// The server it is for.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.row.server_id
    }

    /// Goes up with each change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.row.revision
    }

    /// The origin that the access token may be sent to.
    #[must_use]
    pub fn base_origin(&self) -> &str {
        &self.row.base_origin
    }

    /// The server's name towards its authorization server, byte for byte.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.row.resource.as_deref()
    }

    /// Where people came back to; a client that registered itself is known with this address alone.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.row.redirect_uri
    }

    /// Whether a person has to log in anew.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.row.ended_at.is_some()
    }

    /// Whether the authorization server knows the client no more.
    #[must_use]
    pub fn is_client_unknown(&self) -> bool {
        self.row.is_client_unknown
    }

    /// Why the last refresh failed.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.row.problem.as_deref()
    }

    /// Until when a gateway, this one or another, may be renewing it, in ms since 1970.
    #[must_use]
    pub fn leased_until(&self) -> Option<i64> {
        self.row.refreshing_until
    }

    /// When the tokens were given, in ms since 1970.
    #[must_use]
    pub fn given_at(&self) -> i64 {
        self.row.updated_at
    }

    /// When the operator logged in, in ms since 1970.
    #[must_use]
    pub fn connected_at(&self) -> i64 {
        self.row.connected_at
    }

    /// Whether there is something to renew it with that may still do.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        !self.is_over() && self.tokens.refresh.is_some()
    }

    /// All that must not be seen.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretText> {
        [Some(&self.tokens.access), self.tokens.refresh.as_ref(), self.client.secret.as_ref()].into_iter().flatten()
    }

    /// The text, without what the other side repeats of the secrets.
    pub(super) fn scrub(&self, text: &str) -> String {
        let long = self.secrets().map(SecretText::expose).filter(|secret| secret.len() >= SECRET_BYTES_MIN);
        long.fold(text.to_owned(), |text, secret| text.replace(secret, "•••"))
    }

    /// Whether the gateway registered itself there, and may do so again.
    #[must_use]
    pub fn is_registered_by_us(&self) -> bool {
        self.client.registration == Registration::Dynamic
    }

    pub(super) fn open(vault: &Vault, row: Row, typed_secret: Option<&SecretText>) -> Result<Self, CredentialError> {
        let malformed = |field| move || CredentialError::Malformed { field };
        let provider: AuthorizationServer = serde_json::from_str(&row.provider).map_err(|_| malformed("provider")())?;
        let registration = Registration::parse(&row.registration).ok_or_else(malformed("registration"))?;
        let auth_method = AuthMethod::parse(&row.auth_method).ok_or_else(malformed("auth_method"))?;
        let scopes = row.scopes.as_deref().map(serde_json::from_str).transpose();
        let scopes = scopes.map_err(|_| malformed("scopes")())?;
        let asked_scopes = serde_json::from_str(&row.asked_scopes).map_err(|_| malformed("asked_scopes")())?;
        let token_origin = token_origin(&provider);
        let open = |field, origin: &str, sealed: &[u8]| vault.open(&slot(&row.server_id, field, origin), sealed);
        let client_secret = match &row.client_secret {
            Some(sealed) => Some(open(Sealed::ClientSecret, &token_origin, sealed)?),
            None if registration == Registration::Manual => typed_secret.cloned(),
            None => None,
        };
        let auth_method = match registration {
            // The secret may have been typed since, or taken back: the client shows what it has now.
            Registration::Manual if client_secret.is_some() == (auth_method == AuthMethod::None) => {
                AuthMethod::choose(&provider, client_secret.is_some()).unwrap_or(auth_method)
            }
            _ => auth_method,
        };
        let refresh = row.refresh.as_ref().map(|sealed| open(Sealed::Refresh, &token_origin, sealed)).transpose()?;
        let tokens = TokenSet {
            access: open(Sealed::Access, &row.base_origin, &row.access)?,
            refresh,
            expires_at_ms: row.expires_at,
            scopes,
        };
        let client = Client {
            issuer: row.issuer.clone(),
            id: row.client_id.clone(),
            secret: client_secret,
            auth_method,
            registration,
            secret_expires_at_ms: row.client_secret_expires_at,
        };
        Ok(Self { row, provider, client, tokens, asked_scopes })
    }

    pub(super) fn seal_access(&self, vault: &Vault, token: &SecretText) -> Result<Vec<u8>, CredentialError> {
        Ok(vault.seal(&slot(self.server_id(), Sealed::Access, self.base_origin()), token)?)
    }

    pub(super) fn seal_refresh(&self, vault: &Vault, token: &SecretText) -> Result<Vec<u8>, CredentialError> {
        Ok(vault.seal(&slot(self.server_id(), Sealed::Refresh, &token_origin(&self.provider)), token)?)
    }
}

impl Login {
    /// As it is kept.
    pub(super) fn seal(self, vault: &Vault) -> Result<Row, CredentialError> {
        let text = |field, value: serde_json::Result<String>| value.map_err(|_| CredentialError::Malformed { field });
        let token_origin = token_origin(&self.provider);
        let seal = |field, origin: &str, secret: &SecretText| vault.seal(&slot(&self.server_id, field, origin), secret);
        let kept_secret = self.client.secret.as_ref().filter(|_| !has_typed_secret(&self.client));
        let client_secret = kept_secret.map(|secret| seal(Sealed::ClientSecret, &token_origin, secret)).transpose()?;
        let refresh =
            self.tokens.refresh.as_ref().map(|refresh| seal(Sealed::Refresh, &token_origin, refresh)).transpose()?;
        let access = seal(Sealed::Access, &self.base_origin, &self.tokens.access)?;
        let scopes = self.tokens.scopes.as_ref().map(|scopes| text("scopes", serde_json::to_string(scopes)));
        let now = clock::now_ms();
        Ok(Row {
            revision: 0,
            issuer: self.client.issuer,
            provider: text("provider", serde_json::to_string(&self.provider))?,
            client_id: self.client.id,
            registration: self.client.registration.word().to_owned(),
            auth_method: self.client.auth_method.as_str().to_owned(),
            client_secret,
            client_secret_expires_at: self.client.secret_expires_at_ms,
            access,
            refresh,
            scopes: scopes.transpose()?,
            expires_at: self.tokens.expires_at_ms,
            refreshing_until: None,
            leased_by: None,
            ended_at: None,
            is_client_unknown: false,
            problem: None,
            asked_scopes: text("asked_scopes", serde_json::to_string(&self.asked_scopes))?,
            redirect_uri: self.redirect_uri,
            connected_by: self.connected_by,
            connected_at: now,
            updated_at: now,
            server_id: self.server_id,
            base_origin: self.base_origin,
            resource: self.resource,
        })
    }
}

/// What a text may be sent to is part of its slot: beside another address it does not open.
fn slot<'a>(server_id: &'a str, field: Sealed, origin: &str) -> Slot<'a> {
    Slot::of_credential(server_id, field).sent_to(origin)
}

fn token_origin(provider: &AuthorizationServer) -> String {
    egress::origin(&provider.token_endpoint.url).unwrap_or_default()
}
