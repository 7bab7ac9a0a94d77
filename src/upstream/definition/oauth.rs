//! What an operator says of a login by OAuth beforehand; all of it may be left to be found out.

use serde::{Deserialize, Serialize};

use super::Fault;
use super::http::SECRET_BYTES_MAX;
use crate::egress::{EgressError, Reach};
use crate::store::server::Row;
use crate::upstream::http::OAuthLogin;

/// Longest client id.
const CLIENT_ID_BYTES_MAX: usize = 2048;
/// Most scopes of one server, and the longest.
const SCOPES_MAX: usize = 100;
const SCOPE_BYTES_MAX: usize = 256;

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
    /// Whose client `client_id` is; known since the first login, and in a column of its own.
    #[serde(skip)]
    pub issuer: Option<String>,
    /// What an edit took away, to tell why it is missing; over with the next login, and in a column of its own.
    #[serde(skip)]
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
    /// Reads what is stored of it in a row.
    ///
    /// # Errors
    /// Why it can't be read.
    pub fn read(row: &Row) -> Result<Self, String> {
        let unreadable = |error| format!("its OAuth configuration can't be read: {error}");
        let settings: Option<Self> = row.oauth.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        let removed = row.oauth_removed.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Self { issuer: row.oauth_issuer.clone(), removed, ..settings.unwrap_or_default() })
    }

    /// Writes it to a row; nothing of what nobody said.
    pub fn write(&self, row: &mut Row) {
        row.oauth = self.to_json();
        row.oauth_issuer.clone_from(&self.issuer);
        // Words: it can't fail.
        row.oauth_removed = self.removed.as_ref().and_then(|removed| serde_json::to_string(removed).ok());
    }

    /// What was typed, as it is stored; none when nothing was.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let typed = Self { issuer: None, removed: None, ..self.clone() };
        // Names and texts: it can't fail.
        if typed == Self::default() { None } else { serde_json::to_string(&typed).ok() }
    }
}

impl OAuthLogin {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let OAuthSettings { client_id, authorize_url, token_url, scopes, .. } = &self.settings;
        if let Some(client_id) = client_id
            && let Err(reason) = check_printable(client_id, CLIENT_ID_BYTES_MAX)
        {
            faults.push(Fault::new("/auth/oauth/client_id", reason));
        }
        match &self.client_secret {
            Some(_) if client_id.is_none() => {
                let detail = "a client secret belongs to a client id; give that, too, or leave the secret out";
                faults.push(Fault::new("/auth/oauth/client_secret", detail));
            }
            Some(secret) => {
                if let Err(reason) = check_printable(secret.expose(), SECRET_BYTES_MAX) {
                    faults.push(Fault::new("/auth/oauth/client_secret", reason));
                }
            }
            None => {}
        }
        for (pointer, url) in [("/auth/oauth/authorize_url", authorize_url), ("/auth/oauth/token_url", token_url)] {
            if let Some(reason) = url.as_deref().and_then(|url| check_url(url).err()) {
                faults.push(Fault::new(pointer, reason));
            }
        }
        faults.extend(scope_faults(scopes.as_deref().unwrap_or_default()));
        faults
    }
}

/// People, codes and secrets are sent there: https, or this machine, although an operator chose it.
fn check_url(url: &str) -> Result<(), String> {
    match Reach::Nearby.parse(url) {
        Ok(_) => Ok(()),
        Err(EgressError::Url { reason }) => Err(reason),
        Err(EgressError::Insecure { .. }) => {
            Err("https is expected, or an address of this machine: secrets are sent there".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn scope_faults(scopes: &[String]) -> Vec<Fault> {
    if scopes.len() > SCOPES_MAX {
        return vec![Fault::new("/auth/oauth/scopes", format!("a server has at most {SCOPES_MAX} scopes"))];
    }
    let mut faults = Vec::new();
    for (at, scope) in scopes.iter().enumerate() {
        let is_token = scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let detail = if scope.is_empty() || !is_token {
            "a scope is one word of ASCII letters, digits and signs other than \" and \\; give each by itself".into()
        } else if scope.len() > SCOPE_BYTES_MAX {
            format!("it is longer than {SCOPE_BYTES_MAX} bytes")
        } else if scopes.iter().take(at).any(|other| other == scope) {
            "it is given twice".into()
        } else {
            continue;
        };
        faults.push(Fault::new(&format!("/auth/oauth/scopes/{at}"), detail));
    }
    faults
}

/// What RFC 6749 lets a client id or secret hold. The reason never repeats it.
fn check_printable(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!("it is longer than {bytes_max} bytes"));
    }
    if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Err("it holds line ends, other control characters or what is not ASCII".into());
    }
    if text.trim() != text {
        return Err("it begins or ends with a space, which is rarely meant".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
