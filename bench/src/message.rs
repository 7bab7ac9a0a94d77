//! The messages of a call: written by hand, read no further than they are checked.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::Result;

/// The revision of sessions.
pub(crate) const LEGACY: &str = "2025-06-18";
/// The revision of requests that stand alone.
pub(crate) const MODERN: &str = "2026-07-28";

/// How an agent speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// In sessions.
    Legacy,
    /// Each request for itself.
    Modern,
}

impl Era {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "legacy" => Some(Self::Legacy),
            "modern" => Some(Self::Modern),
            _ => None,
        }
    }

    /// The revision that is spoken.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Legacy => LEGACY,
            Self::Modern => MODERN,
        }
    }
}

/// The first message of a session.
pub(crate) fn initialize() -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"atryum-bench","version":"1"}}}}}}"#
    )
}

/// The second one.
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Writes a call of the tool `echo` for a text of `bytes` into `text`.
pub(crate) fn call(text: &mut String, era: Era, id: u64, bytes: usize) {
    text.clear();
    let meta = match era {
        Era::Legacy => "",
        Era::Modern => concat!(
            r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{},"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"atryum-bench","version":"1"}}"#
        ),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"size":{bytes}}}{meta}}}}}"#
    );
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: u64,
    #[serde(borrow)]
    result: Option<CallResult<'a>>,
}

#[derive(Deserialize)]
struct CallResult<'a> {
    #[serde(borrow)]
    content: Vec<Content<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// Whether this is the answer to the call `id`, and as long as it was asked for.
pub(crate) fn check(answer: &[u8], id: u64, bytes: usize) -> Result<()> {
    let wrong =
        || format!("call {id} got a wrong answer: {}", String::from_utf8_lossy(&answer[..answer.len().min(400)]));
    let read: Answer<'_> = serde_json::from_slice(answer).map_err(|_| wrong())?;
    let is_right = read.id == id
        && read.result.is_some_and(|result| matches!(&result.content[..], [one] if one.text.len() == bytes));
    if is_right { Ok(()) } else { Err(wrong().into()) }
}
