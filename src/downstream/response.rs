//! What comes in from an agent and what goes back, in MCP's words.

use std::sync::Arc;

use super::stream::Reader;
use crate::identity::Agent;
use crate::mcp::{envelope, error, version};

/// The headers that MCP gives a meaning.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    /// `MCP-Protocol-Version`
    pub protocol_version: Option<String>,
    /// `Mcp-Session-Id`
    pub session: Option<String>,
    /// `Last-Event-ID`
    pub last_event_id: Option<String>,
    /// `Mcp-Method`
    pub method: Option<String>,
    /// `Mcp-Name`
    pub name: Option<String>,
    /// `Mcp-Param-*`: the part after the prefix, in lower case, and the value.
    pub params: Vec<(String, String)>,
    /// A header that MCP gives a meaning came more than once.
    pub repeated: Option<&'static str>,
    /// Whether `Accept` allows an event stream.
    pub accepts_stream: bool,
    /// Whether `Accept` allows a JSON answer.
    pub accepts_json: bool,
}

/// One request of an agent that has been identified.
#[derive(Debug)]
pub struct Incoming {
    /// From the key, and from nothing else.
    pub agent: Arc<Agent>,
    /// From the path.
    pub server: String,
    /// See there.
    pub headers: Headers,
    /// The message's text; empty for GET and DELETE.
    pub body: String,
    /// The id in the log and in the answer's header.
    pub request_id: String,
}

/// How a stream's events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No ids: a stream that breaks is lost (2026-07-28).
    Plain,
    /// With ids, so that a later GET can resume (2025-03-26 and later).
    Resumable,
    /// With ids, and opened by an empty event, so that even a stream that broke at once can be resumed (SEP-1699).
    Primed,
}

impl Framing {
    /// The framing for a legacy session of that revision.
    #[must_use]
    pub(super) fn of_session(version: &str) -> Self {
        if version::has_polling(version) { Self::Primed } else { Self::Resumable }
    }
}

/// What goes back.
#[derive(Debug)]
pub enum Response {
    /// One message.
    Message {
        /// The HTTP status that MCP prescribes for it.
        status: u16,
        /// The message's text.
        body: String,
        /// The session that it opens.
        session: Option<String>,
    },
    /// Events, from now on.
    Stream {
        /// Where they come from.
        reader: Reader,
        /// How they are written.
        framing: Framing,
        /// The session that it opens.
        session: Option<String>,
    },
    /// Events, of which the first names where to POST.
    Pair {
        /// Where they come from.
        reader: Reader,
        /// The path and query.
        endpoint: String,
    },
    /// A notification or an answer was taken.
    Accepted,
    /// A session was ended.
    NoContent,
    /// There is no such session, or it is another agent's: begin a new one.
    NoSession,
    /// There is no such server for this agent.
    NoServer {
        /// A stable word.
        code: &'static str,
        /// One sentence.
        detail: String,
    },
    /// Not with this method in this era.
    MethodNotAllowed,
}

impl Response {
    pub(super) fn error(status: u16, id: Option<&str>, code: i64, message: &str) -> Self {
        Self::error_object(status, id, &error::object(code, message))
    }

    pub(super) fn error_object(status: u16, id: Option<&str>, object: &str) -> Self {
        Self::Message { status, body: envelope::error(id, object), session: None }
    }

    pub(super) fn parse_error(body: &str, reason: &str) -> Self {
        // Readable but for a repeated key or too deep: then it was JSON, and only not acceptable.
        let id = envelope::salvage_id(body).map(|id| id.get().to_owned());
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let (code, what) =
            if is_json { (error::INVALID_REQUEST, "not acceptable JSON") } else { (error::PARSE, "not JSON") };
        Self::error(400, id.as_deref(), code, &format!("{what}: {reason}"))
    }
}
