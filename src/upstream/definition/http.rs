//! A server in HTTP mode as an operator writes it: where it is, and how the gateway logs in.

use std::time::Duration;

use crate::egress::http::header::{HeaderName, HeaderValue};

use super::{BEARER_TOKEN_FIELD, Endpoint, Fault, HEADER_FIELD, OAUTH_CLIENT_SECRET_FIELD, OAuthSettings};
use crate::egress;
use crate::upstream::http::Credential;
use crate::vault::SecretText;

/// How long an answer is waited for when nobody says.
pub const TIMEOUT_SECONDS_DEFAULT: i64 = 30;
/// Longest time that may be set.
const TIMEOUT_SECONDS_MAX: i64 = 3600;
/// Longest token, and longest value of a header; servers rarely take more in all.
pub(super) const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Headers that the gateway sets itself, or that would change how a message is framed.
const RESERVED: [&str; 16] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An address, and the login that goes with each request to it.
#[derive(Debug)]
pub struct HttpDefinition {
    /// As it was typed.
    pub base_url: String,
    /// An answer, or a sign of progress, is waited for this long.
    pub timeout_seconds: i64,
    /// The login.
    pub credential: Credential,
}

/// How the gateway logs in to a remote server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// Not at all.
    None,
    /// By a token in `Authorization`.
    Bearer,
    /// By headers of the operator's choice.
    Headers,
    /// By a token that an authorization server gives out once a person has logged in there.
    OAuth,
}

impl AuthType {
    /// Parses the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::Bearer, Self::Headers, Self::OAuth].into_iter().find(|known| known.word() == word)
    }

    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Headers => "headers",
            Self::OAuth => "oauth",
        }
    }
}

impl HttpDefinition {
    /// How the gateway logs in.
    #[must_use]
    pub fn auth_type(&self) -> AuthType {
        match &self.credential {
            Credential::None => AuthType::None,
            Credential::Bearer(_) => AuthType::Bearer,
            Credential::Headers(_) => AuthType::Headers,
            Credential::OAuth(_) => AuthType::OAuth,
        }
    }

    /// What was typed for a login by OAuth.
    #[must_use]
    pub fn oauth(&self) -> Option<&OAuthSettings> {
        match &self.credential {
            Credential::OAuth(login) => Some(&login.settings),
            _ => None,
        }
    }

    /// What is kept beside the credential: the origin that it is for; none when there is no credential.
    #[must_use]
    pub fn credential_origin(&self) -> Option<String> {
        if self.secrets().is_empty() { None } else { egress::origin(&self.base_url) }
    }

    pub(super) fn secrets(&self) -> Vec<(String, &SecretText)> {
        match &self.credential {
            Credential::None => Vec::new(),
            Credential::Bearer(token) => token.iter().map(|token| (BEARER_TOKEN_FIELD.to_owned(), token)).collect(),
            Credential::Headers(headers) => {
                headers.iter().map(|(name, value)| (format!("{HEADER_FIELD}{name}"), value)).collect()
            }
            Credential::OAuth(login) => {
                login.client_secret.iter().map(|secret| (OAUTH_CLIENT_SECRET_FIELD.to_owned(), secret)).collect()
            }
        }
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Err(reason) = egress::parse(&self.base_url) {
            faults.push(Fault::new("/base_url", reason));
        }
        if !(1..=TIMEOUT_SECONDS_MAX).contains(&self.timeout_seconds) {
            faults.push(Fault::new("/timeout_seconds", format!("1 to {TIMEOUT_SECONDS_MAX} is expected")));
        }
        match &self.credential {
            Credential::None | Credential::Bearer(None) => {}
            Credential::Bearer(Some(token)) => {
                if let Err(reason) = check_token(token.expose()) {
                    faults.push(Fault::new("/auth/bearer_token", reason));
                }
            }
            Credential::Headers(headers) => faults.extend(header_faults(headers)),
            Credential::OAuth(login) => faults.extend(login.faults()),
        }
        faults
    }

    pub(super) fn into_endpoint(self) -> Endpoint {
        Endpoint {
            url: self.base_url,
            timeout: Duration::from_secs(u64::try_from(self.timeout_seconds).unwrap_or_default()),
            credential: self.credential,
        }
    }
}

fn header_faults(headers: &[(String, SecretText)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, (name, value)) in headers.iter().enumerate() {
        let is_repeated = headers.iter().take(at).any(|(other, _)| other.eq_ignore_ascii_case(name));
        let checked = if is_repeated {
            Err("it is given twice; upper and lower case are the same in a header's name".to_owned())
        } else {
            check_header(name, value.expose())
        };
        if let Err(reason) = checked {
            faults.push(Fault::of_member("/auth/headers", name, reason));
        }
    }
    faults
}

/// The reasons never repeat what was written: it may be a secret in the wrong place.
fn check_header(name: &str, value: &str) -> Result<(), String> {
    let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err("it can't be the name of a header: letters, digits and !#$%&'*+-.^_`|~ are expected".into());
    };
    if RESERVED.contains(&known.as_str()) || known.as_str().starts_with("mcp-") {
        return Err("the gateway sets this header itself; leave it out".into());
    }
    if value.is_empty() {
        return Err("the value is empty; give one, or null to remove the header".into());
    }
    check_value(value)
}

fn check_token(token: &str) -> Result<(), String> {
    if token.contains(char::is_whitespace) {
        return Err("a token holds no spaces or line ends; give it alone, without the word Bearer".into());
    }
    check_value(token)
}

fn check_value(value: &str) -> Result<(), String> {
    if value.len() > SECRET_BYTES_MAX {
        return Err(format!("it is longer than {SECRET_BYTES_MAX} bytes"));
    }
    if !value.is_ascii() || HeaderValue::from_str(value).is_err() {
        return Err(
            "it holds what can't stand in a header: line ends, other control characters or what is not ASCII".into()
        );
    }
    if value.trim() != value {
        return Err("it begins or ends with a space, which would be lost on the way".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(credential: Credential) -> HttpDefinition {
        HttpDefinition { base_url: "https://example.com/mcp".into(), timeout_seconds: 30, credential }
    }

    fn pointers(definition: &HttpDefinition) -> Vec<String> {
        definition.faults().into_iter().map(|fault| fault.pointer).collect()
    }

    fn headers(headers: &[(&str, &str)]) -> HttpDefinition {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), SecretText::new(*value)));
        definition(Credential::Headers(headers.collect()))
    }

    #[test]
    fn what_can_be_sent_has_no_faults() {
        for name in ["X-Api-Key", "Authorization", "Cookie", "User-Agent", "x_odd!name"] {
            assert!(pointers(&headers(&[(name, "a b\tc=~")])).is_empty(), "{name}");
        }
        assert!(pointers(&definition(Credential::Bearer(Some(SecretText::new("a.b-c_d~e+f/g=="))))).is_empty());
        assert!(pointers(&definition(Credential::Bearer(None))).is_empty());
    }

    #[test]
    fn headers_of_the_gateway_and_names_that_are_none_are_refused() {
        for name in ["Host", "content-LENGTH", "Accept", "MCP-Protocol-Version", "mcp-x", "Last-Event-ID", "Upgrade"] {
            assert_eq!(pointers(&headers(&[(name, "x")])), [format!("/auth/headers/{name}")]);
        }
        assert_eq!(pointers(&headers(&[("", "x"), ("a b", "x"), ("é", "x"), ("a:", "x")])).len(), 4);
        assert_eq!(pointers(&headers(&[("a/b~", "x")])), ["/auth/headers/a~1b~0"]);
        assert_eq!(pointers(&headers(&[("X-A", "1"), ("x-a", "2")])), ["/auth/headers/x-a"]);
    }

    #[test]
    fn what_would_break_out_of_a_header_is_refused_and_not_repeated() {
        for value in ["", "s3cret\r\nHost: x", "s3cret\0", "s3cr\u{e9}t", " s3cret", "s3cret\u{7f}"] {
            let definition = headers(&[("X-A", value)]);
            assert_eq!(pointers(&definition), ["/auth/headers/X-A"], "{value:?}");
            assert!(!format!("{:?}", definition.faults()).contains("s3cr"), "{value:?}");
        }
        for token in ["Bearer s3cret", "s3cret\n", "s3cret\0", &"s3cret".repeat(4000)] {
            let definition = definition(Credential::Bearer(Some(SecretText::new(token))));
            assert_eq!(pointers(&definition), ["/auth/bearer_token"], "{token:?}");
            assert!(!format!("{:?}", definition.faults()).contains("s3cr"), "{token:?}");
        }
    }

    #[test]
    fn a_timeout_is_a_second_to_an_hour() {
        for (seconds, count) in [(0, 1), (1, 0), (3600, 0), (3601, 1), (-1, 1)] {
            let definition = HttpDefinition { timeout_seconds: seconds, ..definition(Credential::None) };
            assert_eq!(definition.faults().len(), count, "{seconds}");
        }
    }
}
