//! Where the secrets of a server are kept, and what is missing when they are not there.

use std::borrow::Cow;

use super::definition::AuthType;
use super::status::Credentials;
use crate::egress;
use crate::store::server::Row;

/// The field of a variable, before its name.
pub const ENV_FIELD: &str = "env:";
/// The field of a header, before its name.
pub const HEADER_FIELD: &str = "header:";
/// The field of a bearer token.
pub const BEARER_TOKEN_FIELD: &str = "bearer_token";

/// The name that the vault seals a field under. A credential's names the origin that it is for, too: beside another base
/// URL, however that came about, it does not open.
#[must_use]
pub fn slot_name<'a>(field: &'a str, base_url: Option<&str>) -> Cow<'a, str> {
    match base_url.and_then(egress::origin) {
        Some(origin) => Cow::Owned(format!("{field} {origin}")),
        None => Cow::Borrowed(field),
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
