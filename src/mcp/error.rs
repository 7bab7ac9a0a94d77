//! JSON-RPC error codes by name, and error objects.

use serde_json::json;

/// The text isn't JSON.
pub const PARSE: i64 = -32700;
/// JSON, but not a lawful message here.
pub const INVALID_REQUEST: i64 = -32600;
/// Nobody answers that method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters can't be used.
pub const INVALID_PARAMS: i64 = -32602;
/// Something failed on the answering side.
pub const INTERNAL: i64 = -32603;
/// The gateway has no answer from the server. Of the range that MCP leaves to implementations.
pub const UPSTREAM: i64 = -32000;
/// The gateway's rules or its operator said no to something that isn't a tool call.
pub const DENIED: i64 = -32003;
/// Header and body disagree (2026-07-28).
pub const HEADER_MISMATCH: i64 = -32020;
/// The client did not declare what the server needs (2026-07-28).
pub const MISSING_CAPABILITY: i64 = -32021;
/// The revision isn't spoken (2026-07-28).
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// Somebody has to visit a page first, as the legacy era says it (2025-11-25).
pub const LEGACY_VISIT_REQUIRED: i64 = -32042;
/// Resource not found, as the legacy era says it.
pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;

/// An error object as JSON text.
#[must_use]
pub fn object(code: i64, message: &str) -> String {
    json!({ "code": code, "message": message }).to_string()
}

/// An error object with data, as JSON text.
#[must_use]
pub fn object_with(code: i64, message: &str, data: &serde_json::Value) -> String {
    json!({ "code": code, "message": message, "data": data }).to_string()
}

/// The `code` of an error object's text.
#[must_use]
pub fn code_of(error: &str) -> Option<i64> {
    super::splice::find(error, &["code"])?.parse().ok()
}
