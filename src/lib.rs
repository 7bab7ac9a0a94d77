//! Atryum: a permissions gateway for the Model Context Protocol (MCP).
//!
//! Operators register servers; agents are pointed at `/mcp/<name>`; every call is put to the operator's rules, recorded,
//! and forwarded, or not. This page tells the way of a call; each room's own page tells the rest.
//!
//! # The way of a call
//!
//! An agent sends `tools/call` to `/mcp/notes`.
//!
//! 1. **The doors** ([`http`]). The request gets a name, `Host` and `Origin` are checked, the body is bounded. The key says
//!    which agent it is, and nothing else does ([`identity`]). [`http::mcp`] hands over text and a few headers.
//! 2. **Downstream** ([`downstream`]). The text is read strictly, once ([`mcp::strict`]); whatever two readers could read
//!    in two ways is refused. The message says which era of the protocol it belongs to: a session's, or one that stands
//!    alone. The server is found in the [`upstream::Directory`], a snapshot that nobody has to be asked for.
//! 3. **Invocation** ([`invocation`]). One function, read top to bottom: decide, record, wait if a person is asked,
//!    dispatch, record, answer.
//! 4. **The gate** ([`gate`]). The published rule set is evaluated on this very thread: allow, deny, or ask. With no rule
//!    set there is nothing but no.
//! 5. **The journal** ([`journal`]). The row of the call is committed before anything goes out; the commit gives a
//!    receipt. Decision and receipt together give a [`gate::Permit`], and nothing else does.
//! 6. **Upstream** ([`upstream`]). The permit is spent by sending the call over the connection that the agent's session
//!    has to itself. The gateway gives the request an id of its own; the arguments go out as the bytes that were decided
//!    on.
//! 7. **Back.** The answer finds its request, its row gets its outcome, and the agent gets the server's own text under the
//!    agent's own id.
//!
//! Three more ways start elsewhere: an operator's edit ends in a *nudge* that carries nothing, whereupon the
//! [`upstream::Registry`] or the gate's evaluator reads the store anew; a person's answer is a compare-and-set in the
//! store that wakes the waiting call ([`gate::Approvals`]); and a process that dies is told by its guard ([`guard`]), ends
//! the calls that it had as *unknown*, and is started again when it is next needed.
//!
//! # The rooms
//!
//! They stand in one line; each knows only rooms to its left.
//!
//! ```text
//! clock backoff mcp guard demo child metrics supervision trail < store < journal · vault < config < identity < gate
//!     < egress < audit < notify < oauth < credential < upstream < connect < invocation < downstream < http < app
//!     < telemetry cli < main
//! ```
//!
//! [`guard`] and [`demo`] are other processes of the same binary; the command line ([`cli`]) knows a running gateway only
//! by its REST interface.

pub mod app;
pub mod audit;
pub mod backoff;
pub mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod credential;
pub mod demo;
pub mod downstream;
pub mod egress;
pub mod gate;
pub mod glob;
pub mod guard;
pub mod http;
pub mod identity;
pub mod invocation;
pub mod journal;
pub mod mcp;
pub mod metrics;
pub mod notify;
pub mod oauth;
pub mod store;
pub mod supervision;
pub mod telemetry;
pub mod trail;
pub mod upstream;
pub mod vault;

/// An error and its causes on one line, for a log or an operator.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Whether an eye takes a character for what it is: neither a control character nor one that is invisible, turns the
/// direction of writing or takes another's look.
#[must_use]
pub fn is_plain(char: char) -> bool {
    let deceives = matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    !(char.is_control() || deceives)
}
