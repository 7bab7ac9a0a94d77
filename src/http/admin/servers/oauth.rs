//! A login by OAuth, as operators configure it and as they see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::auth::Stored;
use super::draft::SecretWrite;
use crate::http::body::Edit;
use crate::http::problem::{FieldError, Problem};
use crate::http::time::Time;
use crate::store;
use crate::store::credential::Summary;
use crate::upstream::{Because, OAUTH_CLIENT_SECRET_FIELD, OAuthLogin, OAuthSettings, Removed, is_same_origin};
use crate::vault::SecretText;

/// What is said beforehand of a login by OAuth. All of it may be left out: the gateway then finds out where people log in
/// and makes itself known there.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerOAuthWrite)]
pub struct OAuthWrite {
    /// The client that was registered with the provider; `null` or an empty text: none was.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    client_id: Edit<String>,
    /// An empty text keeps the stored one, `null` removes it.
    #[serde(default)]
    #[schema(schema_with = client_secret_schema)]
    client_secret: Edit<SecretWrite>,
    /// Where people log in; `null` or an empty text: it is discovered.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    authorize_url: Edit<String>,
    /// Where tokens are had; `null` or an empty text: it is discovered.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    token_url: Edit<String>,
    /// Whether to ask for what the server and its provider say; `false` wants `scopes`.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    use_default_scopes: Edit<bool>,
    /// What to ask for instead; an empty list asks for nothing by name.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Edit<Vec<String>>,
}

fn client_secret_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Of that client. An empty text keeps the stored one, `null` removes it."))
        .write_only(true)
        .build()
}

const NO_SCOPES: &str = "without the default scopes a list is needed; an empty one asks for nothing by name";

/// What an edit makes of a login by OAuth.
pub(super) struct Edited {
    pub(super) login: OAuthLogin,
    /// Whether the client secret that is stored stays.
    pub(super) keeps_secret: bool,
    /// Whether what is held for the server goes.
    pub(super) forgets_login: bool,
}

impl OAuthWrite {
    /// Whether it says no more than what holds when nothing is said.
    pub(super) fn is_blank(&self) -> bool {
        let is_blank = |edit: &Edit<String>| !matches!(edit, Edit::Set(text) if !text.is_empty());
        is_blank(&self.client_id)
            && is_blank(&self.authorize_url)
            && is_blank(&self.token_url)
            && !matches!(&self.client_secret, Edit::Set(secret) if !secret.is_empty())
            && self.use_default_scopes != Edit::Set(false)
            && !matches!(&self.scopes, Edit::Set(scopes) if !scopes.is_empty())
    }

    /// For `null`: everything that was typed goes.
    pub(super) fn clear() -> Self {
        Self {
            client_id: Edit::Clear,
            client_secret: Edit::Clear,
            authorize_url: Edit::Clear,
            token_url: Edit::Clear,
            use_default_scopes: Edit::Clear,
            scopes: Edit::Keep,
        }
    }

    /// Applies it to what is stored.
    ///
    /// # Errors
    /// The scopes can't be told.
    pub(super) fn apply(self, stored: &Stored) -> Result<Edited, FieldError> {
        let old = &stored.settings;
        let secret = match self.client_secret {
            Edit::Keep => Edit::Keep,
            Edit::Clear => Edit::Clear,
            Edit::Set(secret) if secret.is_empty() => Edit::Keep,
            Edit::Set(secret) => Edit::Set(secret.into_text()),
        };
        let mut client_id = edited(self.client_id, old.client_id.as_ref());
        let in_use = stored.login.as_ref().map(|login| &login.client_id);
        if old.client_id.is_none() && client_id.as_ref() == in_use && !matches!(secret, Edit::Set(_)) {
            // What is shown is the client that the gateway became by itself; who writes it back types nothing.
            client_id = None;
        }
        let mut new = OAuthSettings {
            client_id,
            authorize_url: edited(self.authorize_url, old.authorize_url.as_ref()),
            token_url: edited(self.token_url, old.token_url.as_ref()),
            scopes: scopes(self.use_default_scopes, self.scopes, old.scopes.as_ref())?,
            issuer: None,
            removed: None,
        };
        let because = because(stored, &new);
        if because.is_none() {
            new.issuer.clone_from(&old.issuer);
        }
        let keeps_secret = matches!(secret, Edit::Keep) && may_keep_secret(stored, &new);
        new.removed = removed(stored, &new, &secret, because.clone());
        let login = OAuthLogin { settings: new, client_secret: secret.into_value() };
        Ok(Edited { login, keeps_secret, forgets_login: because.is_some() })
    }
}

fn edited(edit: Edit<String>, old: Option<&String>) -> Option<String> {
    let mut field = old.cloned();
    edit.apply(&mut field);
    field.filter(|text| !text.is_empty())
}

fn scopes(
    uses_default: Edit<bool>,
    scopes: Edit<Vec<String>>,
    old: Option<&Vec<String>>,
) -> Result<Option<Vec<String>>, FieldError> {
    let bad = |detail: &str| Err(FieldError { pointer: "/auth/oauth/scopes".into(), detail: detail.into() });
    match (uses_default.or_default(|| true), scopes) {
        (Some(true), Edit::Set(scopes)) if !scopes.is_empty() => {
            bad("the default scopes are to be used; leave these out, or set use_default_scopes to false")
        }
        (Some(false), Edit::Keep | Edit::Clear) if old.is_none() => bad(NO_SCOPES),
        (Some(false), Edit::Clear) => bad(NO_SCOPES),
        (Some(true), _) | (None, Edit::Clear) => Ok(None),
        // What is shown beside the default scopes is an empty list.
        (None, Edit::Set(scopes)) if scopes.is_empty() && old.is_none() => Ok(None),
        (_, Edit::Set(scopes)) => Ok(Some(scopes)),
        (_, Edit::Keep) => Ok(old.cloned()),
    }
}

/// Why what is held is not for the server that is described now; none when it is.
fn because(stored: &Stored, new: &OAuthSettings) -> Option<Because> {
    let old = &stored.settings;
    if let Some(from) = &stored.moved_from {
        Some(Because::BaseUrl(from.clone()))
    } else if new.client_id != old.client_id {
        Some(Because::ClientId)
    } else if new.token_url != old.token_url {
        Some(Because::TokenUrl)
    } else if new.authorize_url != old.authorize_url {
        Some(Because::AuthorizeUrl)
    } else {
        None
    }
}

/// Whether the stored secret is still that client's, and still for the same places.
fn may_keep_secret(stored: &Stored, new: &OAuthSettings) -> bool {
    let old = &stored.settings;
    let is_same_place = match (&old.token_url, &new.token_url) {
        (None, None) => true,
        (Some(old), Some(new)) => is_same_origin(old, new),
        _ => false,
    };
    stored.moved_from.is_none() && is_same_place && new.client_id == old.client_id
}

/// What is missing because of this edit, or still is because of an earlier one.
fn removed(
    stored: &Stored,
    new: &OAuthSettings,
    secret: &Edit<SecretText>,
    because: Option<Because>,
) -> Option<Removed> {
    let old = stored.settings.removed.as_ref();
    let has_secret = stored.fields.iter().any(|field| field == OAUTH_CLIENT_SECRET_FIELD);
    let is_secret_missed = matches!(secret, Edit::Keep) && new.client_id.is_some();
    let goes = because.map(|because| Removed {
        login: stored.login.is_some(),
        client_secret: has_secret && is_secret_missed && !may_keep_secret(stored, new),
        because,
    });
    let (goes_now, was) = (goes.filter(is_something), old.cloned());
    let all = match (goes_now, was) {
        (Some(now), Some(was)) => {
            Removed { login: now.login || was.login, client_secret: now.client_secret || was.client_secret, ..now }
        }
        (now, was) => now.or(was)?,
    };
    let client_secret = all.client_secret && is_secret_missed;
    Some(Removed { client_secret, ..all }).filter(is_something)
}

fn is_something(removed: &Removed) -> bool {
    removed.login || removed.client_secret
}

/// A login by OAuth: what was said beforehand, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerOAuth)]
pub struct OAuthBody {
    /// Who the gateway is at the provider: as it was typed, or as it made itself known; `null` until then.
    client_id: Option<String>,
    /// Whether a client secret is kept that was typed.
    client_secret_set: bool,
    /// Where people log in, when it was typed; `null`: it is discovered.
    authorize_url: Option<String>,
    /// Where tokens are had, when it was typed; `null`: it is discovered.
    token_url: Option<String>,
    /// Whether what the server and its provider say is asked for.
    use_default_scopes: bool,
    /// What is asked for instead.
    scopes: Vec<String>,
    /// How the gateway came to be known there: `manual`, `metadata_document`, `dynamic`; `null` until then.
    #[schema(example = "dynamic")]
    registration: Option<String>,
    /// Who gave the tokens out.
    issuer: Option<String>,
    /// The scopes that were given; empty when the provider did not say.
    granted_scopes: Vec<String>,
    /// When the present token ends; `null` when nobody logged in, or the provider did not say.
    expires_at: Option<Time>,
    /// The operator who logged in.
    connected_by: Option<String>,
    /// When that was.
    connected_at: Option<Time>,
}

/// Builds the representation; none for a server that has to do with OAuth in no way.
///
/// # Errors
/// What is stored can't be read.
pub(super) fn body(
    row: &store::server::Row,
    fields: &[String],
    login: Option<&Summary>,
) -> Result<Option<OAuthBody>, Problem> {
    if row.auth_type.as_deref() != Some("oauth") && login.is_none() {
        return Ok(None);
    }
    let unreadable = |reason: String| Problem::internal(&std::io::Error::other(reason));
    let settings = OAuthSettings::read(row).map_err(unreadable)?;
    let granted_scopes = login.and_then(|login| login.scopes.as_deref()).map(serde_json::from_str);
    let (in_use, registration) = login.map(|login| (login.client_id.clone(), login.registration.clone())).unzip();
    let is_typed = settings.client_id.is_some();
    Ok(Some(OAuthBody {
        client_id: settings.client_id.or(in_use),
        client_secret_set: fields.iter().any(|field| field == OAUTH_CLIENT_SECRET_FIELD),
        authorize_url: settings.authorize_url,
        token_url: settings.token_url,
        use_default_scopes: settings.scopes.is_none(),
        scopes: settings.scopes.unwrap_or_default(),
        registration: registration.or_else(|| is_typed.then(|| "manual".into())),
        issuer: login.map(|login| login.issuer.clone()).or(settings.issuer),
        granted_scopes: granted_scopes.transpose().map_err(|error| Problem::internal(&error))?.unwrap_or_default(),
        expires_at: login.and_then(|login| login.expires_at).map(Time),
        connected_by: login.map(|login| login.connected_by.clone()),
        connected_at: login.map(|login| Time(login.connected_at)),
    }))
}
