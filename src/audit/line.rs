//! The audit as lines of JSON: what is exported and told elsewhere.
//!
//! A line holds no character that could break it, colour a terminal or turn the direction of writing: these are written as
//! `\u` escapes, which are the same text to whoever parses it.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::strict;
use crate::trail::{Checkpoint, Link};

/// One line of an export.
#[derive(Debug)]
pub enum Line {
    /// something that happened
    Event(Link),
    /// a signature
    Checkpoint(Checkpoint),
}

/// A line can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not JSON as it was written here.
    #[error("it can't be read: {0}")]
    NotRead(String),
}

#[derive(Serialize)]
struct EventLine<'a> {
    r#type: &'static str,
    chain: i64,
    seq: i64,
    at: String,
    kind: &'a str,
    actor: &'a str,
    subject: &'a str,
    data: &'a RawValue,
    prev: &'a str,
    hash: &'a str,
}

#[derive(Serialize)]
struct CheckpointLine<'a> {
    r#type: &'static str,
    chain: i64,
    seq: i64,
    hash: &'a str,
    at: String,
    previous: i64,
    bytes: i64,
    key: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Read {
    Event {
        chain: i64,
        seq: i64,
        at: String,
        kind: String,
        actor: String,
        subject: String,
        data: Value,
        prev: String,
        hash: String,
    },
    Checkpoint {
        chain: i64,
        seq: i64,
        hash: String,
        at: String,
        previous: i64,
        bytes: i64,
        key: String,
        signature: String,
    },
}

/// Writes an event as a line, without its end.
#[must_use]
pub fn line_of_event(link: &Link) -> String {
    let (hash, prev, data) = (link.hash.as_str(), link.prev.as_str(), link.data.as_str());
    let (kind, actor, subject) = (link.kind.as_str(), link.actor.as_str(), link.subject.as_str());
    // data that are no JSON were altered; what is given out in their place shows it
    let data = serde_json::from_str::<&RawValue>(data).unwrap_or(RawValue::NULL);
    let (chain, seq, at) = (link.chain, link.seq, moment(link.at));
    written(&EventLine { r#type: "event", chain, seq, at, kind, actor, subject, data, prev, hash })
}

/// Writes a checkpoint as a line, without its end.
#[must_use]
pub fn line_of_checkpoint(checkpoint: &Checkpoint) -> String {
    let Checkpoint { chain, seq, previous, bytes, .. } = *checkpoint;
    let (hash, key, signature) = (&*checkpoint.hash, &*checkpoint.key, &*checkpoint.signature);
    let at = moment(checkpoint.at);
    written(&CheckpointLine { r#type: "checkpoint", chain, seq, hash, at, previous, bytes, key, signature })
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not one that was written here.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        strict::check(text).map_err(|error| LineError::NotRead(error.to_string()))?;
        let read = serde_json::from_str(text).map_err(|error| LineError::NotRead(error.to_string()))?;
        Ok(match read {
            Read::Event { chain, seq, at, kind, actor, subject, data, prev, hash } => {
                let at = milliseconds(&at)?;
                Self::Event(Link { chain, seq, at, kind, actor, subject, data: data.to_string(), prev, hash })
            }
            Read::Checkpoint { chain, seq, hash, at, previous, bytes, key, signature } => {
                let at = milliseconds(&at)?;
                Self::Checkpoint(Checkpoint { chain, seq, hash, at, previous, bytes, key, signature })
            }
        })
    }
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn moment(at: i64) -> String {
    let moment = DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn milliseconds(text: &str) -> Result<i64, LineError> {
    let moment = DateTime::parse_from_rfc3339(text).map_err(|error| LineError::NotRead(error.to_string()))?;
    let at = moment.timestamp_millis();
    // any other way to write the same moment is a change of the line, too
    if self::moment(at) == text { Ok(at) } else { Err(LineError::NotRead("its time is not written as here".into())) }
}

fn written(line: &impl Serialize) -> String {
    plain(&serde_json::to_string(line).unwrap_or_default())
}

/// Writes what a terminal or an eye takes for something else as JSON would: in a JSON text it stays the same text. Blanks
/// and the ends of lines stay.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let is_odd = deceives(c) || c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if is_odd {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // writing to a String cannot fail
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// What JSON leaves as it is, and a terminal or an eye takes for something else.
fn deceives(c: char) -> bool {
    matches!(
        c,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::trail::{Event, Head};

    fn link(text: &str, at: i64) -> Link {
        let event = Event::new("call.denied", format!("tool:{text}"), &json!({ "tool": text, "n": [1, null] }));
        Head::of_empty(1).append(event, text, at)
    }

    proptest! {
        #[test]
        fn whatever_it_says_it_is_one_line_that_reads_as_what_was_written(
            text in "\\PC{0,8}|[\\x00-\\x1f\\x7f-\u{9f}\u{2028}\u{2029}\u{202e}\u{e0001}]{0,8}|.{0,8}", at in 0i64..4_000_000_000_000
        ) {
            let link = link(&text, at);
            let line = line_of_event(&link);
            prop_assert_eq!(line.lines().count(), 1);
            prop_assert!(!line.chars().any(|c| c.is_control() || deceives(c)));
            match Line::parse(&line) {
                Ok(Line::Event(read)) => {
                    prop_assert_eq!(read.computed_hash(), link.hash.clone());
                    prop_assert_eq!(read, link);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn a_line_that_says_something_twice_is_not_read() {
        let line = line_of_event(&link("a", 5));
        let twice = line.replace("\"actor\":\"a\"", "\"actor\":\"b\",\"actor\":\"a\"");
        assert!(Line::parse(&twice).is_err());
        let twice = line.replace("{\"n\":[1,null],", "{\"n\":2,\"n\":[1,null],");
        assert!(twice != line && Line::parse(&twice).is_err());
        assert!(Line::parse(&line.replace("1970-01-01T00:00:00.005Z", "1970-01-01T00:00:00.005+00:00")).is_err());
    }
}
