//! Where a remote server is, and what it is shown as a login.

use std::fmt;
use std::time::Duration;

use crate::upstream::definition::OAuthSettings;
use crate::vault::SecretText;

/// One remote server as an operator wants it reached.
#[derive(Debug)]
pub struct Endpoint {
    /// The base URL as it was typed: http or https, without user, password and fragment.
    pub url: String,
    /// An answer, or a sign of progress, is waited for this long.
    pub timeout: Duration,
    /// What goes with each request.
    pub credential: Credential,
}

/// What a remote server is shown as a login. Agents never see it.
pub enum Credential {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`; `None` when the operator cleared it.
    Bearer(Option<SecretText>),
    /// Headers by name.
    Headers(Vec<(String, SecretText)>),
    /// A token that a login brings; nothing until then.
    OAuth(OAuthLogin),
}

/// What an operator typed for a login by OAuth.
pub struct OAuthLogin {
    /// All but the secret.
    pub settings: OAuthSettings,
    /// Of the client that the settings name.
    pub client_secret: Option<SecretText>,
}

impl Credential {
    /// The values that must not be seen anywhere.
    pub(in crate::upstream) fn secrets(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Bearer(token) => token.iter().map(|token| token.expose().to_owned()).collect(),
            Self::Headers(headers) => headers.iter().map(|(_, value)| value.expose().to_owned()).collect(),
            Self::OAuth(login) => login.client_secret.iter().map(|secret| secret.expose().to_owned()).collect(),
        }
    }
}

/// Names what there is and keeps the values to itself.
impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Bearer(token) => formatter.debug_struct("Bearer").field("is_set", &token.is_some()).finish(),
            Self::Headers(headers) => formatter.debug_list().entries(headers.iter().map(|(name, _)| name)).finish(),
            Self::OAuth(login) => formatter.debug_tuple("OAuth").field(&login.settings).finish(),
        }
    }
}
