//! Asking a server for a handshake without any login, to hear how it asks for one; or with one that nobody uses yet, to
//! hear whether it is taken.

use std::time::Duration;

use serde_json::json;

use crate::egress::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use crate::egress::http::{Method, Uri};
use crate::egress::{EgressError, Outbound, Reach, origin_of, send};
use crate::mcp::version;
use crate::oauth::Challenge;
use crate::vault::SecretText;

/// From lookup to the answer's head.
const WITHIN: Duration = Duration::from_secs(10);

/// What it answered.
#[derive(Debug)]
pub(super) enum Heard {
    /// It asks for a login, and may say how.
    Asked(Option<Challenge>),
    /// It does not.
    Unasked {
        /// The HTTP status.
        status: u16,
    },
}

/// Asks, and reads no further than the answer's head: a server that asks for nothing may answer with a stream.
pub(super) async fn probe(base_url: &str, token: Option<&SecretText>) -> Result<Heard, EgressError> {
    let url = Reach::Typed.parse(base_url)?;
    let url: Uri = url.as_str().parse().map_err(|_| EgressError::Url { reason: "it can't be sent".into() })?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        let unusable = |_| EgressError::Url { reason: "the token can't be sent".into() };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(unusable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let outbound = Outbound {
        reach: Reach::Typed,
        method: Method::POST,
        url: &url,
        headers: &headers,
        more: &[],
        body: Some(handshake().into()),
    };
    let late = || EgressError::TimedOut { origin: origin_of(&url), seconds: WITHIN.as_secs() };
    let answer = tokio::time::timeout(WITHIN, send(outbound)).await.map_err(|_| late())??;
    let status = answer.status();
    let challenge = Challenge::parse(answer.headers("www-authenticate").iter().map(String::as_str));
    answer.finish();
    Ok(match (status, challenge) {
        (401, challenge) => Heard::Asked(challenge),
        (403, Some(challenge)) => Heard::Asked(Some(challenge)),
        (status, _) => Heard::Unasked { status },
    })
}

fn handshake() -> String {
    let client = json!({ "name": "atryum", "version": env!("CARGO_PKG_VERSION") });
    let params = json!({ "protocolVersion": version::LATEST_HANDSHAKE, "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string()
}
