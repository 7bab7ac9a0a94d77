//! What servers last claimed of their tools, for conditions that read `hints`.
//!
//! Taken from the lists of tools as they pass. A tool that was in none yet has no hints: a condition sees an empty map. The
//! claims are the server's own; a rule that lets calls through because of them trusts the server.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;

/// Most tools of a server whose hints are kept; those that come later have none.
const TOOLS_MAX: usize = 10_000;
/// Most bytes of a tool's hints; longer ones are not kept.
const BYTES_MAX: usize = 4 * 1024;

/// By server and tool.
#[derive(Clone, Default)]
pub(super) struct Hints(Arc<DashMap<String, HashMap<String, Arc<str>>>>);

impl Hints {
    /// Keeps what a list says: pairs of a tool and its annotations, if it has any.
    pub(super) fn keep<'t>(&self, server: &str, tools: impl Iterator<Item = (String, Option<&'t str>)>) {
        let mut kept = self.0.entry(server.to_owned()).or_default();
        for (tool, hints) in tools {
            match hints.filter(|hints| hints.len() <= BYTES_MAX) {
                Some(hints) if kept.get(&tool).is_some_and(|known| **known == *hints) => {}
                Some(hints) if kept.len() < TOOLS_MAX || kept.contains_key(&tool) => {
                    kept.insert(tool, hints.into());
                }
                _ => drop(kept.remove(&tool)),
            }
        }
    }

    pub(super) fn find(&self, server: &str, tool: &str) -> Option<Arc<str>> {
        self.0.get(server)?.get(tool).cloned()
    }
}
