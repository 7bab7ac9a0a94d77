//! The problems of the agents' endpoint, as far as they are HTTP's and not the protocol's.

use actix_web::{HttpResponse, ResponseError as _};

use super::{Code, Problem};

impl Problem {
    /// The body is not of the one kind that a message is.
    #[must_use]
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// The caller takes no form that the answer could have.
    #[must_use]
    pub fn not_acceptable(detail: &str) -> Self {
        Self::new(Code::NotAcceptable, detail)
    }

    /// The request can't be read.
    #[must_use]
    pub fn malformed(detail: &str) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// The session is unknown: what an agent takes as the sign to begin a new one.
    #[must_use]
    pub fn session_not_found() -> Self {
        Self::new(Code::SessionNotFound, "there is no such session for this agent; begin a new one with initialize")
    }

    /// The server can't be reached, for the reason that `code` names.
    #[must_use]
    pub fn server_not_found(code: &str, detail: &str) -> Self {
        let code = if code == "server_disabled" { Code::ServerDisabled } else { Code::ServerNotFound };
        Self::new(code, detail)
    }

    /// The problem as an answer.
    #[must_use]
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }
}
