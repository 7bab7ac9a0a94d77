//! The way there.

use super::binding::{Starter, Tie, cookie_name, cookie_value};
use super::error::{ConnectError, Step};
use super::flow::Draft;
use super::probe::{Heard, probe};
use super::{Connect, KEPT_MS, provider, scope};
use crate::clock;
use crate::credential::{CredentialError, Held};
use crate::egress;
use crate::oauth::authorization::{self, Wanted};
use crate::oauth::registration::{self, Client, Means, Registration};
use crate::oauth::{AuthorizationServer, Challenge, Discovery, OAuthError, Subject};
use crate::store::{self, oauth_flow, secret};
use crate::upstream::{AuthType, OAUTH_CLIENT_SECRET_FIELD, OAuthSettings, slot};
use crate::vault::SecretText;

/// A flow that was begun.
#[derive(Debug)]
pub struct Begun {
    /// What one asks by how it is.
    pub flow_id: String,
    /// What a person opens: https, or this machine.
    pub authorize_url: String,
    /// In milliseconds since 1970.
    pub expires_at: i64,
    /// Name and value of the cookie that the browser has to bring back; none when no browser began it.
    pub cookie: Option<(String, String)>,
}

/// The server that is to be logged in to, as it is stored.
struct Target {
    row: store::server::Row,
    base_url: String,
    /// Whether it is known to want OAuth.
    is_oauth: bool,
    settings: OAuthSettings,
    client_secret: Option<SecretText>,
    held: Option<Held>,
}

impl Connect {
    /// Begins a flow for the server of that name. Who gives out its tokens is found out each time.
    ///
    /// # Errors
    /// There is nothing to log in to, or no way there.
    pub async fn begin(&self, name: &str, starter: Starter) -> Result<Begun, ConnectError> {
        let now = clock::now_ms();
        oauth_flow::delete_expired(&self.store, now - KEPT_MS).await?;
        let redirect_uri = self.place.redirect_uri()?;
        let target = self.target(name).await?;
        let discovery = |cause| ConnectError::Failed { step: Step::Discovery, cause };
        let (found, challenge) = self.discover(&target).await?;
        let scopes = scope::wanted(&target.settings, target.held.as_ref(), challenge.as_ref(), &found)?;
        let client = self.client(&target, &found.server, (&redirect_uri, &scopes)).await;
        let client = client.map_err(|cause| ConnectError::Failed { step: Step::Registration, cause })?;

        let resource = found.resource.as_ref().map(|metadata| metadata.resource.as_str());
        let wanted =
            Wanted { server: &found.server, client: &client, redirect_uri: &redirect_uri, resource, scopes: &scopes };
        let begun = authorization::begin(&wanted).map_err(discovery)?;
        let draft = Draft {
            server: &target.row,
            starter: &starter,
            provider: &found.server,
            resource,
            client: &client,
            scopes: &scopes,
            redirect_uri: &redirect_uri,
            now,
        };
        let row = draft.seal(&self.vault, &begun)?;
        oauth_flow::insert(&self.store, row.clone()).await?;
        tracing::info!(server.name = name, oauth.issuer = %row.issuer, operator = %row.operator, "a login was begun");
        let cookie = match &starter.tie {
            Tie::Browser(login) => Some((cookie_name(&row.id), cookie_value(&self.cookies, &row.id, login))),
            Tie::Token | Tie::Login(_) => None,
        };
        Ok(Begun { flow_id: row.id, authorize_url: begun.url, expires_at: row.expires_at, cookie })
    }

    /// Who gives out the server's tokens, and how it asks for a login: as it last did; or, where that leads nowhere, as it
    /// does when it is asked for a handshake without one.
    async fn discover(&self, target: &Target) -> Result<(Discovery, Option<Challenge>), ConnectError> {
        let failed = |cause| ConnectError::Failed { step: Step::Discovery, cause };
        let subject = Subject::new(&target.base_url).map_err(failed)?;
        let before = target.held.as_ref().map(|held| held.provider.issuer.as_str());
        let find = async |challenge: Option<&Challenge>| {
            provider::find(&subject, challenge, before, &target.settings).await.map_err(failed)
        };
        let running = self.registry.directory().find(&target.row.name);
        let running = running.filter(|upstream| *upstream.spec.id == *target.row.id);
        let known = match running.and_then(|upstream| upstream.challenge()) {
            Some(known) if known.resource_metadata.is_some() => match find(Some(&known)).await {
                Ok(found) => return Ok((found, Some(known))),
                Err(error) => {
                    tracing::info!(server.name = %target.row.name, %error, "what the server said before is asked anew");
                    Some(Challenge { resource_metadata: None, ..known })
                }
            },
            known => known,
        };
        let challenge = self.challenge(target, known).await?;
        Ok((find(challenge.as_ref()).await?, challenge))
    }

    /// How the server asks for a login now; what it wants beside is known from before.
    async fn challenge(&self, target: &Target, known: Option<Challenge>) -> Result<Option<Challenge>, ConnectError> {
        match probe(&target.base_url, None).await {
            Ok(Heard::Asked(asked)) => Ok(merged(known, asked)),
            _ if known.is_some() => Ok(known),
            Ok(Heard::Unasked { .. }) if target.is_oauth => Ok(None),
            Ok(Heard::Unasked { status }) => Err(ConnectError::NotAsked { status }),
            Err(cause) => {
                let cause = OAuthError::Egress { what: "the server", cause };
                Err(ConnectError::Failed { step: Step::Discovery, cause })
            }
        }
    }

    async fn target(&self, name: &str) -> Result<Target, ConnectError> {
        let row = store::server::find(&self.store, name).await?.ok_or(ConnectError::NoServer)?;
        let base_url = row.base_url.clone().ok_or(ConnectError::NotRemote)?;
        if !row.enabled {
            return Err(ConnectError::Disabled);
        }
        let auth_type = row.auth_type.clone().unwrap_or_else(|| AuthType::None.word().into());
        let is_oauth = match AuthType::parse(&auth_type) {
            Some(AuthType::OAuth) => true,
            Some(AuthType::None) => false,
            _ => return Err(ConnectError::OtherLogin { auth_type }),
        };
        let settings = OAuthSettings::read(&row);
        let settings = settings.map_err(|reason| ConnectError::Settings { reason })?;
        let client_secret = self.client_secret(&row, &settings).await?;
        let held = match self.credentials.find(&row.id, client_secret.as_ref()).await {
            Ok(held) => held.filter(|held| egress::origin(&base_url).as_deref() == Some(held.base_origin())),
            Err(CredentialError::Store(error)) => return Err(error.into()),
            // A new login takes its place.
            Err(error) => {
                tracing::warn!(error = %crate::chain(&error), server.name = name, "what is held is passed over");
                None
            }
        };
        Ok(Target { row, base_url, is_oauth, settings, client_secret, held })
    }

    pub(super) async fn client_secret(
        &self,
        row: &store::server::Row,
        settings: &OAuthSettings,
    ) -> Result<Option<SecretText>, ConnectError> {
        let secrets = secret::load_all(&self.store, &row.id).await?;
        let Some(found) = secrets.into_iter().find(|secret| secret.field == OAUTH_CLIENT_SECRET_FIELD) else {
            return Ok(None);
        };
        let slot = slot(&row.id, OAUTH_CLIENT_SECRET_FIELD, row.base_url.as_deref(), settings.token_url.as_deref());
        Ok(Some(self.vault.open(&slot, &found.sealed)?))
    }

    async fn client(
        &self,
        target: &Target,
        server: &AuthorizationServer,
        (redirect_uri, scopes): (&str, &[String]),
    ) -> Result<Client, OAuthError> {
        let metadata_url = self.place.metadata_url();
        let held = match &target.settings.client_id {
            Some(id) => Some(typed_client(target, server, id)?),
            None => target
                .held
                .as_ref()
                .filter(|held| is_usable(held, redirect_uri, scopes))
                .map(|held| held.client.clone()),
        };
        let means = Means { held, metadata_url: Some(&metadata_url), redirect_uri, scopes, now_ms: clock::now_ms() };
        registration::client(server, means).await
    }
}

/// A 403 says which scopes are missing, and often only a 401 who gives them out.
fn merged(known: Option<Challenge>, asked: Option<Challenge>) -> Option<Challenge> {
    match (known, asked) {
        (Some(known), Some(asked)) => Some(Challenge { scope: known.scope.or(asked.scope), ..asked }),
        (known, asked) => asked.or(known),
    }
}

/// A client that was typed belongs to whom it was first shown to, whoever is found now; unless all of where it goes was
/// typed with it.
fn typed_client(target: &Target, server: &AuthorizationServer, id: &str) -> Result<Client, OAuthError> {
    let mut client = registration::typed(server, id, target.client_secret.clone())?;
    let settings = &target.settings;
    let is_all_typed = settings.authorize_url.is_some() && settings.token_url.is_some();
    if let Some(issuer) = settings.issuer.as_ref().filter(|_| !is_all_typed) {
        client.issuer.clone_from(issuer);
    }
    Ok(client)
}

/// One that registered itself and is still known. It registered for the address that people came back to and the scopes
/// that were asked for, and may have no others.
fn is_usable(held: &Held, redirect_uri: &str, scopes: &[String]) -> bool {
    held.client.registration == Registration::Dynamic
        && !held.is_client_unknown()
        && held.redirect_uri() == redirect_uri
        && scopes.iter().all(|scope| held.asked_scopes.contains(scope))
}
