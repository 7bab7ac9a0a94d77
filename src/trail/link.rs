//! An event in its place, and its hash.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::{joined, sha256};

/// What the first event of a chain has in the place of the hash of the one before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is hashed begins with this.
const FORMAT: &str = "atryum-audit-1";

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// the chain
    pub chain: i64,
    /// the number of its last event; 0 when it has none
    pub seq: i64,
    /// ms; when its last event was written
    pub at: i64,
    /// the hash of its last event, or [`GENESIS`]
    pub hash: String,
}

impl Head {
    /// The end of a chain that has no events.
    #[must_use]
    pub fn of_empty(chain: i64) -> Self {
        Self { chain, seq: 0, at: i64::MIN, hash: GENESIS.to_owned() }
    }

    /// Gives an event the next place, which is the end from then on. When the clock was set back, an event has the time of
    /// the one before: so one with an earlier time was put there by somebody else.
    pub fn append(&mut self, event: Event, actor: &str, at: i64) -> Link {
        let mut link = Link {
            chain: self.chain,
            seq: self.seq + 1,
            at: at.max(self.at),
            kind: event.kind,
            actor: event.actor.unwrap_or_else(|| actor.to_owned()),
            subject: event.subject,
            data: event.data,
            prev: std::mem::take(&mut self.hash),
            hash: String::new(),
        };
        link.hash = link.computed_hash();
        (self.seq, self.at, self.hash) = (link.seq, link.at, link.hash.clone());
        link
    }
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// which chain
    pub chain: i64,
    /// its number, from 1, without gaps
    pub seq: i64,
    /// ms; when it was written
    pub at: i64,
    /// what happened
    pub kind: String,
    /// who did it
    pub actor: String,
    /// what it happened to
    pub subject: String,
    /// a JSON object
    pub data: String,
    /// the hash of the event before
    pub prev: String,
    /// over all of the above
    pub hash: String,
}

impl Link {
    /// What its hash must be.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        let (chain, seq, at) = (self.chain.to_string(), self.seq.to_string(), self.at.to_string());
        let (kind, actor, subject) = (&self.kind, &self.actor, &self.subject);
        sha256(&joined(&[FORMAT, &chain, &seq, &at, kind, actor, subject, &self.data, &self.prev]))
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        let texts = [&self.kind, &self.actor, &self.subject, &self.data, &self.prev, &self.hash];
        let numbers = 3 * size_of::<i64>();
        i64::try_from(numbers + texts.iter().map(|text| text.len()).sum::<usize>()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        // computed by the Python program in docs/audit.md
        let mut head = Head::of_empty(1);
        let first = head.append(Event::new("gateway.started", "gateway", &json!({ "version": "é" })), "gateway", 1_000);
        assert_eq!(first.hash, HASH_OF_FIRST);
        assert_eq!((first.seq, first.prev.as_str()), (1, GENESIS));
        let second = head.append(Event::new("a", "b", &json!({})).by("c"), "gateway", 2_000);
        assert_eq!((second.seq, &second.prev, second.actor.as_str()), (2, &first.hash, "c"));
        assert_eq!((head.seq, &head.hash), (2, &second.hash));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_turn_the_order_of_events() {
        let mut head = Head::of_empty(1);
        let times = [5, 7, 3, 8].map(|at| head.append(Event::new("a", "b", &json!({})), "gateway", at).at);
        assert_eq!(times, [5, 7, 7, 8]);
    }

    const HASH_OF_FIRST: &str = "5a442c500e1892c9d3777d75bdce2f88527f261427427d42beb68cd1c2352cd9";
}
