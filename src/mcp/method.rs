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
        "completion/complete" => completed(params),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => splice::find_string(params, &["taskId"]),
        _ => None,
    }
}

/// What is completed: the type of the reference says which of its members counts, and where it doesn't, there must be
/// only one.
fn completed(params: &str) -> Option<String> {
    let part = |member| splice::find_string(params, &["ref", member]);
    match (part("type").as_deref(), part("name"), part("uri")) {
        (Some("ref/prompt"), Some(name), _) => Some(name),
        (Some("ref/resource"), _, Some(uri)) => Some(uri),
        (_, Some(one), None) | (_, None, Some(one)) => Some(one),
        _ => None,
    }
}

/// The members of parameters that are decided on, recorded, or read by the gateway, for methods that have a subject.
const READ: [&str; 8] = ["name", "arguments", "uri", "ref", "taskId", "task", "requestState", "_meta"];
/// Those of a reference.
const READ_IN_REF: [&str; 3] = ["type", "name", "uri"];
/// Those of a listening, and of what it is about.
const READ_IN_LISTENING: [&str; 2] = ["notifications", "_meta"];
const READ_IN_NOTIFICATIONS: [&str; 5] =
    ["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"];

/// A member that is not one of those but would be to a reader that does not mind case, as many JSON libraries don't: then
/// the gateway would decide on `name`, and the server act on `Name`. With the member that it could be taken for.
#[must_use]
pub fn look_alike(method: &str, params: &str) -> Option<(String, &'static str)> {
    let among = |text: &str, read: &'static [&'static str]| {
        splice::members(text)?.into_iter().find_map(|(key, _)| {
            let read = read.iter().find(|read| **read != key && folds_to(&key, read))?;
            Some((key, *read))
        })
    };
    if method == "subscriptions/listen" {
        let wanted = || among(splice::find(params, &["notifications"])?, &READ_IN_NOTIFICATIONS);
        return among(params, &READ_IN_LISTENING).or_else(wanted);
    }
    if !has_subject(method) {
        return None;
    }
    among(params, &READ).or_else(|| among(splice::find(params, &["ref"])?, &READ_IN_REF))
}

fn has_subject(method: &str) -> bool {
    needs_subject(method) || method == "resources/unsubscribe" || method.starts_with("tasks/")
}

/// Whether they are the same when case is ignored; two signs beside the ASCII letters count as letters then.
fn folds_to(key: &str, ascii: &str) -> bool {
    let fold = |char: char| match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(ascii.chars().map(fold))
}

/// Methods whose request must name its subject.
#[must_use]
pub fn needs_subject(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "resources/subscribe" | "completion/complete")
}

/// Notifications that a legacy client has for its server. They do nothing by themselves; of others nobody knows that, and
/// they are neither decided on nor recorded.
#[must_use]
pub fn is_told_by_clients(method: &str) -> bool {
    matches!(
        method,
        "notifications/initialized"
            | "notifications/roots/list_changed"
            | "notifications/progress"
            | "notifications/tasks/status"
    )
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

/// Methods that a modern server may answer with a question (`input_required`).
#[must_use]
pub fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
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

    #[test]
    fn what_is_completed_is_what_the_type_of_the_reference_says() {
        for (reference, expected) in [
            (r#"{"type":"ref/prompt","name":"p"}"#, Some("p")),
            (r#"{"type":"ref/resource","uri":"secret://x","name":"harmless"}"#, Some("secret://x")),
            (r#"{"type":"ref/prompt","uri":"harmless://x","name":"secret"}"#, Some("secret")),
            (r#"{"type":"ref/later","uri":"x://y"}"#, Some("x://y")),
            (r#"{"type":"ref/later","uri":"x://y","name":"n"}"#, None),
            (r#"{"uri":"x://y","name":"n"}"#, None),
            (r"{}", None),
        ] {
            let params = format!(r#"{{"ref":{reference}}}"#);
            assert_eq!(subject("completion/complete", Some(&params)).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn a_member_that_differs_in_case_alone_is_found() {
        let look_alike = |params| look_alike("tools/call", params);
        for (params, read) in [
            (r#"{"name":"a","Name":"b"}"#, "name"),
            (r#"{"NAME":"b"}"#, "name"),
            (r#"{"uri":"a","\u0055ri":"b"}"#, "uri"),
            (r#"{"argument\u017f":{}}"#, "arguments"),
            (r#"{"taſKId":"a"}"#, "taskId"),
            (r#"{"ref":{"type":"ref/prompt","name":"a","Uri":"b"}}"#, "uri"),
        ] {
            assert_eq!(look_alike(params).map(|(_, read)| read), Some(read), "{params}");
        }
        for params in [r#"{"name":"a","arguments":{"Name":"b"},"names":1}"#, "{}", r#"{"name":"NAME"}"#] {
            assert_eq!(look_alike(params), None, "{params}");
        }
        for params in [
            r#"{"Notifications":{"resourceSubscriptions":["x://secret"]}}"#,
            r#"{"notifications":{"resourceSubscriptions":[],"ResourceSubscriptions":["x://secret"]}}"#,
            r#"{"notifications":{"taskids":["another's"]}}"#,
        ] {
            assert!(super::look_alike("subscriptions/listen", params).is_some(), "{params}");
        }
        let params = r#"{"notifications":{"resourceSubscriptions":["x://Uri"],"toolsListChanged":true}}"#;
        assert_eq!(super::look_alike("subscriptions/listen", params), None);
        assert_eq!(super::look_alike("vendor/thing", r#"{"Name":"a"}"#), None, "nobody decides on that");
    }
}
