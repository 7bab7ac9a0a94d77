//! What servers last claimed of their tools, for conditions that read `hints`.
//!
//! Taken from the lists of tools as they pass, and read from here by calls and listings alike: what a listing shows must be
//! what a call gets. A tool that was in no list yet has no hints: a condition sees an empty map. The claims are the server's
//! own; a rule that lets calls through because of them trusts the server.
//!
//! What is too much to be kept is not taken for nothing, as a rule that denies by it would let the call pass then: no
//! condition can read it, and so it denies.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;

use super::call::HINTS_BYTES_MAX;

/// Most tools of a server whose hints are kept; from then on those that are not known can't be read.
const TOOLS_MAX: usize = 10_000;
/// Stands for hints that are too much to be kept.
const UNREADABLE: &str = "";

/// By server.
#[derive(Clone, Default)]
pub(super) struct Hints(Arc<DashMap<String, Claims>>);

/// What one server claims.
#[derive(Default)]
struct Claims {
    by_tool: HashMap<String, Arc<str>>,
    /// There were more tools than are kept.
    is_cut: bool,
}

impl Hints {
    /// Keeps what a list says: pairs of a tool and its annotations, if it has any.
    pub(super) fn keep<'t>(&self, server: &str, tools: impl Iterator<Item = (String, Option<&'t str>)>) {
        let mut claims = self.0.entry(server.to_owned()).or_default();
        for (tool, hints) in tools {
            match hints {
                Some(hints) => claims.keep(tool, if hints.len() > HINTS_BYTES_MAX { UNREADABLE } else { hints }),
                None => drop(claims.by_tool.remove(&tool)),
            }
        }
    }

    pub(super) fn find(&self, server: &str, tool: &str) -> Option<Arc<str>> {
        let claims = self.0.get(server)?;
        let unknown = || claims.is_cut.then(|| UNREADABLE.into());
        claims.by_tool.get(tool).cloned().or_else(unknown)
    }

    pub(super) fn forget(&self, server: &str) {
        self.0.remove(server);
    }
}

impl Claims {
    fn keep(&mut self, tool: String, hints: &str) {
        if self.by_tool.get(&tool).is_some_and(|known| **known == *hints) {
            return;
        }
        if self.by_tool.len() < TOOLS_MAX || self.by_tool.contains_key(&tool) {
            self.by_tool.insert(tool, hints.into());
        } else {
            self.is_cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_be_kept_is_not_taken_for_nothing() {
        let hints = Hints::default();
        let (long, short) = (format!("{{\"a\":\"{}\"}}", "x".repeat(HINTS_BYTES_MAX)), r#"{"readOnlyHint":true}"#);
        hints.keep("s", [("long".to_owned(), Some(long.as_str())), ("short".to_owned(), Some(short))].into_iter());
        assert_eq!(hints.find("s", "long").as_deref(), Some(UNREADABLE));
        assert_eq!(hints.find("s", "short").as_deref(), Some(short));
        assert_eq!(hints.find("s", "none"), None);
        hints.keep("s", [("long".to_owned(), None)].into_iter());
        assert_eq!(hints.find("s", "long"), None, "the last list counts");
        hints.keep("s", (0..=TOOLS_MAX).map(|n| (n.to_string(), Some(short))));
        let last = TOOLS_MAX.to_string();
        assert_eq!(hints.find("s", &last).as_deref(), Some(UNREADABLE), "of so many, nobody knows what it claims");
        assert_eq!(hints.find("s", "0").as_deref(), Some(short));
    }
}
