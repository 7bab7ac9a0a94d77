//! How a connection is opened, in either era.

use std::time::Duration;

use serde_json::json;

use super::error::UpstreamError;
use super::http::HttpError;
use super::link::{Asked, Link, Patience};
use super::wire::Reply;
use crate::mcp::question::Abilities;
use crate::mcp::version::{self, Era};
use crate::mcp::{error, splice};

/// What was agreed when a connection was opened.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The era that the process is bound to from its first message on.
    pub era: Era,
    /// The revision.
    pub version: String,
    /// The text of the server's `InitializeResult` or `DiscoverResult`.
    pub result: String,
}

impl Handshake {
    /// What the server says of itself; JSON text.
    #[must_use]
    pub fn server_info(&self) -> Option<&str> {
        match self.era {
            Era::Legacy => splice::find(&self.result, &["serverInfo"]),
            Era::Modern => splice::find(&self.result, &["_meta", crate::mcp::meta::SERVER_INFO]),
        }
    }

    /// The server's capabilities; JSON text.
    #[must_use]
    pub fn capabilities(&self) -> &str {
        splice::find(&self.result, &["capabilities"]).unwrap_or("{}")
    }

    /// The server's instructions for the model; JSON text.
    #[must_use]
    pub fn instructions(&self) -> Option<&str> {
        splice::find(&self.result, &["instructions"])
    }
}

/// The parameters with which the gateway opens a connection of its own: no capabilities, because no agent is behind it.
#[must_use]
pub(super) fn own_initialize_params() -> String {
    initialize_params(&Abilities::default())
}

/// The parameters with which the gateway opens a connection for an agent that has no handshake of its own, but can be asked
/// something.
#[must_use]
pub(super) fn initialize_params(abilities: &Abilities) -> String {
    let params = json!({ "protocolVersion": version::LATEST_HANDSHAKE, "clientInfo": own_client_info() }).to_string();
    splice::set(&params, &["capabilities"], &abilities.text())
}

fn own_client_info() -> serde_json::Value {
    json!({ "name": "atryum", "version": env!("CARGO_PKG_VERSION") })
}

/// The `_meta` of a modern request that the gateway makes itself, or makes for a legacy agent.
#[must_use]
pub(super) fn own_meta() -> serde_json::Value {
    json!({
        crate::mcp::meta::PROTOCOL_VERSION: version::MODERN,
        crate::mcp::meta::CLIENT_CAPABILITIES: {},
        crate::mcp::meta::CLIENT_INFO: own_client_info(),
    })
}

/// Opens a legacy connection with `params`. The `initialized` notification is left to the caller.
pub(super) async fn initialize(link: &Link, params: &str, limit: Duration) -> Result<Handshake, UpstreamError> {
    match link.ask(Asked::own("initialize", params), Patience::of(limit)).await? {
        Reply::Error(error) => Err(UpstreamError::Refused { error }),
        Reply::Result(result) => {
            let version = splice::find_string(&result, &["protocolVersion"])
                .ok_or_else(|| UpstreamError::Unusable { reason: "it names no protocolVersion".into() })?;
            if !version::is_handshake(&version) {
                return Err(UpstreamError::Unusable {
                    reason: format!("it speaks {version:?}, which is unknown here"),
                });
            }
            Ok(Handshake { era: Era::Legacy, version, result })
        }
    }
}

/// Asks a server, or a fresh process of it, whether it speaks the modern revision. `None`: it answered, but does not.
pub(super) async fn discover(link: &Link, limit: Duration) -> Result<Option<Handshake>, UpstreamError> {
    let params = json!({ "_meta": own_meta() }).to_string();
    let ask = || link.ask(Asked::own("server/discover", &params), Patience::of(limit));
    let mut reply = ask().await;
    if speaks_ours_nevertheless(&reply) {
        reply = ask().await;
    }
    let Reply::Result(result) = reply? else { return Ok(None) };
    let versions: Vec<String> = splice::find(&result, &["supportedVersions"])
        .and_then(|list| serde_json::from_str(list).ok())
        .unwrap_or_default();
    Ok(versions.iter().any(|version| version == version::MODERN).then(|| Handshake {
        era: Era::Modern,
        version: version::MODERN.into(),
        result,
    }))
}

/// Whether a server refuses the revision that it was asked in, and names it among those that it speaks. What it meant it can
/// be asked again.
fn speaks_ours_nevertheless(reply: &Result<Reply, UpstreamError>) -> bool {
    let (Ok(Reply::Error(said)) | Err(UpstreamError::Http(HttpError::Status { said: Some(said), .. }))) = reply else {
        return false;
    };
    let supported = splice::find(said, &["data", "supported"]);
    let supported: Vec<String> = supported.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    error::code_of(said) == Some(error::UNSUPPORTED_VERSION) && supported.iter().any(|one| one == version::MODERN)
}

/// Whether a refused `initialize` may come from a server that knows only the modern revision.
pub(super) fn may_be_modern_only(refused: &UpstreamError) -> bool {
    let said = match refused {
        UpstreamError::Refused { error } => error,
        UpstreamError::Http(HttpError::Status { said: Some(said), .. }) => said,
        _ => return false,
    };
    matches!(error::code_of(said), Some(-32022..=-32020 | error::METHOD_NOT_FOUND | error::INVALID_PARAMS))
}
