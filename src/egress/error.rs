//! Why somebody could not be asked over HTTP, or gave no answer that can be read.

use std::net::IpAddr;

/// See there. What the other side said is not in it.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// That can't be asked.
    #[error("the address can't be used: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// An address that a server supplied does without encryption.
    #[error(
        "{origin} was named by the server and is not https; only an address of this machine may be asked without \
         encryption, and only for a server of this machine or network"
    )]
    Insecure {
        /// Scheme, host and port.
        origin: String,
    },
    /// There is no such host.
    #[error("the host {host:?} can't be found: {reason}; check the address and this machine's DNS")]
    Resolve {
        /// From the address.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// The host is on an address that is never asked: link-local, or a cloud's metadata service.
    #[error("{host:?} is on {address}, a link-local or metadata address; such addresses are never asked")]
    ForbiddenAddress {
        /// From the address.
        host: String,
        /// What it resolved to.
        address: IpAddr,
    },
    /// A server on a public address named a host that is on none.
    #[error(
        "{host:?} is on {address}, which is no public address, and a server whose base URL is public may not lead the \
         gateway there; if that is right, type the address yourself under the server's OAuth settings"
    )]
    NotPublic {
        /// From the address.
        host: String,
        /// What it resolved to.
        address: IpAddr,
    },
    /// Nobody takes the connection.
    #[error("no connection to {origin}: {reason}; is the server running?")]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// The system's words.
        reason: String,
    },
    /// The other side is not who it should be, or does not speak TLS.
    #[error("no secure connection to {origin}: {reason}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// The library's words.
        reason: String,
    },
    /// The connection broke before there was an answer.
    #[error("the connection broke before it answered ({reason})")]
    Reset {
        /// The system's words.
        reason: String,
    },
    /// The answer has a beginning and no end.
    #[error("the answer broke off after {bytes} bytes")]
    Truncated {
        /// How much of it came.
        bytes: u64,
    },
    /// The answer's end can't be told from a broken connection.
    #[error("the answer says neither its length nor that it comes in chunks, so that its end can't be known")]
    CloseDelimited,
    /// An answer was packed although none was asked to be.
    #[error("the answer is packed ({encoding}), though it was asked not to be; such answers are not unpacked")]
    Encoded {
        /// `Content-Encoding`
        encoding: String,
    },
    /// The body is not UTF-8.
    #[error("the answer is not UTF-8 text")]
    NotText,
    /// The answer is somewhere else, it says.
    #[error("{origin} redirects to {to} ({status}); redirects are not followed")]
    Redirected {
        /// Who says so: scheme, host and port.
        origin: String,
        /// The HTTP status.
        status: u16,
        /// `Location`, without its query.
        to: String,
    },
    /// The body is longer than such answers are.
    #[error("the answer of {origin} is longer than {bytes_max} bytes")]
    TooLong {
        /// Scheme, host and port.
        origin: String,
        /// The bound.
        bytes_max: usize,
    },
    /// It takes too long.
    #[error("{origin} gave no answer within {seconds} s")]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// The bound.
        seconds: u64,
    },
}

impl EgressError {
    /// Whether the request may have been read by the other side.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Reset { .. }
            | Self::Truncated { .. }
            | Self::CloseDelimited
            | Self::Encoded { .. }
            | Self::NotText
            | Self::TooLong { .. }
            | Self::TimedOut { .. } => true,
            Self::Url { .. }
            | Self::Insecure { .. }
            | Self::Resolve { .. }
            | Self::ForbiddenAddress { .. }
            | Self::NotPublic { .. }
            | Self::Connect { .. }
            | Self::Tls { .. } => false,
            // 303: it was done, and what came of it is elsewhere.
            Self::Redirected { status, .. } => *status == 303,
        }
    }

    /// Whether our own policy refused to ask: nothing was sent, and trying again changes nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Url { .. } | Self::Insecure { .. } | Self::ForbiddenAddress { .. } | Self::NotPublic { .. }
        )
    }

    /// A stable word for logs and answers.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "bad_url",
            Self::Insecure { .. } => "address_insecure",
            Self::Resolve { .. } => "host_not_found",
            Self::ForbiddenAddress { .. } => "address_forbidden",
            Self::NotPublic { .. } => "address_not_public",
            Self::Connect { .. } => "connect_failed",
            Self::Tls { .. } => "tls_failed",
            Self::Reset { .. } => "connection_reset",
            Self::Truncated { .. } => "answer_truncated",
            Self::CloseDelimited => "answer_unbounded",
            Self::Encoded { .. } => "answer_encoded",
            Self::NotText => "answer_not_text",
            Self::Redirected { .. } => "redirected",
            Self::TooLong { .. } => "answer_too_long",
            Self::TimedOut { .. } => "timed_out",
        }
    }
}
