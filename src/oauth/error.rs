//! Why there is no login, or no longer one. Each way to fail says what to do next; what the other side said is quoted
//! in part, for operators only.

use crate::egress::EgressError;

/// What an authorization server answers instead of a token or a code (RFC 6749, 4.1.2.1 and 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `invalid_grant`, `access_denied`, …
    pub error: String,
    /// The server's words.
    pub description: Option<String>,
}

impl Refusal {
    /// From what the other side sent; bounded, and without control characters.
    #[must_use]
    pub fn new(error: &str, description: Option<&str>) -> Self {
        let description = description.map(|text| clean(text, 300)).filter(|text| !text.is_empty());
        Self { error: clean(error, 60), description }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.error)?;
        self.description.as_ref().map_or(Ok(()), |description| write!(formatter, " ({description:?})"))
    }
}

/// A part of somebody else's text.
pub(super) fn clean(text: &str, chars_max: usize) -> String {
    text.chars().filter(|char| !char.is_control()).take(chars_max).collect()
}

/// See there.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// Somebody could not be asked.
    #[error("{what} could not be asked: {cause}")]
    Egress {
        /// Who.
        what: &'static str,
        /// Why.
        cause: EgressError,
    },
    /// The server's own metadata, which its 401 points to, is not what it should be.
    #[error("the server says its metadata is at {url:?}, but there {problem}; its operator has to mend that")]
    ResourceMetadata {
        /// Where.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The server's metadata is for another resource.
    #[error(
        "the server's metadata is for {resource:?}, not for {base_url:?}; check the base URL: a token for one may not be \
         sent to the other"
    )]
    ResourceMismatch {
        /// As published.
        resource: String,
        /// As typed.
        base_url: String,
    },
    /// Nobody is named that would give out tokens.
    #[error(
        "the server's metadata names no authorization server; set a token, or the authorize URL and token URL by hand"
    )]
    NoAuthorizationServer,
    /// The authorization server publishes nothing that can be read.
    #[error(
        "the authorization server {issuer:?} publishes no metadata ({tried}); set the authorize URL and token URL by hand"
    )]
    NoMetadata {
        /// Its name.
        issuer: String,
        /// What was asked, and what it answered.
        tried: String,
    },
    /// The metadata is somebody else's.
    #[error(
        "the metadata of the authorization server {expected:?} says it is {found:?}; it is not used, as one could pass for \
         the other"
    )]
    IssuerMismatch {
        /// The name that was asked for.
        expected: String,
        /// The name in the document.
        found: String,
    },
    /// A member of the metadata can't be used.
    #[error(
        "{member} of the authorization server {issuer:?} can't be used: {problem}; set that address by hand if you trust it"
    )]
    Member {
        /// Its name.
        issuer: String,
        /// Which.
        member: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A code could be stolen on its way.
    #[error(
        "the authorization server {issuer:?} does not offer PKCE with S256, without which a stolen code can be used by \
         others; its operator has to turn that on"
    )]
    NoPkce {
        /// Its name.
        issuer: String,
    },
    /// The gateway can't make itself known.
    #[error(
        "the authorization server {issuer:?} does not let clients register themselves; register {redirect_uri} there and \
         set client id and client secret"
    )]
    ClientNeeded {
        /// Its name.
        issuer: String,
        /// What to register.
        redirect_uri: String,
    },
    /// The client that an operator set is one of another authorization server.
    #[error(
        "the client id that is set belongs to {held:?}, but the server's tokens now come from {issuer:?}; set one of that \
         server, and connect again"
    )]
    ClientOfAnother {
        /// Whose it is.
        held: String,
        /// Who is asked now.
        issuer: String,
    },
    /// The registration was refused.
    #[error(
        "the authorization server {issuer:?} refused to register the gateway ({status}: {refusal}); register {redirect_uri} \
         there and set client id and client secret"
    )]
    RegistrationRefused {
        /// Its name.
        issuer: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        refusal: Refusal,
        /// What to register.
        redirect_uri: String,
    },
    /// The registration's answer can't be used.
    #[error(
        "the authorization server {issuer:?} registered the gateway, but its answer can't be used: {problem}; set client id and client secret by hand"
    )]
    Registration {
        /// Its name.
        issuer: String,
        /// What is wrong.
        problem: String,
    },
    /// None of the ways to log in at the token endpoint is known here.
    #[error(
        "the token endpoint of {issuer:?} wants {offered}, and the gateway can {can}; set a client {needs} a secret"
    )]
    AuthMethod {
        /// Its name.
        issuer: String,
        /// Its methods.
        offered: String,
        /// Ours, with the client that there is.
        can: &'static str,
        /// `with` or `without`.
        needs: &'static str,
    },
    /// A person can't be sent there.
    #[error("the authorize URL can't be opened: {cause}; give one that begins with https://")]
    AuthorizeUrl {
        /// Why.
        cause: EgressError,
    },
    /// The callback names another authorization server: perhaps somebody mixes two logins up.
    #[error(
        "the login came back from {found}, but was begun at {expected:?}; it is not used: begin again, and if that stays \
         so, tell the server's operator"
    )]
    WrongIssuer {
        /// Where it was begun.
        expected: String,
        /// What the callback says.
        found: String,
    },
    /// The callback says no.
    #[error("{}", denied(.0))]
    Denied(Refusal),
    /// The callback says nothing.
    #[error("the login came back without a code; begin again")]
    NoCode,
    /// The token endpoint refused.
    #[error("{}", refused(.0))]
    Refused(Refusal),
    /// The token endpoint's answer is none. Whether the code or the refresh token was used up is not known.
    #[error("the token endpoint's answer can't be used: {problem}")]
    Answer {
        /// What is wrong.
        problem: String,
        /// The HTTP status.
        status: u16,
    },
    /// Not a bearer token.
    #[error("the token endpoint gives out tokens of the type {found:?}; the gateway can use bearer tokens only")]
    TokenType {
        /// As it is said.
        found: String,
    },
}

fn denied(refusal: &Refusal) -> String {
    match refusal.error.as_str() {
        "access_denied" => format!("the login was declined: {refusal}; connect again when it should be allowed"),
        "invalid_scope" => {
            format!("the scopes that were asked for are not given: {refusal}; set others, and connect again")
        }
        "server_error" | "temporarily_unavailable" => format!("the login failed there: {refusal}; try again later"),
        _ => format!("the login was refused: {refusal}; check client id and redirect address, and connect again"),
    }
}

fn refused(refusal: &Refusal) -> String {
    let next = match refusal.error.as_str() {
        "invalid_grant" => "the login is over or was used up; connect again",
        "invalid_client" | "unauthorized_client" => "check client id and client secret, and connect again",
        "invalid_scope" => "set other scopes, and connect again",
        "invalid_target" => "the authorization server does not know this server; check the base URL",
        "slow_down" | "temporarily_unavailable" | "server_error" => "it is tried again later",
        _ => "connect again; if that stays so, ask the operator of the authorization server",
    };
    format!("the token endpoint refused: {refusal}; {next}")
}

impl OAuthError {
    /// A stable word for logs and answers.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Egress { cause, .. } => cause.kind(),
            Self::ResourceMetadata { .. } => "resource_metadata_bad",
            Self::ResourceMismatch { .. } => "resource_mismatch",
            Self::NoAuthorizationServer => "no_authorization_server",
            Self::NoMetadata { .. } => "no_metadata",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::Member { .. } => "metadata_bad",
            Self::NoPkce { .. } => "pkce_missing",
            Self::ClientNeeded { .. } => "client_needed",
            Self::ClientOfAnother { .. } => "client_of_another",
            Self::RegistrationRefused { .. } => "registration_refused",
            Self::Registration { .. } => "registration_bad",
            Self::AuthMethod { .. } => "auth_method_unknown",
            Self::AuthorizeUrl { .. } => "authorize_url_bad",
            Self::WrongIssuer { .. } => "wrong_issuer",
            Self::Denied(_) => "denied",
            Self::NoCode => "no_code",
            Self::Refused(_) => "token_refused",
            Self::Answer { .. } => "token_answer_bad",
            Self::TokenType { .. } => "token_type_unknown",
        }
    }

    /// Whether the grant is over: a refresh with it will never succeed again.
    #[must_use]
    pub fn is_grant_over(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.error == "invalid_grant")
    }

    /// Whether the client is no longer known there: one that registered itself registers anew.
    #[must_use]
    pub fn is_client_unknown(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.error == "invalid_client")
    }

    /// Whether another try may bring something else without anybody changing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Egress { cause, .. } => !cause.is_refusal() && !matches!(cause, EgressError::Redirected { .. }),
            Self::Answer { status, .. } => *status == 429 || *status >= 500,
            Self::Refused(refusal) | Self::Denied(refusal) => {
                matches!(refusal.error.as_str(), "slow_down" | "temporarily_unavailable" | "server_error")
            }
            _ => false,
        }
    }
}
