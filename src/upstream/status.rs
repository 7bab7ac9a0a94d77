//! How an upstream is, in the contract's words.

use serde::Serialize;

/// The `connection.status` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The operator turned the server off.
    Disabled,
    /// Nobody has tried yet.
    Unknown,
    /// A connection is being opened.
    Connecting,
    /// The last connection opened and holds.
    Ready,
    /// An operator must act.
    ActionRequired,
    /// It could not be reached.
    Unreachable,
    /// The last connection failed.
    Failing,
    /// It failed repeatedly; the next try waits.
    Backoff,
}

/// The `credentials.status` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsWord {
    /// The server has no login.
    NotApplicable,
    /// What is needed is there, or nothing is needed.
    Ready,
    /// It was never given, or was removed.
    Missing,
    /// The server does not take what is there; an operator must act.
    ActionRequired,
    /// Its time is over.
    Expired,
    /// It is being renewed.
    Refreshing,
}

/// Whether the gateway has what it needs to log in to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Credentials)]
pub struct Credentials {
    /// In one word; `ready` for a server that needs none.
    pub status: CredentialsWord,
    /// In one sentence, when there is something to say.
    pub reason: Option<String>,
    /// What the operator can do about it: `connect`, `reconnect`, `set_token`.
    pub action: Option<&'static str>,
}

impl Credentials {
    /// Nothing is missing.
    #[must_use]
    pub fn ready() -> Self {
        Self { status: CredentialsWord::Ready, reason: None, action: None }
    }

    /// A token or header has to be given first.
    #[must_use]
    pub fn missing(reason: impl Into<String>) -> Self {
        Self { status: CredentialsWord::Missing, reason: Some(reason.into()), action: Some("set_token") }
    }

    /// A person has to log in first.
    #[must_use]
    pub fn unconnected(reason: impl Into<String>) -> Self {
        Self { status: CredentialsWord::Missing, reason: Some(reason.into()), action: Some("connect") }
    }

    /// What is stored does not do; another token or header has to be given.
    #[must_use]
    pub fn not_taken(reason: impl Into<String>) -> Self {
        Self { status: CredentialsWord::ActionRequired, reason: Some(reason.into()), action: Some("set_token") }
    }
}

/// What is known of an upstream at `checked_at`.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// In one word.
    pub status: Word,
    /// In one sentence, when there is something to say.
    pub reason: Option<String>,
    /// What the operator can do about it.
    pub action: Option<&'static str>,
    /// When this was last seen to be so, in ms.
    pub checked_at: Option<i64>,
    /// The revision the last handshake agreed on.
    pub protocol_version: Option<String>,
    /// What the server says of itself.
    pub server_info: Option<serde_json::Value>,
    /// How often a connection ended that nobody had asked to end.
    pub restarts: u64,
    /// Whether the gateway has what it needs to log in.
    pub credentials: Credentials,
}

impl Status {
    /// The status before anything was tried.
    #[must_use]
    pub fn untried(is_enabled: bool, credentials: Credentials) -> Self {
        Self {
            status: if is_enabled { Word::Unknown } else { Word::Disabled },
            reason: (!is_enabled).then(|| "the server is disabled".into()),
            action: (!is_enabled).then_some("enable"),
            checked_at: None,
            protocol_version: None,
            server_info: None,
            restarts: 0,
            credentials,
        }
    }
}
