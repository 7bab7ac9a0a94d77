//! What an operator says of a login by OAuth beforehand; all of it may be left to be found out.

use serde::{Deserialize, Serialize};

/// What was typed, and what became of it. The client secret is kept apart, sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OAuthSettings {
    /// Who the gateway is at the authorization server; none: it makes itself known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where a person logs in; none: discovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Where tokens are had; none: discovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// What is asked for, where an empty list asks for nothing by name; none: the default scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Whose client `client_id` is; known since the first login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What an edit took away, to tell why it is missing; over with the next login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// What an edit took away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The tokens that a login had brought.
    pub login: bool,
    /// The client secret that was typed.
    pub client_secret: bool,
    /// Because of what.
    pub because: Because,
}

/// What took a login away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The base URL moved away from that origin.
    BaseUrl(String),
    /// Another client, whose tokens and secret are others.
    ClientId,
    /// People are sent elsewhere.
    AuthorizeUrl,
    /// Tokens are had elsewhere.
    TokenUrl,
}

impl OAuthSettings {
    /// Parses what is stored; nothing when nothing was typed.
    ///
    /// # Errors
    /// Why it can't be read.
    pub fn parse(stored: Option<&str>) -> Result<Self, String> {
        let Some(text) = stored else { return Ok(Self::default()) };
        serde_json::from_str(text).map_err(|error| format!("its OAuth configuration can't be read: {error}"))
    }

    /// What is to be stored; nothing when nothing was typed.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        // Names and texts: it can't fail.
        if *self == Self::default() { None } else { serde_json::to_string(self).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        let settings = OAuthSettings {
            client_id: Some("mine".into()),
            scopes: Some(Vec::new()),
            removed: Some(Removed { login: true, client_secret: false, because: Because::BaseUrl("https://a".into()) }),
            ..OAuthSettings::default()
        };
        let text = settings.to_json().unwrap();
        assert_eq!(OAuthSettings::parse(Some(&text)), Ok(settings));
        assert_eq!(
            (OAuthSettings::default().to_json(), OAuthSettings::parse(None)),
            (None, Ok(OAuthSettings::default()))
        );
        assert!(OAuthSettings::parse(Some("[]{")).is_err());
    }
}
