//! Reads an event stream (WHATWG HTML, section 9.2): bytes in, events out, in bounded memory.
//!
//! The crates for it keep whatever a server sends until an event ends; one that never ends an event would fill the
//! gateway's memory. Hence this small reader, which gives up at a bound.

use std::collections::VecDeque;
use std::time::Duration;

/// What a server may ask to be left alone for between two connections, at least and at most: one that asks for nothing
/// would keep a thread busy with coming back.
const RETRY_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(1));

/// One event; comments and unknown fields are left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// `event:`; empty means `message`.
    pub(super) name: String,
    /// `data:`, its lines joined.
    pub(super) data: String,
}

impl Event {
    /// Whether it carries a message of the protocol. An event that only primes the stream carries none.
    pub(super) fn is_message(&self) -> bool {
        matches!(self.name.as_str(), "" | "message") && !self.data.is_empty()
    }
}

/// An event is longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The state of one stream.
#[derive(Default)]
pub(super) struct Events {
    bytes_max: usize,
    /// The line that has not ended yet.
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    has_read: bool,
    /// The last byte was a carriage return: a line feed after it ends no other line.
    is_after_return: bool,
    ready: VecDeque<Event>,
    /// The last `id:` that was read.
    id: Option<String>,
    /// That of the last whole event; a reconnection asks for what came after it.
    pub(super) last_id: Option<String>,
    /// `retry:`
    pub(super) retry: Option<Duration>,
}

impl Events {
    /// A stream whose events are at most `bytes_max` long.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// The stream that goes on where this one was cut: what was not whole comes again.
    pub(super) fn resumed(&self, last_id: String) -> Self {
        Self { last_id: Some(last_id), retry: self.retry, ..Self::new(self.bytes_max) }
    }

    /// Takes what came.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        if self.is_after_return {
            self.is_after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (part, rest) = bytes.split_at(end);
            self.keep(part)?;
            let is_return = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            if is_return {
                match bytes.strip_prefix(b"\n") {
                    Some(after) => bytes = after,
                    None => self.is_after_return = bytes.is_empty(),
                }
            }
            self.end_line();
        }
        self.keep(bytes)
    }

    /// The next whole event.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + part.len() + self.event.data.len() > self.bytes_max {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.has_read, true) && text.starts_with('\u{feff}') {
            text = text.trim_start_matches('\u{feff}').to_owned().into();
        }
        if text.is_empty() {
            return self.dispatch();
        }
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => {
                let asked = value.parse().ok().map(Duration::from_millis);
                self.retry = asked.map(|asked: Duration| asked.clamp(RETRY_BOUNDS.0, RETRY_BOUNDS.1)).or(self.retry);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        if let Some(id) = self.id.take() {
            // An empty one takes back what was given before.
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of `text`, given in pieces of `size` bytes.
    fn events_of(text: &str, size: usize) -> (Vec<(String, String)>, Events) {
        let mut events = Events::new(1000);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            events.push(piece).unwrap();
            while let Some(event) = events.next() {
                found.push((event.name, event.data));
            }
        }
        (found, events)
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.into(), data.into())
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text = "\u{feff}: hello\n\ndata: one\nid: 7\n\nevent: endpoint\r\ndata:/x\r\n\r\ndata\n\nretry: 1500\ndata: a\ndata: é\r\rdata: open";
        let expected = [event("", "one"), event("endpoint", "/x"), event("", ""), event("", "a\né")];
        for size in [1, 2, 3, 5, 1000] {
            let (found, events) = events_of(text, size);
            assert_eq!(found, expected, "in pieces of {size}");
            assert_eq!(events.last_id.as_deref(), Some("7"));
            assert_eq!(events.retry, Some(Duration::from_millis(1500)));
        }
    }

    #[test]
    fn an_event_that_was_cut_comes_again() {
        let (_, events) = events_of("id: 1\ndata: one\n\nid: 2\ndata: tw", 1000);
        assert_eq!(events.last_id.as_deref(), Some("1"), "the second one was not whole");
        let (_, events) = events_of("id: 1\ndata: one\n\nid:\ndata: two\n\n", 1000);
        assert_eq!(events.last_id, None, "there is nothing to come back to any more");
    }

    #[test]
    fn a_server_that_wants_no_pause_is_given_one() {
        let (_, events) = events_of("retry: 0\n\n", 1000);
        assert!(events.retry.is_some_and(|pause| !pause.is_zero()));
    }

    #[test]
    fn an_event_that_never_ends_is_given_up_at_the_bound() {
        let mut events = Events::new(100);
        assert_eq!(events.push(b"data: "), Ok(()));
        assert_eq!(events.push(&[b'x'; 100]), Err(TooLong));
        let mut events = Events::new(100);
        let fill = || events.push(b"data: 0123456789\n");
        assert!(std::iter::repeat_with(fill).take(20).any(|pushed| pushed == Err(TooLong)));
    }

    #[test]
    fn comments_cost_nothing() {
        let mut events = Events::new(100);
        for _ in 0..1000 {
            events.push(b": still here\n\n").unwrap();
        }
        assert_eq!(events.next(), None);
    }

    #[test]
    fn only_messages_are_messages() {
        let is_message = |name: &str, data: &str| Event { name: name.into(), data: data.into() }.is_message();
        assert!(is_message("", "{}") && is_message("message", "{}"));
        assert!(!is_message("", "") && !is_message("endpoint", "/x"));
    }
}
