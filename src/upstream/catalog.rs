//! The things a server last listed, each as the text it sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::connection::{Connection, Mirrored, ToolTraits};
use super::error::UpstreamError;
use super::handshake::own_meta;
use super::wire::Reply;
use crate::mcp::splice;
use crate::mcp::version::Era;

/// Most pages that are followed; a server that gives a next cursor for ever is not followed for ever.
const PAGES_MAX: usize = 100;

/// Most bytes of all pages together.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Items of a listing, in the server's order.
pub type Items = Vec<Box<RawValue>>;

/// Reads all pages of a listing; with how long the server says that it is good, where it does.
///
/// # Errors
/// No answer; or the server answered with an error, which is [`UpstreamError::Unusable`] with its text.
pub(super) async fn list_all(
    connection: &Connection,
    method: &'static str,
    member: &'static str,
) -> Result<(Items, Option<Duration>), UpstreamError> {
    let mut items = Items::new();
    let mut good_for = None;
    let mut cursor: Option<String> = None;
    let mut bytes = 0;
    for _ in 0..PAGES_MAX {
        let params = params(connection.handshake.era, cursor.as_deref());
        let result = match connection.list(method, &params).await? {
            Reply::Result(result) => result,
            Reply::Error(error) => return Err(UpstreamError::Unusable { reason: format!("{method}: {error}") }),
        };
        bytes += result.len();
        if bytes > BYTES_MAX {
            return Err(UpstreamError::TooLarge { bytes_max: BYTES_MAX });
        }
        let page: Items =
            splice::find(&result, &[member]).and_then(|list| serde_json::from_str(list).ok()).ok_or_else(|| {
                UpstreamError::Unusable { reason: format!("{method}: there is no list {member:?} in it") }
            })?;
        items.extend(page);
        good_for = [good_for, ttl(&result)].into_iter().flatten().min();
        match splice::find_string(&result, &["nextCursor"]) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok((items, good_for))
}

/// How long a list is good, as its server says (2026-07-28).
pub(super) fn ttl(result: &str) -> Option<Duration> {
    splice::find(result, &["ttlMs"])?.parse().ok().map(Duration::from_millis)
}

fn params(era: Era, cursor: Option<&str>) -> String {
    let mut params = serde_json::Map::new();
    params.extend(cursor.map(|cursor| ("cursor".to_owned(), json!(cursor))));
    params.extend((era == Era::Modern).then(|| ("_meta".to_owned(), own_meta())));
    Value::Object(params).to_string()
}

/// What is needed to call the tools.
pub(super) fn tool_traits(tools: &Items) -> ToolTraits {
    ToolTraits { mirrored: mirrored_arguments(tools), task_only: task_only(tools) }
}

fn task_only(tools: &Items) -> HashSet<String> {
    let of_tool = |tool: &str| {
        // Nearly no tool says anything of tasks.
        tool.contains("taskSupport").then_some(())?;
        let support = splice::find_string(tool, &["execution", "taskSupport"])?;
        (support == "required").then(|| splice::find_string(tool, &["name"])).flatten()
    };
    tools.iter().filter_map(|tool| of_tool(tool.get())).collect()
}

/// By tool, what it wants mirrored in headers (`x-mcp-header` in its input schema, reached through `properties` alone).
fn mirrored_arguments(tools: &Items) -> HashMap<String, Arc<Vec<Mirrored>>> {
    let of_tool = |tool: &RawValue| {
        // Nearly no tool has one, and looking for the word is far cheaper than reading the schema.
        tool.get().contains("x-mcp-header").then_some(())?;
        let tool: Value = serde_json::from_str(tool.get()).ok()?;
        let mut found = Vec::new();
        collect(tool.get("inputSchema")?, &mut Vec::new(), &mut found);
        Some((tool.get("name")?.as_str()?.to_owned(), Arc::new(found)))
    };
    tools.iter().filter_map(|tool| of_tool(tool)).collect()
}

/// A listing of a modern remote server without the tools that nobody can call: what they want repeated in headers can't be
/// (2026-07-28: a client must leave them out).
pub(super) fn without_unusable(result: String) -> String {
    if !result.contains("x-mcp-header") {
        return result;
    }
    let tools = splice::find(&result, &["tools"]).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok());
    let Some(tools) = tools else { return result };
    let usable: Vec<&str> = tools.iter().map(|tool| tool.get()).filter(|tool| is_usable(tool)).collect();
    if usable.len() == tools.len() {
        return result;
    }
    splice::set(&result, &["tools"], &format!("[{}]", usable.join(",")))
}

/// Whether each annotation stands where it may, on what it may, under a name that is its own.
fn is_usable(tool: &str) -> bool {
    let Ok(tool) = serde_json::from_str::<Value>(tool) else { return true };
    let Some(schema) = tool.get("inputSchema") else { return true };
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found);
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let is_single = names.windows(2).all(|pair| matches!(pair, [one, other] if one != other));
    is_single
        && count_annotations(schema) == found.len()
        && found.iter().all(|(name, path)| is_lawful(schema, name, path))
}

fn is_lawful(schema: &Value, name: &str, path: &[String]) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let property = path.iter().try_fold(schema, |schema, step| schema.get("properties")?.get(step));
    let kind = property.and_then(|property| property.get("type")).and_then(Value::as_str);
    !name.is_empty() && name.bytes().all(is_token) && matches!(kind, Some("string" | "integer" | "boolean"))
}

fn count_annotations(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| usize::from(key == "x-mcp-header") + count_annotations(value)).sum()
        }
        Value::Array(items) => items.iter().map(count_annotations).sum(),
        _ => 0,
    }
}

fn collect(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push((header.to_ascii_lowercase(), path.clone()));
        }
        collect(property, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_wants_what_can_not_be_is_not_listed() {
        let tool = |name: &str, properties: Value| json!({"name": name, "inputSchema": {"properties": properties}});
        let header = |kind: &str, name: &str| json!({"type": kind, "x-mcp-header": name});
        let result = json!({"tools": [
            tool("good", json!({"a": header("string", "A"), "b": header("integer", "B")})),
            tool("twice", json!({"a": header("string", "A"), "b": header("string", "a")})),
            tool("object", json!({"a": header("object", "A")})),
            tool("space", json!({"a": header("string", "A b")})),
            tool("empty", json!({"a": header("string", "")})),
            tool("item", json!({"a": {"type": "array", "items": header("string", "A")}})),
            tool("plain", json!({"a": {"type": "string"}})),
        ], "nextCursor": "n"});
        let left: Value = serde_json::from_str(&without_unusable(result.to_string())).unwrap();
        let names: Vec<_> = left["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["good", "plain"]);
        assert_eq!(left["nextCursor"], "n");
    }

    #[test]
    fn mirrored_arguments_are_found_through_properties_only() {
        let tools: Items = serde_json::from_value(json!([
            {"name": "plain", "inputSchema": {"type": "object"}},
            {"name": "routed", "inputSchema": {"properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "deep": {"properties": {"shard": {"type": "integer", "x-mcp-header": "Shard"}}},
                "list": {"items": {"properties": {"no": {"x-mcp-header": "No"}}}},
            }}},
        ]))
        .unwrap();
        let mirrored = tool_traits(&tools).mirrored;
        assert_eq!(mirrored.len(), 1);
        let mut routed = mirrored["routed"].to_vec();
        routed.sort();
        assert_eq!(
            routed,
            [("region".into(), vec!["region".to_owned()]), ("shard".into(), vec!["deep".to_owned(), "shard".into()])]
        );
    }
}
