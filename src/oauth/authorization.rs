//! A person is sent to the authorization server, and comes back with a code.

use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope, basic::BasicClient};

use super::error::{OAuthError, Refusal, clean};
use super::metadata::AuthorizationServer;
use super::registration::Client;
use super::scope::OFFLINE;
use crate::egress::{EgressError, Reach};
use crate::vault::SecretText;

/// Bytes of chance in a state.
const STATE_BYTES: u32 = 32;

/// What a person is asked to agree to.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Who asks.
    pub server: &'a AuthorizationServer,
    /// Who the gateway is there.
    pub client: &'a Client,
    /// Where the person comes back to: of the configuration, never of a request.
    pub redirect_uri: &'a str,
    /// The server's name, byte for byte as it was published.
    pub resource: Option<&'a str>,
    /// None: the server's default.
    pub scopes: &'a [String],
}

/// A login that was begun. All of it has to be kept before anybody is sent to `url`.
#[derive(Debug)]
pub struct Begun {
    /// What a person opens.
    pub url: String,
    /// What comes back with the callback; good for one.
    pub state: SecretText,
    /// What goes to the token endpoint with the code.
    pub verifier: SecretText,
}

/// Makes the address that a person opens.
///
/// # Errors
/// The server can't be trusted with a code, or a person can't be sent there.
pub fn begin(wanted: &Wanted<'_>) -> Result<Begun, OAuthError> {
    let server = wanted.server;
    let has_s256 = server
        .code_challenge_methods_supported
        .as_ref()
        .is_some_and(|methods| methods.iter().any(|method| method == "S256"));
    if !has_s256 {
        return Err(OAuthError::NoPkce { issuer: clean(&server.issuer, 300) });
    }
    // A browser opens it: https, or this machine, whoever gave the address.
    let bad = |cause| OAuthError::AuthorizeUrl { cause };
    let url = Reach::Nearby.parse(&server.authorization_endpoint.url).map_err(bad)?;
    let redirect = RedirectUrl::new(wanted.redirect_uri.to_owned());
    let redirect = redirect.map_err(|error| bad(EgressError::Url { reason: error.to_string() }))?;
    let client = BasicClient::new(ClientId::new(wanted.client.id.clone()))
        .set_auth_uri(AuthUrl::from_url(url))
        .set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = client
        .authorize_url(|| CsrfToken::new_random_len(STATE_BYTES))
        .set_pkce_challenge(challenge)
        .add_scopes(wanted.scopes.iter().cloned().map(Scope::new));
    if let Some(resource) = wanted.resource {
        request = request.add_extra_param("resource", resource);
    }
    // Without being asked anew, a person agrees to nothing that lasts (OpenID Connect, section 11).
    if wanted.scopes.iter().any(|scope| scope == OFFLINE) {
        request = request.add_extra_param("prompt", "consent");
    }
    let (url, state) = request.url();
    Ok(Begun {
        url: url.into(),
        state: SecretText::new(state.into_secret()),
        verifier: SecretText::new(verifier.into_secret()),
    })
}

/// What comes back.
#[derive(Debug, Default)]
pub struct Callback {
    /// To exchange.
    pub code: Option<SecretText>,
    /// Who says so (RFC 9207).
    pub iss: Option<String>,
    /// Instead of a code.
    pub error: Option<String>,
    /// The server's words.
    pub error_description: Option<String>,
}

/// Takes the code of a callback whose state was found. Whose callback it is comes before all else, so that the words of
/// a stranger are never shown.
///
/// # Errors
/// There is no code, or it is not that server's.
pub fn accept(server: &AuthorizationServer, callback: Callback) -> Result<SecretText, OAuthError> {
    let is_promised = server.authorization_response_iss_parameter_supported;
    let is_right = callback.iss.as_ref().map_or(!is_promised, |iss| *iss == server.issuer);
    if server.is_issuer_known && !is_right {
        let found = callback.iss.map_or_else(|| "nobody".to_owned(), |iss| format!("{:?}", clean(&iss, 300)));
        return Err(OAuthError::WrongIssuer { expected: clean(&server.issuer, 300), found });
    }
    if let Some(error) = callback.error {
        return Err(OAuthError::Denied(Refusal::new(&error, callback.error_description.as_deref())));
    }
    callback.code.filter(|code| !code.is_empty()).ok_or(OAuthError::NoCode)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use sha2::Digest as _;

    use super::*;
    use crate::oauth::metadata::Address;
    use crate::oauth::registration;

    fn server(authorize: &str) -> AuthorizationServer {
        let at = |url: &str| Address { url: url.to_owned(), reach: Reach::Public };
        AuthorizationServer::typed(at(authorize), at("https://as.example/token"))
    }

    fn begun(server: &AuthorizationServer, resource: Option<&str>, scopes: &[String]) -> Result<Begun, OAuthError> {
        let client = registration::typed(server, "me", None).unwrap();
        let redirect_uri = "https://gate.example/oauth/callback";
        begin(&Wanted { server, client: &client, redirect_uri, resource, scopes })
    }

    #[test]
    fn the_address_holds_all_that_the_server_has_to_check() {
        let server = server("https://as.example/authorize?tenant=7");
        let begun = begun(&server, Some("https://MCP.example/x/"), &["a".into(), "b:c".into()]).unwrap();
        let url = url::Url::parse(&begun.url).unwrap();
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("tenant", "7"),
            ("response_type", "code"),
            ("client_id", "me"),
            ("redirect_uri", "https://gate.example/oauth/callback"),
            ("resource", "https://MCP.example/x/"),
            ("scope", "a b:c"),
            ("code_challenge_method", "S256"),
            ("state", begun.state.expose()),
        ] {
            assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
        }
        let digest = sha2::Sha256::digest(begun.verifier.expose());
        assert_eq!(query["code_challenge"], base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest));
        assert!(begun.state.expose().len() >= 43);
    }

    #[test]
    fn what_is_to_last_is_asked_for_anew() {
        let begun = begun(&server("https://as.example/authorize"), None, &["offline_access".into()]).unwrap();
        assert!(begun.url.contains("prompt=consent"), "{}", begun.url);
    }

    #[test]
    fn what_there_is_not_is_left_out_and_no_two_logins_are_alike() {
        let server = server("https://as.example/authorize");
        let (one, other) = (begun(&server, None, &[]).unwrap(), begun(&server, None, &[]).unwrap());
        assert!(!one.url.contains("scope=") && !one.url.contains("resource=") && !one.url.contains("prompt="));
        assert!(!one.state.is(other.state.expose()) && !one.verifier.is(other.verifier.expose()));
    }

    #[test]
    fn without_pkce_nobody_is_sent_anywhere() {
        let mut server = server("https://as.example/authorize");
        for methods in [None, Some(vec![]), Some(vec!["plain".to_owned()])] {
            server.code_challenge_methods_supported = methods;
            assert_eq!(begun(&server, None, &[]).unwrap_err().kind(), "pkce_missing");
        }
    }

    #[test]
    fn people_are_sent_to_web_pages_only() {
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "http://as.example/authorize",
            "https://user@as.example/authorize",
            "https://as.example/a\r\nb",
            "https://as.example/$(id) x",
            "$(id)",
        ] {
            assert_eq!(begun(&server(url), None, &[]).unwrap_err().kind(), "authorize_url_bad", "{url}");
        }
        assert!(begun(&server("http://127.0.0.1:9/authorize"), None, &[]).is_ok());
    }

    #[test]
    fn whose_callback_it_is_comes_before_what_it_says() {
        let mut server = server("https://as.example/authorize");
        server.is_issuer_known = true;
        let of = |server: &AuthorizationServer, iss: Option<&str>, code: Option<&str>, error: Option<&str>| {
            let callback = Callback {
                code: code.map(SecretText::new),
                iss: iss.map(str::to_owned),
                error: error.map(str::to_owned),
                error_description: Some("sly words".into()),
            };
            match accept(server, callback) {
                Ok(code) => code.expose().to_owned(),
                Err(error) => {
                    assert!(error.kind() != "wrong_issuer" || !error.to_string().contains("sly"), "{error}");
                    error.kind().to_owned()
                }
            }
        };
        let right = Some("https://as.example");
        for (is_promised, iss, expected) in [
            (true, right, "c"),
            (true, None, "wrong_issuer"),
            (true, Some("https://as.example/"), "wrong_issuer"),
            (false, right, "c"),
            (false, None, "c"),
            (false, Some("https://evil.example"), "wrong_issuer"),
            (false, Some("HTTPS://as.example"), "wrong_issuer"),
            (false, Some(""), "wrong_issuer"),
        ] {
            server.authorization_response_iss_parameter_supported = is_promised;
            assert_eq!(of(&server, iss, Some("c"), None), expected, "{is_promised} {iss:?}");
            let expected = if expected == "c" { "denied" } else { expected };
            assert_eq!(of(&server, iss, Some("c"), Some("access_denied")), expected, "{is_promised} {iss:?}");
        }
        server.is_issuer_known = false;
        assert_eq!(of(&server, Some("https://evil.example"), Some("c"), None), "c", "a guess refuses nobody");
        assert_eq!(of(&server, None, None, None), "no_code");
        assert_eq!(of(&server, None, Some(""), None), "no_code");
    }
}
