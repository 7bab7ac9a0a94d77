//! The last lines that a child wrote to stderr, bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// Most bytes kept.
const BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one line.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// A secret shorter than this would turn the log into dots.
const SECRET_CHARS_MIN: usize = 6;

/// A ring of lines, free of the server's own secrets.
#[derive(Default)]
pub(super) struct Tail {
    lines: Mutex<Lines>,
    secrets: ArcSwap<Vec<String>>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Lines that hold one of `secrets` are kept with dots in its place.
    #[must_use]
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let tail = Self::default();
        tail.hide(secrets);
        tail
    }

    /// From now on these are the secrets. Lines that are kept already stay as they are.
    pub(super) fn hide(&self, secrets: impl IntoIterator<Item = String>) {
        let is_long = |secret: &String| secret.chars().count() >= SECRET_CHARS_MIN;
        self.secrets.store(Arc::new(secrets.into_iter().filter(is_long).collect()));
    }

    /// Keeps a line, and forgets the oldest ones for it.
    pub(super) fn push(&self, line: &str) {
        let line = self.scrub(line);
        let line = cut(&line, LINE_BYTES_MAX);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.bytes += line.len();
        lines.kept.push_back(line.to_owned());
        while lines.bytes > BYTES_MAX {
            let Some(oldest) = lines.kept.pop_front() else { break };
            lines.bytes -= oldest.len();
        }
    }

    /// The last `count` lines, oldest first.
    #[must_use]
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.kept.iter().skip(lines.kept.len().saturating_sub(count)).cloned().collect()
    }

    /// The text with dots for the server's secrets.
    #[must_use]
    pub(super) fn scrub(&self, text: &str) -> String {
        self.secrets.load().iter().fold(text.to_owned(), |text, secret| text.replace(secret, "•••"))
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_keeps_the_newest() {
        let tail = Tail::default();
        for n in 0..10_000 {
            tail.push(&format!("line {n} {}", "é".repeat(20)));
        }
        tail.push(&"x".repeat(1 << 20));
        let lines = tail.last(usize::MAX);
        assert!(lines.iter().map(String::len).sum::<usize>() <= BYTES_MAX);
        assert_eq!(lines.last().map(String::len), Some(LINE_BYTES_MAX));
        assert!(tail.last(2)[0].starts_with("line 9999"));
    }

    #[test]
    fn a_secret_never_stands_in_the_tail() {
        let tail = Tail::new(["s3cret-value".to_owned(), "ab".to_owned()]);
        tail.push("token=s3cret-value cab");
        assert_eq!(tail.last(1), ["token=••• cab"]);
        tail.hide(["an0ther-value".to_owned()]);
        tail.push("token=an0ther-value");
        assert_eq!(tail.last(1), ["token=•••"]);
    }
}
