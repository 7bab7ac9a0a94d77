//! Refusals and failures over HTTP, as RFC 9457 problem documents.
//!
//! The errors of the rooms come in, `application/problem+json` goes out. The only place that knows HTTP status codes: a
//! handler names a [`Code`], and the code has one status and one title. What failed inside is logged here, once, under
//! the request's id; the caller is given that id and never the inside.

mod from;
mod mcp;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::middleware::request_id;

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong, in one stable word that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request can't be read.
    MalformedRequest,
    /// The body is not JSON, or not JSON that can be read in one way only.
    MalformedJson,
    /// A query parameter is unknown, repeated, or has a value that can't be used.
    InvalidParameter,
    /// No credential came with the request, or one that does not hold.
    Unauthenticated,
    /// The `Host` is not one this gateway answers to.
    HostNotAllowed,
    /// The request comes from a web page that is not this gateway's.
    OriginNotAllowed,
    /// The agent may not use this server.
    ServerNotAllowed,
    /// Only for this machine or an operator.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// There is no server of that name.
    ServerNotFound,
    /// The server is turned off.
    ServerDisabled,
    /// There is no such MCP session, or it is another agent's.
    SessionNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No form of the answer is one that the caller takes.
    NotAcceptable,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The edit contradicts what is stored.
    Conflict,
    /// The server has no login by OAuth.
    NotOauth,
    /// The field can't be changed.
    Immutable,
    /// The name is taken.
    NameTaken,
    /// Somebody or the clock has decided already.
    AlreadyDecided,
    /// What was shown is not what would be approved.
    DigestMismatch,
    /// The resource was edited since it was read.
    Stale,
    /// The body is larger than is read.
    PayloadTooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// The body is JSON, but a field can't be used.
    InvalidField,
    /// Too many failed attempts from this address.
    TooManyAttempts,
    /// The headers are larger than is read.
    HeadersTooLarge,
    /// The gateway failed.
    Internal,
    /// The server behind the gateway failed.
    UpstreamFailed,
    /// Who gives out a server's tokens can't be found out, or can't be used.
    DiscoveryFailed,
    /// The gateway can't make itself known to a server's authorization server.
    RegistrationFailed,
    /// The gateway can't do this at the moment.
    Unavailable,
    /// The server behind the gateway did not answer in time.
    UpstreamTimeout,
}

impl Code {
    /// All codes, by status.
    pub const ALL: [Self; 33] = [
        Self::MalformedRequest,
        Self::MalformedJson,
        Self::InvalidParameter,
        Self::Unauthenticated,
        Self::HostNotAllowed,
        Self::OriginNotAllowed,
        Self::ServerNotAllowed,
        Self::Forbidden,
        Self::NotFound,
        Self::ServerNotFound,
        Self::ServerDisabled,
        Self::SessionNotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::NotOauth,
        Self::Immutable,
        Self::NameTaken,
        Self::AlreadyDecided,
        Self::DigestMismatch,
        Self::Stale,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidField,
        Self::TooManyAttempts,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::UpstreamFailed,
        Self::DiscoveryFailed,
        Self::RegistrationFailed,
        Self::Unavailable,
        Self::UpstreamTimeout,
    ];

    /// Returns the status and the title that belong to the code.
    #[must_use]
    pub fn facts(self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "The request can't be read"),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "The body is not strict JSON"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "A query parameter can't be used"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "A credential is needed"),
            Self::HostNotAllowed => (StatusCode::FORBIDDEN, "The host is not allowed"),
            Self::OriginNotAllowed => (StatusCode::FORBIDDEN, "The origin is not allowed"),
            Self::ServerNotAllowed => (StatusCode::FORBIDDEN, "The agent may not use this server"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "Not from here"),
            Self::NotFound => (StatusCode::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed"),
            Self::ServerNotFound => (StatusCode::NOT_FOUND, "There is no such server"),
            Self::ServerDisabled => (StatusCode::NOT_FOUND, "The server is disabled"),
            Self::SessionNotFound => (StatusCode::NOT_FOUND, "There is no such session"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "No form of the answer is accepted"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::Conflict => (StatusCode::CONFLICT, "It contradicts what is stored"),
            Self::NotOauth => (StatusCode::CONFLICT, "The server has no login by OAuth"),
            Self::Immutable => (StatusCode::CONFLICT, "The field can't be changed"),
            Self::NameTaken => (StatusCode::CONFLICT, "The name is taken"),
            Self::AlreadyDecided => (StatusCode::CONFLICT, "It is already decided"),
            Self::DigestMismatch => (StatusCode::CONFLICT, "The digest is not the current one"),
            Self::Stale => (StatusCode::PRECONDITION_FAILED, "It was edited in the meantime"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON"),
            Self::InvalidField => (StatusCode::UNPROCESSABLE_ENTITY, "A field can't be used"),
            Self::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, "Too many failed attempts"),
            Self::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "The gateway failed"),
            Self::UpstreamFailed => (StatusCode::BAD_GATEWAY, "The server behind the gateway failed"),
            Self::DiscoveryFailed => (StatusCode::BAD_GATEWAY, "There is no way to log in to the server"),
            Self::RegistrationFailed => {
                (StatusCode::BAD_GATEWAY, "The gateway is not known where the server's tokens are given out")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not possible at the moment"),
            Self::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "The server behind the gateway did not answer"),
        }
    }

    /// Returns the code that says most about a bare status, for answers that were not made here.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            406 => Self::NotAcceptable,
            408 => Self::RequestTimeout,
            409 => Self::Conflict,
            412 => Self::Stale,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            422 => Self::InvalidField,
            429 => Self::TooManyAttempts,
            431 => Self::HeadersTooLarge,
            400..=499 => Self::MalformedRequest,
            502 => Self::UpstreamFailed,
            503 => Self::Unavailable,
            504 => Self::UpstreamTimeout,
            _ => Self::Internal,
        }
    }

    /// Returns the code's word.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The place in the body, as a JSON Pointer (RFC 6901).
    #[schema(example = "/command")]
    pub pointer: String,
    /// What is wrong there, in words.
    pub detail: String,
}

/// A refusal or a failure, on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    kind: Option<&'static str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Builds a problem; `detail` says what happened, to whom, and what to do next.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), kind: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// Builds the problem of one or more fields that can't be used.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", place(&one.pointer), one.detail),
            several => format!("{} fields can't be used; each is named in errors", several.len()),
        };
        Self { errors, ..Self::new(Code::InvalidField, detail) }
    }

    /// Builds the problem of one field that can't be used.
    #[must_use]
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// Builds the problem of a thing that is not there.
    #[must_use]
    pub fn no_such(what: &str, name: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {name:?}; the list of what there is shows the names"))
    }

    /// Builds the problem of a failure inside: logged under the request's id, and not told.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %crate::chain(error), "a request failed");
        Self::new(Code::Internal, "the gateway failed on this request; its log says why under this request_id")
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Names the thing, when the problem is that it is not there.
    #[must_use]
    pub fn named(self, what: &str, name: &str) -> Self {
        if self.code == Code::NotFound { Self::no_such(what, name) } else { self }
    }

    /// Says the same under a code that fits the place better.
    #[must_use]
    pub fn recoded(mut self, from: Code, to: Code) -> Self {
        if self.code == from {
            self.code = to;
        }
        self
    }

    /// Says which of the ways to fail that the code covers it was, in one stable word.
    #[must_use]
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Names the fields that the problem is about.
    #[must_use]
    pub fn about(mut self, pointer: &str, detail: &str) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Adds a header to the answer; a value that is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the body" } else { pointer }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

/// A refusal or a failure (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained.
    #[schema(example = "/api/docs#problem-not_found")]
    r#type: String,
    /// The code in words, the same for each.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    code: Code,
    /// What happened, to whom, and what to do next.
    detail: String,
    /// Of the several ways to fail that some codes cover, the one that it was, in one stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    kind: Option<&'static str>,
    /// The same as in the header `x-request-id` and in the gateway's log.
    request_id: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.facts().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, title) = self.code.facts();
        let mut answer = HttpResponse::build(status);
        answer.insert_header((header::CONTENT_TYPE, CONTENT_TYPE));
        for (name, value) in &self.headers {
            answer.append_header((name.clone(), value.clone()));
        }
        let body = ProblemBody {
            r#type: format!("/api/docs#problem-{}", self.code.word()),
            title,
            status: status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            kind: self.kind,
            request_id: request_id::current(),
            errors: self.errors.clone(),
        };
        answer.body(serde_json::to_string(&body).unwrap_or_default())
    }
}
