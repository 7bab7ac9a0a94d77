//! Where the secrets of a server are kept, and what is missing when they are not there.

use super::definition::{AuthType, Because, OAuthSettings};
use super::status::Credentials;
use crate::egress;
use crate::store::server::Row;
use crate::vault::Slot;

/// The field of a variable, before its name.
pub const ENV_FIELD: &str = "env:";
/// The field of a header, before its name.
pub const HEADER_FIELD: &str = "header:";
/// The field of a bearer token.
pub const BEARER_TOKEN_FIELD: &str = "bearer_token";
/// The field of a client secret that an operator typed.
pub const OAUTH_CLIENT_SECRET_FIELD: &str = "oauth_client_secret";

/// The slot that the vault seals a field for. A credential's names the origin that it is for, too: beside another base
/// URL, however that came about, it does not open. A client secret is for the origin of the token URL as well, when one
/// was typed.
#[must_use]
pub fn slot<'a>(server_id: &'a str, field: &'a str, base_url: Option<&str>, token_url: Option<&str>) -> Slot<'a> {
    let slot = Slot::of_server(server_id, field);
    let Some(origin) = base_url.and_then(egress::origin) else { return slot };
    match token_url.filter(|_| field == OAUTH_CLIENT_SECRET_FIELD).and_then(egress::origin) {
        Some(token_origin) => slot.sent_to(origin).sent_to(token_origin),
        None => slot.sent_to(origin),
    }
}

/// Whether two base URLs have scheme, host and port in common, so that what is a login for one may be sent to the other.
#[must_use]
pub fn is_same_origin(one: &str, other: &str) -> bool {
    egress::origin(one).is_some_and(|origin| egress::origin(other) == Some(origin))
}

/// Whether the gateway has what it needs to log in, as far as that can be said without trying.
///
/// `fields` are those that are filled.
#[must_use]
pub fn stored_credentials<'a>(row: &Row, mut fields: impl Iterator<Item = &'a str>) -> Credentials {
    let Some(auth_type) = row.auth_type.as_deref().and_then(AuthType::parse) else { return Credentials::ready() };
    if auth_type == AuthType::OAuth {
        return match OAuthSettings::read(row) {
            Ok(settings) => unconnected(&settings),
            Err(fault) => Credentials::not_taken(fault),
        };
    }
    let has_any = fields.any(|field| field == BEARER_TOKEN_FIELD || field.starts_with(HEADER_FIELD));
    let moved = row.credential_origin.as_deref().and_then(|given_for| {
        let origin = egress::origin(row.base_url.as_deref()?)?;
        (origin != given_for).then(|| (given_for.to_owned(), origin))
    });
    credentials(auth_type, has_any, moved)
}

/// `moved`: the origin that a credential was given for, and that of the base URL now.
pub(super) fn credentials(auth_type: AuthType, has_any: bool, moved: Option<(String, String)>) -> Credentials {
    let what = match auth_type {
        AuthType::None => return Credentials::ready(),
        AuthType::OAuth => return unconnected(&OAuthSettings::default()),
        _ if has_any => return Credentials::ready(),
        AuthType::Bearer => "bearer token",
        AuthType::Headers => "header",
    };
    Credentials::missing(match moved {
        Some((from, to)) => format!(
            "the {what} that was given for {from} was removed when the base URL moved to {to}; give one for the new \
             address"
        ),
        None => format!("no {what} is stored; give one, or set the type of auth to none"),
    })
}

/// Nobody has logged in for the gateway, or what that brought was removed.
pub(super) fn unconnected(settings: &OAuthSettings) -> Credentials {
    let Some(removed) = &settings.removed else {
        return Credentials::unconnected("nobody has logged in to this server yet; connect, and log in there");
    };
    let because = match &removed.because {
        Because::BaseUrl(from) => format!("the base URL moved away from {from}"),
        Because::ClientId => "the client id was changed".into(),
        Because::AuthorizeUrl => "the authorize URL was changed".into(),
        Because::TokenUrl => "the token URL was changed".into(),
    };
    Credentials::unconnected(match (removed.login, removed.client_secret) {
        (true, true) => format!(
            "the login and the client secret were removed when {because}; give the secret that belongs to it now, and \
             connect"
        ),
        (false, true) => {
            format!("the client secret was removed when {because}; give the one that belongs to it now, and connect")
        }
        _ => format!("the login was removed when {because}; connect, and log in anew"),
    })
}
