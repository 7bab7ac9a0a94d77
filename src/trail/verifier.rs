//! Whether a record still holds: events and checkpoints go by, and what does not fit is found and told where.
//!
//! Of each chain first the checkpoints are told, then the events, each in the order of their numbers. Memory is bounded by the
//! number of checkpoints.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::checkpoint::{Checkpoint, PublicKey};
use super::link::{GENESIS, Link};

/// The kind of the event that tells that events before it were removed, because they were old or too many.
pub const REMOVED: &str = "audit.removed";
/// How many findings are told; where so many are, nobody counts.
const FINDINGS_MAX: usize = 100;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// which chain
    pub chain: i64,
    /// at which number
    pub seq: i64,
    /// one phrase
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "chain {}, event {}: {}", self.chain, self.seq, self.what)
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// how many events there are
    pub events: u64,
    /// how many checkpoints there are
    pub checkpoints: u64,
    /// how many of the events no checkpoint covers yet
    pub unsigned: u64,
    /// what does not fit
    pub findings: Vec<Finding>,
}

/// See the module.
#[derive(Debug)]
pub struct Verifier {
    key: PublicKey,
    chains: BTreeMap<i64, Chain>,
    report: Report,
}

#[derive(Debug, Default)]
struct Chain {
    /// by the number of the event
    checkpoints: BTreeMap<i64, Checkpoint>,
    /// what was kept elsewhere, and is believed
    known: BTreeMap<i64, Checkpoint>,
    /// number and hash of the last event that went by
    last: Option<(i64, String)>,
    /// the number of the first event, when the ones before it have to be accounted for
    begins_late: Option<i64>,
    /// up to which number a checkpoint fits
    signed: i64,
}

impl Verifier {
    /// Begins to look at what the owner of this key has signed.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self { key, chains: BTreeMap::new(), report: Report::default() }
    }

    /// Takes a checkpoint that was kept where nobody could alter it: what it says must still be so.
    pub fn known(&mut self, checkpoint: Checkpoint) {
        if checkpoint.is_signed_by(&self.key) {
            self.chains.entry(checkpoint.chain).or_default().known.insert(checkpoint.seq, checkpoint);
        } else {
            self.find(checkpoint.chain, checkpoint.seq, "the checkpoint that was kept is not signed by this key");
        }
    }

    /// Takes the next checkpoint of the record.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.report.checkpoints += 1;
        let (chain, seq) = (checkpoint.chain, checkpoint.seq);
        if !checkpoint.is_signed_by(&self.key) {
            return self.find(chain, seq, "its checkpoint is not signed by this key, or was altered");
        }
        let of_chain = self.chains.entry(chain).or_default();
        let before = of_chain.checkpoints.last_key_value().map_or(0, |(seq, _)| *seq);
        let fits = checkpoint.previous == before && seq > before;
        of_chain.checkpoints.insert(seq, checkpoint);
        if !fits {
            self.find(chain, seq, &format!("its checkpoint does not follow the one of event {before}"));
        }
    }

    /// Takes the next event of the record.
    pub fn event(&mut self, link: &Link) {
        self.report.events += 1;
        let (chain, seq) = (link.chain, link.seq);
        if link.hash != link.computed_hash() {
            self.find(chain, seq, "it was altered: its hash is another one");
        }
        let of_chain = self.chains.entry(chain).or_default();
        let mut faults = Vec::new();
        match of_chain.last.take() {
            None if seq == 1 && link.prev == GENESIS => {}
            None => {
                let before = of_chain.checkpoints.get(&seq.saturating_sub(1));
                of_chain.begins_late = Some(seq);
                if before.is_none_or(|before| before.hash != link.prev) {
                    faults.push("it is the first, and no checkpoint stands for those before it".to_owned());
                }
            }
            Some((last, hash)) => {
                if seq != last.saturating_add(1) {
                    faults.push(format!("it follows event {last}: events are missing or not in their order"));
                } else if link.prev != hash {
                    faults.push("it does not continue the event before it".to_owned());
                }
            }
        }
        if of_chain.begins_late.is_some_and(|first| accounts_for(link, first)) {
            of_chain.begins_late = None;
        }
        for (checkpoints, what) in
            [(&of_chain.checkpoints, "the one that was signed"), (&of_chain.known, "the one that was kept")]
        {
            match checkpoints.get(&seq) {
                Some(checkpoint) if checkpoint.hash != link.hash => faults.push(format!("it is not {what}")),
                Some(_) => of_chain.signed = seq,
                None => {}
            }
        }
        of_chain.last = Some((seq, link.hash.clone()));
        for fault in faults {
            self.find(chain, seq, &fault);
        }
    }

    /// Looks at what must be there and did not come, and tells all that was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        for (number, chain) in std::mem::take(&mut self.chains) {
            let last = chain.last.as_ref().map_or(0, |(seq, _)| *seq);
            self.report.unsigned += u64::try_from(last.saturating_sub(chain.signed)).unwrap_or(0);
            for checkpoints in [&chain.checkpoints, &chain.known] {
                if let Some((signed, _)) = checkpoints.last_key_value().filter(|(signed, _)| **signed > last) {
                    self.find(number, *signed, &format!("it was signed for, and the record ends with event {last}"));
                }
            }
            if let Some(first) = chain.begins_late {
                self.find(number, first, "it is the first, and no event tells that those before it were removed");
            }
            for (seq, known) in &chain.known {
                if chain.checkpoints.get(seq) != Some(known) {
                    self.find(number, *seq, "its checkpoint is gone, or is not the one that was kept");
                }
            }
        }
        self.report
    }

    fn find(&mut self, chain: i64, seq: i64, what: &str) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { chain, seq, what: what.to_owned() });
        }
    }
}

/// Whether this event tells that all before the first one were removed.
fn accounts_for(link: &Link, first: i64) -> bool {
    let removed = || serde_json::from_str::<Value>(&link.data).ok()?.get("to")?.as_i64();
    link.kind == REMOVED && removed().is_some_and(|to| to.saturating_add(1) == first)
}
