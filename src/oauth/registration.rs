//! How the gateway is known to an authorization server.
//!
//! An operator may have registered it there. Else its client id is the address of its metadata document, where that is
//! read; else it registers itself; else an operator has to. A client belongs to one issuer and is never shown to
//! another; only the address of a document may go to all.

use serde_json::{Map, Value, json};

use super::document::{ANSWER_BYTES_MAX, WITHIN};
use super::error::{OAuthError, Refusal, clean};
use super::metadata::{Address, AuthorizationServer};
use super::metadata_document::{CLIENT_NAME, is_client_id, json_headers};
use crate::egress::http::Method;
use crate::egress::{Exchange, exchange};
use crate::vault::SecretText;

/// How a client shows at the token endpoint who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Id and secret in the `Authorization` header.
    Basic,
    /// Id and secret in the body.
    Post,
    /// The id alone: the client has no secret.
    None,
}

impl AuthMethod {
    /// As metadata and registrations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::None => "none",
        }
    }

    /// None for the methods that are not known here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Basic, Self::Post, Self::None].into_iter().find(|method| method.as_str() == text)
    }

    /// What a client uses at that server.
    ///
    /// # Errors
    /// The server wants something else.
    pub fn choose(server: &AuthorizationServer, has_secret: bool) -> Result<Self, OAuthError> {
        let can = if has_secret { &[Self::Basic, Self::Post][..] } else { &[Self::None] };
        let Some(offered) = &server.token_endpoint_auth_methods_supported else {
            // RFC 8414: who says nothing means Basic.
            return Ok(if has_secret { Self::Basic } else { Self::None });
        };
        let chosen = can.iter().copied().find(|method| offered.iter().any(|offered| offered == method.as_str()));
        chosen.ok_or_else(|| OAuthError::AuthMethod {
            issuer: server.issuer.clone(),
            offered: clean(&offered.join(", "), 200),
            can: if has_secret { "show a secret" } else { "show no secret, as it has none" },
            needs: if has_secret { "without" } else { "with" },
        })
    }
}

/// How a client came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// An operator typed its id.
    Manual,
    /// Its id is the address of the gateway's metadata document.
    MetadataDocument,
    /// It registered itself (RFC 7591).
    Dynamic,
}

impl Registration {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::MetadataDocument => "metadata_document",
            Self::Dynamic => "dynamic",
        }
    }

    /// Parses the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Manual, Self::MetadataDocument, Self::Dynamic].into_iter().find(|known| known.word() == word)
    }
}

/// What the gateway is to one authorization server.
#[derive(Clone, Debug)]
pub struct Client {
    /// Whose client it is.
    pub issuer: String,
    /// Its name there.
    pub id: String,
    /// None for a public client.
    pub secret: Option<SecretText>,
    /// How it is shown.
    pub auth_method: AuthMethod,
    /// How it came to be.
    pub registration: Registration,
    /// When the secret ends, in milliseconds; `None`: never.
    pub secret_expires_at_ms: Option<i64>,
}

/// What there is to make the gateway known by.
#[derive(Debug)]
pub struct Means<'a> {
    /// The client of before: an operator's, or one that registered itself.
    pub held: Option<Client>,
    /// The address of the gateway's metadata document.
    pub metadata_url: Option<&'a str>,
    /// Where people come back to.
    pub redirect_uri: &'a str,
    /// Of the registration.
    pub scopes: &'a [String],
    /// The clock.
    pub now_ms: i64,
}

/// A client that an operator typed. What it was typed for is not known before the first connect: `issuer` is then that
/// of the server just found.
///
/// # Errors
/// The server wants to be shown something else.
pub fn typed(server: &AuthorizationServer, id: &str, secret: Option<SecretText>) -> Result<Client, OAuthError> {
    let secret = secret.filter(|secret| !secret.is_empty());
    let auth_method = AuthMethod::choose(server, secret.is_some())?;
    let (issuer, id) = (server.issuer.clone(), id.to_owned());
    Ok(Client { issuer, id, secret, auth_method, registration: Registration::Manual, secret_expires_at_ms: None })
}

/// The client for that server: the one of before, the document, or a new registration, in this order.
///
/// # Errors
/// An operator has to register the gateway, or the server refuses it.
pub async fn client(server: &AuthorizationServer, means: Means<'_>) -> Result<Client, OAuthError> {
    if let Some(held) = means.held.as_ref().filter(|held| held.registration != Registration::MetadataDocument) {
        let is_over = held.secret_expires_at_ms.is_some_and(|at| at <= means.now_ms);
        match held.registration {
            Registration::Manual if held.issuer == server.issuer => return Ok(held.clone()),
            Registration::Manual => {
                let (held, issuer) = (held.issuer.clone(), server.issuer.clone());
                return Err(OAuthError::ClientOfAnother { held, issuer });
            }
            _ if held.issuer == server.issuer && !is_over => return Ok(held.clone()),
            _ => {}
        }
    }
    if let Some(id) = means.metadata_url.filter(|url| server.client_id_metadata_document_supported && is_client_id(url))
    {
        return Ok(Client {
            issuer: server.issuer.clone(),
            id: id.to_owned(),
            secret: None,
            auth_method: AuthMethod::None,
            registration: Registration::MetadataDocument,
            secret_expires_at_ms: None,
        });
    }
    register(server, &means).await
}

/// `native` for a callback on this machine, `web` for any other.
pub(super) fn application_type(redirect_uri: &str) -> &'static str {
    let is_native = url::Url::parse(redirect_uri).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    });
    if is_native { "native" } else { "web" }
}

/// RFC 7591. Scopes are of use where a client may ask for no others; who keeps those of its resources apart from its own, and
/// so refuses them, is asked once more without.
async fn register(server: &AuthorizationServer, means: &Means<'_>) -> Result<Client, OAuthError> {
    let Some(endpoint) = &server.registration_endpoint else {
        let (issuer, redirect_uri) = (server.issuer.clone(), means.redirect_uri.to_owned());
        return Err(OAuthError::ClientNeeded { issuer, redirect_uri });
    };
    match register_for(server, endpoint, means.redirect_uri, means.scopes).await {
        Err(OAuthError::RegistrationRefused { refusal, .. })
            if !means.scopes.is_empty()
                && matches!(refusal.error.as_str(), "invalid_client_metadata" | "invalid_scope") =>
        {
            register_for(server, endpoint, means.redirect_uri, &[]).await
        }
        registered => registered,
    }
}

async fn register_for(
    server: &AuthorizationServer,
    endpoint: &Address,
    redirect_uri: &str,
    scopes: &[String],
) -> Result<Client, OAuthError> {
    let wanted = AuthMethod::choose(server, true).or_else(|_| AuthMethod::choose(server, false))?;
    let asked = Exchange {
        reach: endpoint.reach,
        method: Method::POST,
        url: &endpoint.url,
        headers: json_headers(),
        body: Some(request(redirect_uri, wanted, scopes).to_string()),
        bytes_max: ANSWER_BYTES_MAX,
        within: WITHIN,
    };
    let what = "the registration endpoint";
    let reply = exchange(asked).await.map_err(|cause| OAuthError::Egress { what, cause })?;
    let document = match serde_json::from_str(&reply.text) {
        Ok(Value::Object(document)) => document,
        _ => Map::new(),
    };
    if !matches!(reply.status, 200..=299) {
        // An origin of 2025-03-26 that publishes nothing may have no such endpoint at all.
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        return Err(OAuthError::RegistrationRefused {
            issuer: server.issuer.clone(),
            status: reply.status,
            refusal: Refusal::new(text("error").unwrap_or("no reason given"), text("error_description")),
            redirect_uri: redirect_uri.to_owned(),
        });
    }
    read(&document, server, wanted)
        .map_err(|problem| OAuthError::Registration { issuer: server.issuer.clone(), problem })
}

fn request(redirect_uri: &str, wanted: AuthMethod, scopes: &[String]) -> Value {
    let mut request = json!({
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": wanted.as_str(),
        "application_type": application_type(redirect_uri),
    });
    if let (false, Some(request)) = (scopes.is_empty(), request.as_object_mut()) {
        request.insert("scope".into(), scopes.join(" ").into());
    }
    request
}

fn read(document: &Map<String, Value>, server: &AuthorizationServer, wanted: AuthMethod) -> Result<Client, String> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("client_id").ok_or("it holds no client_id")?.to_owned();
    let secret = text("client_secret").map(SecretText::new);
    let auth_method = match (text("token_endpoint_auth_method"), &secret) {
        // What the server made of it counts, not what was asked for.
        (Some(named), _) => {
            AuthMethod::parse(named).ok_or_else(|| format!("it wants {:?}, which is not known", clean(named, 60)))?
        }
        (None, None) => AuthMethod::None,
        (None, Some(_)) if wanted == AuthMethod::None => AuthMethod::Basic,
        (None, Some(_)) => wanted,
    };
    if auth_method != AuthMethod::None && secret.is_none() {
        return Err("it wants a secret and gives out none".into());
    }
    let secret = secret.filter(|_| auth_method != AuthMethod::None);
    let expires = document.get("client_secret_expires_at").and_then(Value::as_i64).filter(|at| *at > 0);
    let secret_expires_at_ms = expires.filter(|_| secret.is_some()).map(|at| at.saturating_mul(1000));
    let issuer = server.issuer.clone();
    Ok(Client { issuer, id, secret, auth_method, registration: Registration::Dynamic, secret_expires_at_ms })
}

#[cfg(test)]
mod tests;
