//! What the gateway knows of a method: how it is gated, and what in its parameters it is about.

use super::splice;

/// How a request is put to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Opens or keeps a connection; moves nothing. Answered for every agent that may reach the server.
    Handshake,
    /// Tells what there is. A rule may forbid it; without one it is allowed, and its answer leaves out what the agent
    /// may not call.
    Listing,
    /// Reads or does something: rules decide, and without a matching rule the default action.
    Effect,
}

/// The class of `method`. What is unknown is taken to have an effect.
#[must_use]
pub fn class(method: &str) -> Class {
    match method {
        "initialize" | "ping" | "server/discover" => Class::Handshake,
        "tools/list"
        | "logging/setLevel"
        | "prompts/list"
        | "resources/list"
        | "resources/templates/list"
        | "resources/unsubscribe"
        | "subscriptions/listen"
        | "tasks/list"
        | "tasks/get"
        | "tasks/result"
        | "tasks/cancel" => Class::Listing,
        _ => Class::Effect,
    }
}

/// What a request is about: the tool's or prompt's name, or the resource's URI.
#[must_use]
pub fn subject(method: &str, params: Option<&str>) -> Option<String> {
    let params = params?;
    match method {
        "tools/call" | "prompts/get" => splice::find_string(params, &["name"]),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => splice::find_string(params, &["uri"]),
        "completion/complete" => {
            splice::find_string(params, &["ref", "name"]).or_else(|| splice::find_string(params, &["ref", "uri"]))
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => splice::find_string(params, &["taskId"]),
        _ => None,
    }
}

/// Methods whose request must name its subject.
#[must_use]
pub fn needs_subject(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "resources/subscribe")
}

/// Methods that the modern revision removed; it answers them as unknown.
#[must_use]
pub fn is_removed_in_modern(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "logging/setLevel"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "tasks/list"
            | "tasks/result"
            | "roots/list"
            | "sampling/createMessage"
            | "elicitation/create"
    )
}

/// Methods whose complete modern result carries `ttlMs` and `cacheScope`.
#[must_use]
pub fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// For a listing: the member that holds the items, the member that names one, and the method that would use it.
#[must_use]
pub fn listed(method: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match method {
        "tools/list" => Some(("tools", "name", "tools/call")),
        "prompts/list" => Some(("prompts", "name", "prompts/get")),
        "resources/list" => Some(("resources", "uri", "resources/read")),
        _ => None,
    }
}

/// The value of the `Mcp-Name` header that the modern revision asks for with `method`, from its parameters.
#[must_use]
pub fn header_name(method: &str, params: Option<&str>) -> Option<String> {
    match method {
        "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel" => {
            subject(method, params)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_put_to_the_rules() {
        for method in ["tools/call", "tools/Call", "x/y", "resources/read", "completion/complete", ""] {
            assert_eq!(class(method), Class::Effect, "{method}");
        }
    }

    #[test]
    fn a_subject_is_read_with_its_escapes_undone() {
        assert_eq!(subject("tools/call", Some(r#"{"name":"a\u0062"}"#)).as_deref(), Some("ab"));
        assert_eq!(subject("resources/read", Some(r#"{"uri":"x://y"}"#)).as_deref(), Some("x://y"));
        assert_eq!(subject("tools/call", Some(r#"{"Name":"ab"}"#)), None);
    }
}
