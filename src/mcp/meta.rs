//! The reserved members of `params._meta` (2026-07-28), and the progress token.

use super::splice;

/// Key of the revision a request speaks.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Key of what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Key of who the client says it is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Key of the least severe log message that the client wants with this request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Key of the listen request that a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Key of who the server says it is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

const RESERVED: [&str; 4] = [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL];

/// The text of a `_meta` member.
#[must_use]
pub fn get<'a>(params: Option<&'a str>, key: &str) -> Option<&'a str> {
    splice::find(params?, &["_meta", key])
}

/// The text of a `_meta` member that is a string.
#[must_use]
pub fn get_string(params: Option<&str>, key: &str) -> Option<String> {
    serde_json::from_str(get(params, key)?).ok()
}

/// The progress token's JSON text, type and all.
#[must_use]
pub fn progress_token(params: Option<&str>) -> Option<&str> {
    get(params, "progressToken")
}

/// The parameters without the members that only a modern server understands.
#[must_use]
pub fn strip_reserved(params: &str) -> String {
    without(params, |key| RESERVED.contains(&key))
}

/// The parameters without those members of their `_meta`, and without it when nothing is left.
#[must_use]
pub fn without(params: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let Some(meta) = splice::find(params, &["_meta"]) else {
        return params.to_owned();
    };
    let left = splice::without(meta, unwanted);
    if splice::members(&left).is_some_and(|members| members.is_empty()) {
        splice::without(params, |key| key == "_meta")
    } else {
        splice::set(params, &["_meta"], &left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_members_go_and_the_others_stay() {
        let params =
            r#"{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":1}}"#;
        assert_eq!(strip_reserved(params), r#"{"name":"t","_meta":{"progressToken":1}}"#);
        let params = r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{}},"a":1}"#;
        assert_eq!(strip_reserved(params), r#"{"a":1}"#);
    }
}
