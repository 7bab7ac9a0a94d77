//! The demo server: a stdio MCP server inside the binary, so that a first start has something to gate.
//!
//! In come lines of JSON-RPC, out go lines of JSON-RPC. It speaks both eras on one process, keeps its notes and its
//! make-believe account in memory, and never touches the network or a file. Its tools range from harmless to
//! alarming and describe themselves honestly, so that rules have something to tell apart.

mod tools;

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    process::ExitCode,
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    clock,
    mcp::{error, meta, version},
};
use tools::{Refusal, Shop};

/// The hidden first argument that makes the binary the demo server.
pub const DEMO_ARGUMENT: &str = "__demo-server";

/// How long a list may be kept: the tools never change.
const LIST_TTL_MS: u64 = 3_600_000;

/// Serves standard input and output until either ends.
pub fn run(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    // An input or output that breaks off is how a stdio server is told to go.
    let _ = serve(io::stdin().lock(), io::stdout().lock());
    ExitCode::SUCCESS
}

fn serve(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut server = DemoServer::new(clock::now_ms);
    for line in input.lines() {
        if let Some(answer) = server.answer(&line?) {
            writeln!(output, "{answer}")?;
            output.flush()?;
        }
    }
    Ok(())
}

/// The demo server's memory, and its way from a line to a line.
#[derive(Debug)]
pub struct DemoServer {
    shop: Shop,
}

/// What a line may hold; `id` keeps its exact text.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
}

/// What a request comes to: a result, or an error object.
type Outcome = Result<Value, Value>;

impl DemoServer {
    /// A server with no notes, a full account, and a clock that tells milliseconds since the epoch.
    #[must_use]
    pub fn new(now_ms: fn() -> i64) -> Self {
        Self { shop: Shop::new(now_ms) }
    }

    /// The answer to one line; `None` for a notification, an answer or a blank line.
    pub fn answer(&mut self, line: &str) -> Option<String> {
        if line.trim().is_empty() {
            return None;
        }
        let Ok(message) = serde_json::from_str::<Message<'_>>(line) else {
            return Some(reply("null", Err(failure(error::PARSE, "this is not a JSON-RPC message"))));
        };
        let (id, method) = (message.id?, message.method?);
        let outcome = if is_modern(&message.params) {
            self.modern(&method, &message.params)
        } else {
            self.legacy(&method, &message.params)
        };
        Some(reply(id.get(), outcome))
    }

    /// The era with a handshake. Nothing is refused for coming before it: there is no state to protect.
    fn legacy(&mut self, method: &str, params: &Value) -> Outcome {
        match method {
            "initialize" => {
                let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
                Ok(json!({
                    "protocolVersion": version::negotiate(asked),
                    "capabilities": capabilities(),
                    "serverInfo": identity(),
                    "instructions": INSTRUCTIONS,
                }))
            }
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": tools::definitions() })),
            "tools/call" => self.call(params),
            _ => Err(unknown_method(method)),
        }
    }

    /// The era in which each request stands alone and each result says that it is complete.
    fn modern(&mut self, method: &str, params: &Value) -> Outcome {
        check(params)?;
        let mut result = match method {
            "server/discover" => cacheable(json!({
                "supportedVersions": [version::MODERN],
                "capabilities": capabilities(),
                "instructions": INSTRUCTIONS,
            })),
            "tools/list" => cacheable(json!({ "tools": tools::definitions() })),
            "tools/call" => self.call(params)?,
            _ => return Err(unknown_method(method)),
        };
        set(&mut result, "resultType", json!("complete"));
        set(&mut result, "_meta", json!({ meta::SERVER_INFO: identity() }));
        Ok(result)
    }

    /// A call's result; a tool that is not there is an error, a tool that refuses is a result that says so.
    fn call(&mut self, params: &Value) -> Outcome {
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let arguments = params.get("arguments").cloned().unwrap_or_else(|| json!({}));
        match self.shop.call(name, &arguments) {
            Ok(content) => Ok(json!({
                "content": [{ "type": "text", "text": content.to_string() }],
                "structuredContent": content,
                "isError": false,
            })),
            Err(Refusal::NoSuchTool) => Err(failure(error::INVALID_PARAMS, &format!("unknown tool: {name}"))),
            Err(Refusal::Because(why)) => Ok(json!({ "content": [{ "type": "text", "text": why }], "isError": true })),
        }
    }
}

const INSTRUCTIONS: &str = "A make-believe server for trying out rules. Nothing it does leaves its own memory.";

fn identity() -> Value {
    json!({ "name": "atryum-demo", "title": "Atryum demo", "version": env!("CARGO_PKG_VERSION") })
}

fn capabilities() -> Value {
    json!({ "tools": { "listChanged": false } })
}

fn is_modern(params: &Value) -> bool {
    params.get("_meta").is_some_and(|meta| meta.get(meta::PROTOCOL_VERSION).is_some())
}

/// What a modern request must carry.
fn check(params: &Value) -> Result<(), Value> {
    let said = |key: &str| params.get("_meta").and_then(|meta| meta.get(key));
    let requested = said(meta::PROTOCOL_VERSION).and_then(Value::as_str);
    if requested != Some(version::MODERN) {
        let data = json!({ "supported": [version::MODERN], "requested": requested });
        return Err(json!({
            "code": error::UNSUPPORTED_VERSION, "message": "unsupported protocol version", "data": data,
        }));
    }
    if said(meta::CLIENT_CAPABILITIES).is_none_or(|capabilities| !capabilities.is_object()) {
        let what = format!("params._meta must hold {}, an object", meta::CLIENT_CAPABILITIES);
        return Err(failure(error::INVALID_PARAMS, &what));
    }
    Ok(())
}

fn cacheable(mut result: Value) -> Value {
    set(&mut result, "ttlMs", json!(LIST_TTL_MS));
    set(&mut result, "cacheScope", json!("public"));
    result
}

fn set(result: &mut Value, member: &str, value: Value) {
    if let Some(members) = result.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}

fn failure(code: i64, message: &str) -> Value {
    json!({ "code": code, "message": message })
}

fn unknown_method(method: &str) -> Value {
    failure(error::METHOD_NOT_FOUND, &format!("unknown method: {method}"))
}

/// A response line; `id` is JSON text and goes back as it came.
fn reply(id: &str, outcome: Outcome) -> String {
    let (member, value) = match outcome {
        Ok(result) => ("result", result),
        Err(error) => ("error", error),
    };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"{member}":{value}}}"#)
}

#[cfg(test)]
mod tests;
