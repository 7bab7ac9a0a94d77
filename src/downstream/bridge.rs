//! Between the eras: what a message of one side has to become for the other.
//!
//! Where both sides speak the same era nothing is touched. The legacy side has a handshake and a session; the modern side
//! has `_meta` on each request and `resultType` on each result.

use serde_json::json;

use crate::mcp::version::{self, Era};
use crate::mcp::{envelope, error, meta, method, splice};
use crate::upstream::Handshake;

/// What a modern result has and a legacy one doesn't.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// Who asks whom: the agent's era, then the server's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing {
    pub(super) agent: Era,
    pub(super) server: Era,
}

impl Crossing {
    /// The parameters as the server understands them. `log_level` is what a legacy session asked for, as text.
    pub(super) fn params(self, params: Option<String>, client: &Client) -> Option<String> {
        match (self.agent, self.server) {
            (Era::Modern, Era::Legacy) => params.map(|params| meta::strip_reserved(&params)),
            (Era::Legacy, Era::Modern) => Some(client.annotate(params.as_deref().unwrap_or("{}"))),
            (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => params,
        }
    }

    /// The result as the agent understands it.
    pub(super) fn result(self, method: &str, result: String) -> String {
        match (self.agent, self.server) {
            (Era::Modern, Era::Legacy) => complete(method, result),
            (Era::Legacy, Era::Modern) => splice::without(&result, |key| MODERN_MEMBERS.contains(&key)),
            (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => result,
        }
    }

    /// The error object as the agent understands it.
    pub(super) fn error(self, object: String) -> String {
        match (self.agent, self.server, error::code_of(&object)) {
            (Era::Modern, Era::Legacy, Some(error::LEGACY_RESOURCE_NOT_FOUND)) => {
                splice::set(&object, &["code"], &error::INVALID_PARAMS.to_string())
            }
            // The gateway spoke the modern revision, not the agent: the fault is not the agent's.
            (Era::Legacy, Era::Modern, Some(-32099..=-32020)) => {
                splice::set(&object, &["code"], &error::INTERNAL.to_string())
            }
            _ => object,
        }
    }
}

/// What a legacy session declared once, for requests that must say it each time.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Text of `clientInfo`.
    pub(super) info: Option<String>,
    /// Text of the level, quotes and all.
    pub(super) log_level: Option<String>,
}

impl Client {
    fn annotate(&self, params: &str) -> String {
        // No capabilities: answering what the server would ask needs the way back, which only a legacy server's
        // connection has.
        let mut params = splice::set(params, &["_meta", meta::PROTOCOL_VERSION], &envelope::quoted(version::MODERN));
        params = splice::set(&params, &["_meta", meta::CLIENT_CAPABILITIES], "{}");
        if let Some(info) = &self.info {
            params = splice::set(&params, &["_meta", meta::CLIENT_INFO], info);
        }
        if let Some(level) = &self.log_level {
            params = splice::set(&params, &["_meta", meta::LOG_LEVEL], level);
        }
        params
    }
}

fn complete(method: &str, result: String) -> String {
    let mut result = add(result, "resultType", "\"complete\"");
    if method::is_cacheable(method) {
        // A legacy server's lists may differ between connections: nobody may keep or share them.
        result = add(result, "ttlMs", "0");
        result = add(result, "cacheScope", "\"private\"");
    }
    result
}

fn add(result: String, member: &str, value: &str) -> String {
    if splice::find(&result, &[member]).is_some() { result } else { splice::set(&result, &[member], value) }
}

/// The answer to a legacy agent's `initialize`, whatever the server's era.
pub(super) fn initialize_result(handshake: &Handshake, asked_version: &str) -> String {
    if handshake.era == Era::Legacy {
        return handshake.result.clone();
    }
    let info = handshake.server_info().unwrap_or(r#"{"name":"unnamed","version":"0"}"#);
    let instructions = handshake.instructions().map(|text| format!(r#","instructions":{text}"#)).unwrap_or_default();
    format!(
        r#"{{"protocolVersion":{},"capabilities":{},"serverInfo":{info}{instructions}}}"#,
        envelope::quoted(asked_version),
        without_modern_only(handshake.capabilities()),
    )
}

/// What a legacy agent would misunderstand: extensions are negotiated per request in the modern era.
fn without_modern_only(capabilities: &str) -> String {
    splice::without(capabilities, |key| key == "extensions")
}

/// The answer to a modern agent's `server/discover`, whatever the server's era.
pub(super) fn discover_result(handshake: &Handshake) -> String {
    if handshake.era == Era::Modern {
        return handshake.result.clone();
    }
    let capabilities = splice::without(handshake.capabilities(), |key| key == "tasks");
    let mut result = format!(
        r#"{{"resultType":"complete","supportedVersions":{},"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}"#,
        json!([version::MODERN]),
    );
    if let Some(instructions) = handshake.instructions() {
        result = splice::set(&result, &["instructions"], instructions);
    }
    if let Some(info) = handshake.server_info() {
        result = splice::set(&result, &["_meta", meta::SERVER_INFO], info);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Crossing = Crossing { agent: Era::Modern, server: Era::Legacy };
    const BACK: Crossing = Crossing { agent: Era::Legacy, server: Era::Modern };

    #[test]
    fn a_modern_agent_gets_what_its_sdk_insists_on() {
        let list = OUT.result("tools/list", r#"{"tools":[]}"#.into());
        assert_eq!(list, r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
        assert_eq!(OUT.result("tools/call", r#"{"content":[]}"#.into()), r#"{"content":[],"resultType":"complete"}"#);
        assert_eq!(OUT.error(r#"{"code":-32002,"message":"m"}"#.into()), r#"{"code":-32602,"message":"m"}"#);
    }

    #[test]
    fn a_legacy_agent_sees_nothing_of_the_modern_era() {
        let result = r#"{"resultType":"complete","tools":[{"n":1.0}],"ttlMs":1,"cacheScope":"public"}"#;
        assert_eq!(BACK.result("tools/list", result.into()), r#"{"tools":[{"n":1.0}]}"#);
        assert!(BACK.error(r#"{"code":-32022,"message":"m"}"#.into()).contains("-32603"));
        let client = Client { info: Some(r#"{"name":"a"}"#.into()), log_level: None };
        let params = BACK.params(Some(r#"{"name":"t"}"#.into()), &client).unwrap();
        assert_eq!(meta::get_string(Some(&params), meta::PROTOCOL_VERSION).as_deref(), Some("2026-07-28"));
    }

    #[test]
    fn the_same_era_is_left_alone() {
        let same = Crossing { agent: Era::Legacy, server: Era::Legacy };
        let odd = r#"{ "z":1.0 , "a" : null }"#;
        assert_eq!(same.result("tools/list", odd.into()), odd);
    }
}
