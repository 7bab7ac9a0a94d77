//! How the gateway is to log in to a remote server, as operators write it, and what becomes of what is stored.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::draft::SecretWrite;
use super::oauth::OAuthWrite;
use crate::http::body::Edit;
use crate::http::problem::FieldError;
use crate::store::credential::Summary;
use crate::upstream::{
    AuthType, BEARER_TOKEN_FIELD, Credential, HEADER_FIELD, OAUTH_CLIENT_SECRET_FIELD, OAuthSettings,
};
use crate::vault::SecretText;

/// Most headers of one server.
const HEADERS_MAX: usize = 32;

/// How the gateway logs in to a remote server.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerAuthWrite)]
pub struct AuthWrite {
    /// `none`, `bearer`, `headers` or `oauth`. Left out, it follows from what is given: a token, headers, something about
    /// OAuth, or none of these; then a server that wants OAuth is seen to want it when it is asked.
    #[schema(example = "bearer")]
    r#type: Option<String>,
    /// Goes out as `Authorization: Bearer …`. `null` or an empty text removes it, and the type with it
    /// unless one is given.
    #[serde(default)]
    #[schema(schema_with = token_schema)]
    bearer_token: Edit<SecretWrite>,
    /// Headers that go with each request.
    #[serde(default)]
    #[schema(schema_with = headers_schema)]
    headers: Edit<BTreeMap<String, Option<SecretWrite>>>,
    /// What is said beforehand of a login by OAuth. `null` removes what was said.
    #[serde(default)]
    #[schema(value_type = Option<OAuthWrite>)]
    oauth: Edit<OAuthWrite>,
}

fn token_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "Goes out as `Authorization: Bearer …`. `null` or an empty text removes it, and the type with it unless one is \
             given.",
        ))
        .write_only(true)
        .build()
}

fn headers_schema() -> Object {
    let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(value))
        .description(Some(
            "Headers that go with each request: a value sets one, `null` removes it. `null` for all removes all.",
        ))
        .write_only(true)
        .build()
}

impl AuthWrite {
    /// Whether it says no more than what holds for a server without a login.
    pub(super) fn is_none(&self) -> bool {
        let is_none = |word: &String| word == AuthType::None.word();
        self.r#type.as_ref().is_none_or(is_none)
            && !matches!(self.bearer_token, Edit::Set(_))
            && !matches!(self.headers, Edit::Set(_))
            && !matches!(self.oauth, Edit::Set(_))
    }
}

/// What is stored of a login.
pub(super) struct Stored {
    pub(super) auth_type: AuthType,
    /// The secrets that are kept, by field.
    pub(super) fields: Vec<String>,
    /// The origin that the base URL leaves for another one: then nothing of it is kept.
    pub(super) moved_from: Option<String>,
    /// What was said beforehand of a login by OAuth.
    pub(super) settings: OAuthSettings,
    /// The login by OAuth that is held.
    pub(super) login: Option<Summary>,
}

impl Stored {
    /// Of a server that is not registered yet.
    pub(super) fn nothing() -> Self {
        Self {
            auth_type: AuthType::None,
            fields: Vec::new(),
            moved_from: None,
            settings: OAuthSettings::default(),
            login: None,
        }
    }
}

/// What an edit makes of a login.
pub(super) struct Login {
    /// The type, and the secrets that are given anew.
    pub(super) credential: Credential,
    /// The secrets that stay, by field.
    pub(super) kept: Vec<String>,
    /// The secrets that go, by field.
    pub(super) removed: Vec<String>,
    /// Whether the login by OAuth that is held goes.
    pub(super) forgets_oauth: bool,
}

/// Applies what is written to what is stored.
///
/// # Errors
/// Every member that can't be used.
pub(super) fn edit(auth: Edit<AuthWrite>, stored: Stored) -> Result<Login, Vec<FieldError>> {
    let write = match auth {
        Edit::Keep => AuthWrite::default(),
        Edit::Clear => AuthWrite { r#type: Some(AuthType::None.word().into()), ..AuthWrite::default() },
        Edit::Set(write) => write,
    };
    let (auth_type, mut members) = members(write, stored.auth_type)?;
    let oauth = match auth_type {
        AuthType::OAuth => Some(members.oauth.take().unwrap_or_default().apply(&stored).map_err(|error| vec![error])?),
        AuthType::None | AuthType::Bearer | AuthType::Headers => None,
    };
    let keeps_client_secret = oauth.as_ref().is_some_and(|edited| edited.keeps_secret);
    let is_kept = |field: &String| match auth_type {
        AuthType::OAuth => field == OAUTH_CLIENT_SECRET_FIELD && keeps_client_secret,
        _ => stored.moved_from.is_none() && members.keep(auth_type, field),
    };
    let (kept, removed): (Vec<_>, _) = stored.fields.into_iter().partition(is_kept);
    if kept.len() + members.headers.len() > HEADERS_MAX {
        let detail = format!("a server has at most {HEADERS_MAX} headers");
        return Err(vec![FieldError { pointer: "/auth/headers".into(), detail }]);
    }
    let forgets_oauth = oauth.as_ref().is_none_or(|edited| edited.forgets_login);
    let credential = match (auth_type, oauth) {
        (AuthType::Bearer, _) => Credential::Bearer(members.token.into_value()),
        (AuthType::Headers, _) => Credential::Headers(members.headers),
        (AuthType::OAuth, Some(edited)) => Credential::OAuth(edited.login),
        (AuthType::None | AuthType::OAuth, _) => Credential::None,
    };
    Ok(Login { credential, kept, removed, forgets_oauth })
}

/// The members, read.
struct Members {
    token: Edit<SecretText>,
    headers: Vec<(String, SecretText)>,
    cleared: Vec<String>,
    are_all_cleared: bool,
    oauth: Option<OAuthWrite>,
}

impl Members {
    /// Whether what is stored in `field` stays.
    fn keep(&self, auth_type: AuthType, field: &str) -> bool {
        match auth_type {
            AuthType::None | AuthType::OAuth => false,
            AuthType::Bearer => field == BEARER_TOKEN_FIELD && matches!(self.token, Edit::Keep),
            AuthType::Headers => field.strip_prefix(HEADER_FIELD).is_some_and(|name| {
                let mut touched = self.headers.iter().map(|(given, _)| given).chain(&self.cleared);
                !self.are_all_cleared && !touched.any(|other| other.eq_ignore_ascii_case(name))
            }),
        }
    }

    /// What is given that a server of that type does not have.
    fn strangers(&self, auth_type: AuthType) -> Vec<FieldError> {
        let word = auth_type.word();
        let mut errors = Vec::new();
        if matches!(self.token, Edit::Set(_)) && auth_type != AuthType::Bearer {
            let detail = format!("a server whose type of auth is {word} has no token; leave it out");
            errors.push(FieldError { pointer: "/auth/bearer_token".into(), detail });
        }
        if !self.headers.is_empty() && auth_type != AuthType::Headers {
            let detail = format!(
                "a server whose type of auth is {word} has no headers; leave them out, or give Authorization as one of \
                 them"
            );
            errors.push(FieldError { pointer: "/auth/headers".into(), detail });
        }
        if self.oauth.as_ref().is_some_and(|oauth| !oauth.is_blank()) && auth_type != AuthType::OAuth {
            let detail = format!("a server whose type of auth is {word} does not log in by OAuth; leave this out");
            errors.push(FieldError { pointer: "/auth/oauth".into(), detail });
        }
        errors
    }
}

fn members(write: AuthWrite, stored: AuthType) -> Result<(AuthType, Members), Vec<FieldError>> {
    let token = match write.bearer_token {
        Edit::Keep => Edit::Keep,
        Edit::Clear => Edit::Clear,
        Edit::Set(text) => Some(text.into_text()).filter(|text| !text.is_empty()).map_or(Edit::Clear, Edit::Set),
    };
    let are_all_cleared = matches!(write.headers, Edit::Clear);
    let (mut headers, mut cleared) = (Vec::new(), Vec::new());
    if let Edit::Set(edits) = write.headers {
        for (name, value) in edits {
            match value {
                Some(value) => headers.push((name, value.into_text())),
                None => cleared.push(name),
            }
        }
    }
    let speaks_of_oauth = matches!(write.oauth, Edit::Set(_));
    let auth_type = match write.r#type.as_deref() {
        Some(word) => AuthType::parse(word).ok_or_else(|| vec![unknown_type()])?,
        None if matches!(token, Edit::Set(_)) => AuthType::Bearer,
        None if !headers.is_empty() => AuthType::Headers,
        None if speaks_of_oauth => AuthType::OAuth,
        // Whoever leaves the field blank has no token: the server is asked what it wants instead.
        None if stored == AuthType::Bearer && matches!(token, Edit::Clear) => AuthType::None,
        None => stored,
    };
    let oauth = match write.oauth {
        Edit::Keep => None,
        Edit::Clear => Some(OAuthWrite::clear()),
        Edit::Set(write) => Some(write),
    };
    let members = Members { token, headers, cleared, are_all_cleared, oauth };
    let errors = members.strangers(auth_type);
    if errors.is_empty() { Ok((auth_type, members)) } else { Err(errors) }
}

fn unknown_type() -> FieldError {
    let detail = "one of none, bearer, headers and oauth is expected";
    FieldError { pointer: "/auth/type".into(), detail: detail.into() }
}
