//! What servers publish of themselves: a protected resource (RFC 9728) and an authorization server (RFC 8414).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::egress::{EgressError, Reach};

/// What is taken of one list.
const NAMES_MAX: usize = 200;

/// An address, and how far it may lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// As it was supplied or typed.
    pub url: String,
    /// By whose choice.
    pub reach: Reach,
}

impl Address {
    /// # Errors
    /// Why it would not be asked.
    pub fn new(url: &str, reach: Reach) -> Result<Self, EgressError> {
        reach.parse(url)?;
        Ok(Self { url: url.to_owned(), reach })
    }
}

/// What an MCP server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceMetadata {
    /// Its name towards the authorization server, byte for byte.
    pub resource: String,
    /// The issuers that give out its tokens; at least one.
    pub authorization_servers: Vec<String>,
    /// All its scopes, when it says so.
    pub scopes_supported: Option<Vec<String>>,
}

impl ResourceMetadata {
    /// Which issuer to ask: the one that was asked before, as long as the server names it; else the first.
    #[must_use]
    pub fn issuer(&self, before: Option<&str>) -> Option<&str> {
        let named = self.authorization_servers.iter();
        let known = named.clone().find(|issuer| before == Some(issuer.as_str()));
        known.or_else(|| named.clone().next()).map(String::as_str)
    }

    /// `None`: there is nothing that could be used in it.
    pub(super) fn parse(document: &Map<String, Value>) -> Option<Self> {
        let resource = document.get("resource")?.as_str()?.to_owned();
        let authorization_servers = names(document, "authorization_servers").unwrap_or_default();
        Some(Self { resource, authorization_servers, scopes_supported: names(document, "scopes_supported") })
    }
}

/// Where an authorization server is asked, and what it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServer {
    /// Its name, byte for byte. What belongs to it (clients, tokens) is never used with another.
    pub issuer: String,
    /// Whether that is what it calls itself. Of one that publishes nothing it is a guess, which nothing that it says may be
    /// compared with.
    #[serde(default = "yes")]
    pub is_issuer_known: bool,
    /// Where a person is sent.
    pub authorization_endpoint: Address,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Address,
    /// Where clients register themselves.
    pub registration_endpoint: Option<Address>,
    /// Where it is told that tokens are not used any more.
    #[serde(default)]
    pub revocation_endpoint: Option<Address>,
    /// `None` when it does not say.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// `None` when it does not say.
    pub scopes_supported: Option<Vec<String>>,
    /// `None` when it does not say.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether a client's id may be the address of its metadata document.
    pub client_id_metadata_document_supported: bool,
    /// Whether it promises to name itself in each callback (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
}

impl AuthorizationServer {
    /// One whose addresses an operator typed, of whom nothing else is known. Its issuer is taken to be the origin of its
    /// token endpoint.
    #[must_use]
    pub fn typed(authorization_endpoint: Address, token_endpoint: Address) -> Self {
        let issuer = crate::egress::origin(&token_endpoint.url).unwrap_or_default();
        Self {
            issuer,
            is_issuer_known: false,
            authorization_endpoint,
            token_endpoint,
            registration_endpoint: None,
            revocation_endpoint: None,
            // Who types addresses answers for what is behind them; S256 is used all the same.
            code_challenge_methods_supported: Some(vec!["S256".into()]),
            scopes_supported: None,
            token_endpoint_auth_methods_supported: None,
            client_id_metadata_document_supported: false,
            authorization_response_iss_parameter_supported: false,
        }
    }

    /// One of the revision 2025-03-26 that publishes nothing: its addresses stand at the MCP server's own origin.
    pub(super) fn at_origin(origin: &str, reach: Reach) -> Result<Self, EgressError> {
        let at = |path: &str| Address::new(&format!("{origin}{path}"), reach);
        let registration_endpoint = Some(at("/register")?);
        Ok(Self { issuer: origin.to_owned(), registration_endpoint, ..Self::typed(at("/authorize")?, at("/token")?) })
    }

    /// # Errors
    /// The member that can't be used, and why.
    pub(super) fn parse(document: &Map<String, Value>, reach: Reach) -> Result<Self, (&'static str, String)> {
        let endpoint = |name: &'static str| match document.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(url)) => Address::new(url, reach).map(Some).map_err(|error| (name, error.to_string())),
            Some(_) => Err((name, "it is no text".to_owned())),
        };
        let needed = |name| endpoint(name)?.ok_or_else(|| (name, "it is missing".to_owned()));
        let is_true = |name: &str| document.get(name).and_then(Value::as_bool).unwrap_or_default();
        Ok(Self {
            issuer: document.get("issuer").and_then(Value::as_str).unwrap_or_default().to_owned(),
            is_issuer_known: true,
            authorization_endpoint: needed("authorization_endpoint")?,
            token_endpoint: needed("token_endpoint")?,
            registration_endpoint: endpoint("registration_endpoint")?,
            // Nothing depends on it.
            revocation_endpoint: endpoint("revocation_endpoint").unwrap_or_default(),
            code_challenge_methods_supported: names(document, "code_challenge_methods_supported"),
            scopes_supported: names(document, "scopes_supported"),
            token_endpoint_auth_methods_supported: names(document, "token_endpoint_auth_methods_supported"),
            client_id_metadata_document_supported: is_true("client_id_metadata_document_supported"),
            authorization_response_iss_parameter_supported: is_true("authorization_response_iss_parameter_supported"),
        })
    }
}

fn yes() -> bool {
    true
}

fn names(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let list = document.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).take(NAMES_MAX).map(str::to_owned).collect())
}
