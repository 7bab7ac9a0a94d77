//! Which rules a call of a server could match at all.
//!
//! In a large set most rules name their servers outright. They are looked up by that name; those that name a glob are
//! tried for every call. The two lists are gone through side by side, so that the rules keep their order.

use std::collections::HashMap;
use std::iter::Peekable;
use std::slice::Iter;

use crate::gate::rule::Rule;

/// Places in the list of rules, in their order.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_server: HashMap<String, Vec<usize>>,
    any_server: Vec<usize>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (place, rule) in rules.iter().enumerate() {
            let Some(servers) = rule.servers.literals() else {
                index.any_server.push(place);
                continue;
            };
            for server in servers {
                let places = index.by_server.entry(server.to_owned()).or_default();
                // A name that is written twice is one.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        index
    }

    pub(super) fn candidates<'r>(&'r self, rules: &'r [Rule], server: &str) -> impl Iterator<Item = &'r Rule> {
        let named = self.by_server.get(server).map(Vec::as_slice).unwrap_or_default();
        let places = InOrder { named: named.iter().peekable(), any: self.any_server.iter().peekable() };
        places.filter_map(|place| rules.get(place))
    }
}

struct InOrder<'i> {
    named: Peekable<Iter<'i, usize>>,
    any: Peekable<Iter<'i, usize>>,
}

impl Iterator for InOrder<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let is_named_next = match (self.named.peek(), self.any.peek()) {
            (Some(named), Some(any)) => named < any,
            (named, _) => named.is_some(),
        };
        if is_named_next { self.named.next().copied() } else { self.any.next().copied() }
    }
}
