//! Whether a record still holds: events and checkpoints go by, and what does not fit is found and told where.
//!
//! First what was kept elsewhere is told; then of each chain the checkpoints, then the events, each in the order of their
//! numbers. Memory is bounded by the number of checkpoints, of each of which only a mark is kept.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::checkpoint::{Checkpoint, PublicKey};
use super::link::{GENESIS, Link};
use super::removal::{REMOVED, Removal};

/// How many findings are told; where so many are, nobody counts.
pub const FINDINGS_MAX: usize = 100;

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
    /// a mark of the hash that was signed, by the number of the event
    checkpoints: BTreeMap<i64, Mark>,
    /// what was kept elsewhere, and is believed
    known: BTreeMap<i64, Known>,
    /// the last event that went by
    last: Option<Last>,
    /// the first event, when the ones before it have to be accounted for
    begins_late: Option<i64>,
    /// up to which number a checkpoint fits
    signed: i64,
}

/// What stands for a hash: of a text that may be of any length it is as long as a hash.
type Mark = [u8; 32];

fn mark(hash: &str) -> Mark {
    Sha256::digest(hash.as_bytes()).into()
}

#[derive(Debug)]
struct Known {
    checkpoint: Checkpoint,
    /// the record holds the same
    is_there: bool,
}

#[derive(Debug)]
struct Last {
    seq: i64,
    at: i64,
    hash: String,
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
            let known = &mut self.chains.entry(checkpoint.chain).or_default().known;
            known.insert(checkpoint.seq, Known { checkpoint, is_there: false });
        } else {
            self.find(checkpoint.chain, checkpoint.seq, "the checkpoint that was kept is not signed by this key");
        }
    }

    /// Takes the next checkpoint of the record.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.report.checkpoints += 1;
        let (chain, seq) = (checkpoint.chain, checkpoint.seq);
        if !checkpoint.is_signed_by(&self.key) {
            return self.find(chain, seq, "its checkpoint is not signed by this key, or was altered");
        }
        let of_chain = self.chains.entry(chain).or_default();
        let before = of_chain.checkpoints.last_key_value().map_or(0, |(seq, _)| *seq);
        let fits = checkpoint.previous == before && seq > before;
        of_chain.checkpoints.insert(seq, mark(&checkpoint.hash));
        if let Some(known) = of_chain.known.get_mut(&seq) {
            known.is_there = known.checkpoint == *checkpoint;
        }
        if !fits {
            self.find(chain, seq, &format!("its checkpoint does not follow the one of event {before}"));
        }
    }

    /// Takes the next event of the record.
    pub fn event(&mut self, link: &Link) {
        self.report.events += 1;
        let (chain, seq) = (link.chain, link.seq);
        let mut faults = Vec::new();
        if link.hash != link.computed_hash() {
            faults.push("it was altered: its hash is another one".to_owned());
        }
        let key = self.key;
        let of_chain = self.chains.entry(chain).or_default();
        match of_chain.last.take() {
            Some(last) => faults.extend(last.broken_by(link)),
            None => faults.extend(of_chain.begin(link)),
        }
        if link.kind == REMOVED {
            match Removal::told_by(link).filter(|removal| removal.is_signed_by(&key, chain)) {
                Some(removal) => of_chain.account(&removal),
                None => faults.push("it tells of a removal that is not signed by this key".to_owned()),
            }
        }
        let hash = mark(&link.hash);
        let signed = of_chain.checkpoints.get(&seq).map(|signed| (*signed, "the one that was signed"));
        let known = of_chain.known.get(&seq).map(|known| (mark(&known.checkpoint.hash), "the one that was kept"));
        for (wanted, what) in signed.into_iter().chain(known) {
            if wanted == hash {
                of_chain.signed = seq;
            } else {
                faults.push(format!("it is not {what}"));
            }
        }
        of_chain.last = Some(Last { seq, at: link.at, hash: link.hash.clone() });
        for fault in faults {
            self.find(chain, seq, &fault);
        }
    }

    /// Takes what whoever reads the record found.
    pub fn note(&mut self, finding: Finding) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }

    /// Looks at what must be there and did not come, and tells all that was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let chains = std::mem::take(&mut self.chains);
        let is_only = chains.len() == 1;
        for (number, chain) in chains {
            let last = chain.last.as_ref().map_or(0, |last| last.seq);
            self.report.unsigned += u64::try_from(last.saturating_sub(chain.signed)).unwrap_or(0);
            for signed in [chain.checkpoints.keys().last(), chain.known.keys().last()].into_iter().flatten() {
                if *signed > last {
                    self.find(number, *signed, &format!("it was signed for, and the record ends with event {last}"));
                }
            }
            if let Some(first) = chain.begins_late {
                self.find(number, first, "it is the first, and no event tells that those before it were removed");
            }
            for (seq, _) in chain.known.iter().filter(|(_, known)| !known.is_there) {
                self.find(number, *seq, "its checkpoint is gone, or is not the one that was kept");
            }
            if !is_only && chain.checkpoints.is_empty() && chain.known.is_empty() {
                let what = "nothing of this chain is signed: unless a gateway has just begun it, it is somebody else's";
                self.find(number, last, what);
            }
        }
        self.report
    }

    fn find(&mut self, chain: i64, seq: i64, what: &str) {
        self.note(Finding { chain, seq, what: what.to_owned() });
    }
}

impl Chain {
    /// Takes the first event.
    fn begin(&mut self, link: &Link) -> Option<String> {
        if link.seq == 1 && link.prev == GENESIS {
            return None;
        }
        self.begins_late = Some(link.seq);
        let before = self.checkpoints.get(&link.seq.saturating_sub(1));
        let fits = before.is_some_and(|before| *before == mark(&link.prev));
        (!fits).then(|| "it is the first, and no checkpoint stands for those before it".to_owned())
    }

    /// Believes that events were removed, if they are those which are missing and which a checkpoint stands for.
    fn account(&mut self, removal: &Removal) {
        let is_the_same = self.checkpoints.get(&removal.to).is_some_and(|signed| *signed == mark(&removal.hash));
        if is_the_same && self.begins_late == Some(removal.to.saturating_add(1)) {
            self.begins_late = None;
        }
    }
}

impl Last {
    /// Why that event can't be the next one.
    fn broken_by(&self, link: &Link) -> Option<String> {
        if link.seq != self.seq.saturating_add(1) {
            return Some(format!("it follows event {}: events are missing or not in their order", self.seq));
        }
        if link.prev != self.hash {
            return Some("it does not continue the event before it".to_owned());
        }
        (link.at < self.at).then(|| "it has an earlier time than the event before it".to_owned())
    }
}
