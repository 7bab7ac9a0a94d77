//! Why a remote server gave no answer over HTTP. Each way to fail has a word of its own, so that an operator can tell a
//! wrong address from a wrong token from a server that is down.

use super::demand::Demand;
use crate::egress::EgressError;

/// See there. What the server itself said is quoted only where it can't hold a page of HTML.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The base URL can't be asked.
    #[error("the base URL can't be used: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be asked, or what came back can't be read.
    #[error(transparent)]
    Egress(EgressError),
    /// Nothing was heard for as long as an operator lets it take.
    #[error("the server did not answer within {seconds} s; its timeout can be set higher")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// The stream is over, the answer was not in it.
    #[error("the server ended its answer without a reply to the request")]
    NoAnswer,
    /// Neither JSON nor an event stream.
    #[error(
        "the server answered with {content_type:?} instead of JSON or an event stream; is the base URL its MCP endpoint?"
    )]
    WrongContentType {
        /// As the server wrote it; empty when it didn't.
        content_type: String,
    },
    /// Said to be JSON.
    #[error("the server's answer is not a JSON-RPC message: {reason}")]
    NotJsonRpc {
        /// What is wrong with it.
        reason: String,
        /// It could be the beginning of one.
        is_cut: bool,
    },
    /// The server is elsewhere, it says. Credentials never go where a server points.
    #[error(
        "the server redirects to {to} ({status}); redirects are not followed: if you trust it, make that the base URL"
    )]
    Redirected {
        /// The HTTP status.
        status: u16,
        /// `Location`, without its query.
        to: String,
    },
    /// 401. What the server demands is not in its words: those are told to agents, too.
    #[error("the server wants a login, or another one (401); an operator of the gateway has to see to that")]
    Unauthorized(Box<Demand>),
    /// 403
    #[error("the server does not let this credential do that (403)")]
    Forbidden(Box<Demand>),
    /// The time of what is shown as a login is over, and there is no other yet. Nothing was sent.
    #[error("the login for the server is over and is being renewed; try again in {retry_after_seconds} s")]
    LoginLate {
        /// When the next try has been made, or a guess.
        retry_after_seconds: u64,
    },
    /// The same, and only a person can mend it. Nothing was sent.
    #[error("the login for the server is over; an operator of the gateway has to log in anew")]
    LoginOver,
    /// 404, and no session is the reason.
    #[error("there is nothing at the base URL ({status}); is it the server's MCP endpoint?")]
    NotThere {
        /// 404, 405 or 410.
        status: u16,
    },
    /// 429, or a refusal until what a 429 said is over.
    #[error("the server takes no more calls for {retry_after_seconds} s (429)")]
    RateLimited {
        /// From `Retry-After`, or a guess.
        retry_after_seconds: u64,
    },
    /// Any other status that is no success.
    #[error("the server answered with HTTP status {status}{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// The text of a JSON-RPC error object, when there was one.
        said: Option<String>,
    },
    /// Too many failures in a row: nobody is sent there for a while.
    #[error("the server failed {failures} times in a row and is left alone for {wait_seconds} s; last: {reason}")]
    CircuitOpen {
        /// How often.
        failures: u32,
        /// Until the next try.
        wait_seconds: u64,
        /// The last failure.
        reason: String,
    },
}

impl HttpError {
    /// Whether the request may have been acted on.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Egress(error) => error.was_sent(),
            Self::TimedOut { .. } | Self::NoAnswer | Self::WrongContentType { .. } | Self::NotJsonRpc { .. } => true,
            // 408 is also said by what stands before a server that is too slow.
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            // 303: it was done, and what came of it is elsewhere.
            Self::Redirected { status, .. } => *status == 303,
            Self::Url { .. }
            | Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::LoginLate { .. }
            | Self::LoginOver
            | Self::NotThere { .. }
            | Self::RateLimited { .. }
            | Self::CircuitOpen { .. } => false,
        }
    }

    /// A stable word for metrics, logs and `data.code`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "bad_url",
            Self::Egress(error) => error.kind(),
            Self::TimedOut { .. } => "timed_out",
            Self::NoAnswer => "no_answer",
            Self::WrongContentType { content_type } if content_type == "text/html" => "web_page",
            Self::WrongContentType { .. } => "wrong_content_type",
            Self::NotJsonRpc { .. } => "not_json_rpc",
            Self::Redirected { .. } => "redirected",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::LoginLate { .. } => "login_late",
            Self::LoginOver => "login_over",
            Self::NotThere { .. } => "endpoint_not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Status { status: 500.., .. } => "server_error",
            Self::Status { .. } => "request_refused",
            Self::CircuitOpen { .. } => "circuit_open",
        }
    }

    /// What the server demands, if it is a login.
    #[must_use]
    pub fn demand(&self) -> Option<&Demand> {
        match self {
            Self::Unauthorized(demand) | Self::Forbidden(demand) => Some(demand),
            _ => None,
        }
    }

    /// After how many seconds another try makes sense, when that is known.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds } | Self::LoginLate { retry_after_seconds } => {
                Some(*retry_after_seconds)
            }
            Self::CircuitOpen { wait_seconds, .. } => Some(*wait_seconds),
            _ => None,
        }
    }

    /// Whether the server is unwell, rather than this one request refused: such failures in a row open the circuit.
    pub(in crate::upstream) fn is_failure(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500,
            Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::LoginLate { .. }
            | Self::LoginOver
            | Self::RateLimited { .. }
            | Self::CircuitOpen { .. } => false,
            _ => true,
        }
    }
}

impl From<EgressError> for HttpError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::Url { reason } => Self::Url { reason },
            EgressError::NotText => Self::NotJsonRpc { reason: "it is not UTF-8".into(), is_cut: false },
            EgressError::Redirected { status, to, .. } => Self::Redirected { status, to },
            EgressError::TimedOut { seconds, .. } => Self::TimedOut { seconds },
            other => Self::Egress(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_request_may_have_been_acted_on() {
        for (status, expected) in [(400, false), (404, false), (408, true), (413, false), (500, true), (503, true)] {
            assert_eq!(HttpError::Status { status, said: None }.was_sent(), expected, "{status}");
        }
        for (status, expected) in [(301, false), (303, true), (307, false)] {
            assert_eq!(HttpError::Redirected { status, to: String::new() }.was_sent(), expected, "{status}");
        }
    }
}
