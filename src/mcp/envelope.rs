//! The JSON-RPC envelope: read shallowly, written by hand, the inside left as the text it came in.
//!
//! Source: JSON-RPC 2.0, with MCP's narrowing (an id is a string or an integer, never null).

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// One message, borrowed from its text.
#[derive(Debug)]
pub enum Message<'a> {
    /// Wants an answer under `id`.
    Request {
        /// The id's JSON text: `7` and `"7"` are different ids.
        id: &'a RawValue,
        /// The method's name.
        method: Cow<'a, str>,
        /// An object, or absent.
        params: Option<&'a RawValue>,
    },
    /// Wants none.
    Notification {
        /// The method's name.
        method: Cow<'a, str>,
        /// An object, or absent.
        params: Option<&'a RawValue>,
    },
    /// Answers the request `id`.
    Response {
        /// The id of the request.
        id: &'a RawValue,
        /// What came of it.
        outcome: Reply<'a>,
    },
}

/// The inside of a response.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// The `result` member's text.
    Result(&'a RawValue),
    /// The `error` member's text.
    Error(&'a RawValue),
}

/// Why a text is no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAMessage {
    /// The text isn't JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON, but not a JSON-RPC 2.0 message.
    #[error("{0}")]
    Shape(&'static str),
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one message.
///
/// # Errors
/// Not JSON, or not a lawful request, notification or response.
pub fn parse(text: &str) -> Result<Message<'_>, NotAMessage> {
    let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| NotAMessage::Json(error.to_string()))?;
    if raw.jsonrpc.as_deref() != Some("2.0") {
        return Err(NotAMessage::Shape("the member \"jsonrpc\" must be \"2.0\""));
    }
    if let Some(id) = raw.id
        && !is_id(id)
    {
        return Err(NotAMessage::Shape("the member \"id\" must be a string or an integer"));
    }
    match (raw.method, raw.id, raw.result, raw.error) {
        (Some(method), id, None, None) => {
            if raw.params.is_some_and(|params| !params.get().starts_with('{')) {
                return Err(NotAMessage::Shape("the member \"params\" must be an object"));
            }
            Ok(match id {
                Some(id) => Message::Request { id, method, params: raw.params },
                None => Message::Notification { method, params: raw.params },
            })
        }
        (None, Some(id), Some(result), None) => Ok(Message::Response { id, outcome: Reply::Result(result) }),
        (None, Some(id), None, Some(error)) => Ok(Message::Response { id, outcome: Reply::Error(error) }),
        (None, None, None, Some(_)) => Err(NotAMessage::Shape("a response must carry the id of its request")),
        _ => Err(NotAMessage::Shape("a message has a method, or exactly one of result and error")),
    }
}

/// The readable id of a text that is no lawful message, so that the refusal can carry it.
#[must_use]
pub fn salvage_id(text: &str) -> Option<&RawValue> {
    let raw: Raw<'_> = serde_json::from_str(text).ok()?;
    raw.id.filter(|id| is_id(id))
}

/// The messages of a batch (2025-03-26), each as its own text.
#[must_use]
pub fn batch(text: &str) -> Option<Vec<&RawValue>> {
    text.trim_start().starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    text.starts_with('"') || text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
}

/// Writes a request.
#[must_use]
pub fn request(id: &str, method: &str, params: Option<&str>) -> String {
    let mut text = String::with_capacity(64 + method.len() + params.map_or(0, str::len));
    let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id},"method":{}"#, quoted(method));
    push_params(&mut text, params);
    text
}

/// Writes a notification.
#[must_use]
pub fn notification(method: &str, params: Option<&str>) -> String {
    let mut text = String::with_capacity(48 + method.len() + params.map_or(0, str::len));
    let _ = write!(text, r#"{{"jsonrpc":"2.0","method":{}"#, quoted(method));
    push_params(&mut text, params);
    text
}

fn push_params(text: &mut String, params: Option<&str>) {
    if let Some(params) = params {
        text.push_str(r#","params":"#);
        text.push_str(params);
    }
    text.push('}');
}

/// Writes the answer that carries a result.
#[must_use]
pub fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// Writes the answer that carries an error object.
#[must_use]
pub fn error(id: Option<&str>, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.unwrap_or("null"))
}

/// The JSON text of a string.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_type_and_its_text() {
        for id in ["0", "7", "\"7\"", "-1", "18446744073709551615"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            match parse(&text) {
                Ok(Message::Request { id: read, .. }) => assert_eq!(read.get(), id),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_json_rpc_forbids_is_no_message() {
        for text in [
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            "[]",
            "7",
        ] {
            assert!(parse(text).is_err(), "{text} was read");
        }
    }

    #[test]
    fn a_null_result_is_a_result() {
        assert!(matches!(
            parse(r#"{"jsonrpc":"2.0","id":1,"result":null}"#),
            Ok(Message::Response { outcome: Reply::Result(_), .. })
        ));
    }

    #[test]
    fn numbers_cross_unchanged() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"n":9007199254740993,"z":1.50}}"#;
        match parse(text) {
            Ok(Message::Request { params: Some(params), .. }) => {
                assert_eq!(request("1", "m", Some(params.get())), text);
            }
            other => panic!("{other:?}"),
        }
    }
}
