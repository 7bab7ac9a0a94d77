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
}

impl Status {
    /// The status before anything was tried.
    #[must_use]
    pub fn untried(is_enabled: bool) -> Self {
        Self {
            status: if is_enabled { Word::Unknown } else { Word::Disabled },
            reason: (!is_enabled).then(|| "the server is disabled".into()),
            action: (!is_enabled).then_some("enable"),
            checked_at: None,
            protocol_version: None,
            server_info: None,
            restarts: 0,
        }
    }
}
