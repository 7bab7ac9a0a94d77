//! The token endpoint: a code, or a refresh token, for the next tokens.
//!
//! What the library reads strictly is mended before, where servers are known to differ: times written as text, empty
//! members, errors with status 200. What can't be mended is an error, and never a token.

mod adapter;
mod revocation;

use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, TokenResponse as _, TokenUrl,
};

use super::error::{OAuthError, Refusal, clean};
use super::metadata::AuthorizationServer;
use super::registration::{AuthMethod, Client};
use crate::egress::{self, EgressError};
use crate::vault::SecretText;
use adapter::{AdapterError, Endpoint};

/// What the gateway holds for one server.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// Goes with each request to the server.
    pub access: SecretText,
    /// Gets the next ones; not every server gives one.
    pub refresh: Option<SecretText>,
    /// In milliseconds; `None`: the server did not say.
    pub expires_at_ms: Option<i64>,
    /// What was given; `None`: what was asked for.
    pub scopes: Option<Vec<String>>,
}

impl TokenSet {
    /// The tokens after a refresh. A server that gives no new refresh token means the old one to go on, and one that names
    /// no scopes the old ones.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        Self {
            refresh: self.refresh.or_else(|| before.refresh.clone()),
            scopes: self.scopes.or_else(|| before.scopes.clone()),
            ..self
        }
    }
}

/// Who asks the token endpoint, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// Who is asked.
    pub server: &'a AuthorizationServer,
    /// Who asks. It has to be that server's.
    pub client: &'a Client,
    /// The MCP server's name, byte for byte.
    pub resource: Option<&'a str>,
    /// The clock, read before the request.
    pub now_ms: i64,
}

type Prepared = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl Grant<'_> {
    /// A code for tokens.
    ///
    /// # Errors
    /// There are none. The code may be used up.
    pub async fn exchange(
        &self,
        code: &SecretText,
        verifier: &SecretText,
        redirect_uri: &str,
    ) -> Result<TokenSet, OAuthError> {
        let redirect = RedirectUrl::new(redirect_uri.to_owned());
        let redirect = redirect.map_err(|error| self.unusable(error.to_string()))?;
        let client = self.prepared()?.set_redirect_uri(redirect);
        let proof = PkceCodeVerifier::new(verifier.expose().to_owned());
        let mut request =
            client.exchange_code(AuthorizationCode::new(code.expose().to_owned())).set_pkce_verifier(proof);
        if let Some(resource) = self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let endpoint = Endpoint::new(self.server.token_endpoint.reach);
        let send = |request| endpoint.send(request);
        let answered = request.request_async(&send).await;
        self.read(answered, endpoint.status(), &[code, verifier])
    }

    /// A refresh token for the next tokens. Scopes are left out: naming them would narrow them.
    ///
    /// # Errors
    /// There are none. [`is_grant_over`](OAuthError::is_grant_over) says whether the refresh token is used up for sure.
    pub async fn refresh(&self, before: &TokenSet) -> Result<TokenSet, OAuthError> {
        let Some(refresh_token) = &before.refresh else {
            return Err(OAuthError::Refused(Refusal::new("invalid_grant", Some("there is no refresh token"))));
        };
        let client = self.prepared()?;
        let refresh = RefreshToken::new(refresh_token.expose().to_owned());
        let mut request = client.exchange_refresh_token(&refresh);
        if let Some(resource) = self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let endpoint = Endpoint::new(self.server.token_endpoint.reach);
        let send = |request| endpoint.send(request);
        let answered = request.request_async(&send).await;
        self.read(answered, endpoint.status(), &[&before.access, refresh_token]).map(|next| next.after(before))
    }

    fn prepared(&self) -> Result<Prepared, OAuthError> {
        // Nothing of a client ever goes to another server.
        if self.client.issuer != self.server.issuer {
            let (held, issuer) = (self.client.issuer.clone(), self.server.issuer.clone());
            return Err(OAuthError::ClientOfAnother { held, issuer });
        }
        let url = TokenUrl::new(self.server.token_endpoint.url.clone());
        let url = url.map_err(|error| self.unusable(error.to_string()))?;
        let auth_type =
            if self.client.auth_method == AuthMethod::Basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        let client = BasicClient::new(ClientId::new(self.client.id.clone())).set_auth_type(auth_type);
        let secret = self.client.secret.as_ref().filter(|_| self.client.auth_method != AuthMethod::None);
        let client = match secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        };
        Ok(client.set_token_uri(url))
    }

    fn unusable(&self, reason: String) -> OAuthError {
        let _ = self;
        OAuthError::Egress { what: "the token endpoint", cause: EgressError::Url { reason } }
    }

    /// What the endpoint repeats of what it was shown is not told.
    fn read(&self, answered: Answered, status: u16, shown: &[&SecretText]) -> Result<TokenSet, OAuthError> {
        let secret = self.client.secret.as_ref();
        let shown: Vec<_> = shown.iter().copied().chain(secret).map(SecretText::expose).collect();
        let tokens = answered.map_err(|error| failed(error, status, &shown))?;
        if *tokens.token_type() != oauth2::basic::BasicTokenType::Bearer {
            return Err(OAuthError::TokenType { found: type_word(tokens.token_type().as_ref()) });
        }
        if tokens.access_token().secret().is_empty() {
            return Err(OAuthError::Answer { problem: "the access token in it is empty".into(), status });
        }
        // RFC 6749, appendix A.12. It would take the place of one that can be sent.
        if !tokens.access_token().secret().bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            let problem = "the access token in it holds characters that can't be sent".into();
            return Err(OAuthError::Answer { problem, status });
        }
        let lifetime_ms = tokens.expires_in().map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        Ok(TokenSet {
            access: SecretText::new(tokens.access_token().secret().clone()),
            refresh: tokens.refresh_token().map(|refresh| SecretText::new(refresh.secret().clone())),
            expires_at_ms: lifetime_ms.map(|lifetime| self.now_ms.saturating_add(lifetime)),
            // Scopes are shown to operators; one that repeats the token is none.
            scopes: tokens.scopes().map(|scopes| {
                let is_token = |scope: &String| scope.contains(tokens.access_token().secret().as_str());
                scopes.iter().map(|scope| scope.to_string()).filter(|scope| !is_token(scope)).collect()
            }),
        })
    }
}

/// The type as it may be told: a word. What is none may be a token in the wrong place.
fn type_word(found: &str) -> String {
    let is_word = found.len() <= 20 && found.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte));
    if is_word { found.to_owned() } else { "something else".to_owned() }
}

type Answered = Result<BasicTokenResponse, RequestTokenError<AdapterError, BasicErrorResponse>>;

fn failed(error: RequestTokenError<AdapterError, BasicErrorResponse>, status: u16, secrets: &[&str]) -> OAuthError {
    match error {
        // Before it is shortened: a part of a secret would not be found any more.
        RequestTokenError::ServerResponse(said) => {
            let description = said.error_description().map(|text| hidden(text, secrets));
            OAuthError::Refused(Refusal::new(&hidden(said.error().as_ref(), secrets), description.as_deref()))
        }
        // The path may repeat what was sent.
        RequestTokenError::Request(AdapterError::Egress(EgressError::Redirected { origin, status, to })) => {
            let to = egress::origin(&to).unwrap_or_else(|| "another address".into());
            OAuthError::Egress { what: "the token endpoint", cause: EgressError::Redirected { origin, status, to } }
        }
        RequestTokenError::Request(AdapterError::Egress(cause)) => {
            OAuthError::Egress { what: "the token endpoint", cause }
        }
        RequestTokenError::Request(AdapterError::Crossing(problem)) => {
            OAuthError::Answer { problem: problem.into(), status }
        }
        // The body is not quoted: it may hold tokens.
        RequestTokenError::Parse(error, _) if status == 200 => {
            let path = clean(&error.path().to_string(), 60);
            OAuthError::Answer { problem: format!("it is no token answer (at {path:?})"), status }
        }
        RequestTokenError::Parse(..) => {
            OAuthError::Answer { problem: format!("it is HTTP status {status} without a reason"), status }
        }
        RequestTokenError::Other(_) => {
            OAuthError::Answer { problem: format!("it is HTTP status {status}, and empty or no JSON"), status }
        }
    }
}

/// A shorter secret would be found in what is none.
const SECRET_BYTES_MIN: usize = 6;

fn hidden(text: &str, secrets: &[&str]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN);
    long.fold(text.to_owned(), |text, secret| text.replace(secret, "•••"))
}
