//! A signature over the removal of old events, without which nobody is believed who says that they were old.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkpoint::{Checkpoint, PublicKey, Sign};
use super::link::Link;
use super::{hex, joined};

/// The kind of the event that tells that events before it were removed, because they were old or too many.
pub const REMOVED: &str = "audit.removed";

/// What is signed begins with this.
const FORMAT: &str = "atryum-audit-removal-1";

/// A signed statement: the first events of a chain were removed, and rightly so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// the number of the first event that is gone
    pub from: i64,
    /// the number of the last one
    pub to: i64,
    /// the hash of the last one
    pub hash: String,
    /// the public key, as hex
    pub key: String,
    /// Ed25519, as hex
    pub signature: String,
}

impl Removal {
    /// Has the removal signed of all events from `from` up to that of a checkpoint.
    #[must_use]
    pub fn of(from: i64, last: &Checkpoint, signer: &impl Sign) -> Self {
        let unsigned = Self {
            from,
            to: last.seq,
            hash: last.hash.clone(),
            key: signer.public_key().to_string(),
            signature: String::new(),
        };
        let signature = hex(&signer.sign(&unsigned.signed_bytes(last.chain)));
        Self { signature, ..unsigned }
    }

    /// What the event says that tells it.
    #[must_use]
    pub fn data(&self) -> Value {
        json!({ "from": self.from, "to": self.to, "hash": self.hash, "key": self.key, "signature": self.signature })
    }

    /// Reads the event that tells it.
    #[must_use]
    pub fn told_by(link: &Link) -> Option<Self> {
        serde_json::from_str(&link.data).ok().filter(|_| link.kind == REMOVED)
    }

    /// What the signature is over.
    #[must_use]
    pub fn signed_bytes(&self, chain: i64) -> Vec<u8> {
        let [chain, from, to] = [chain, self.from, self.to].map(|number| number.to_string());
        joined(&[FORMAT, &chain, &from, &to, &self.hash, &self.key])
    }

    /// Whether it was signed by the owner of this key, for that chain.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, chain: i64) -> bool {
        self.key == key.to_string() && key.has_signed(&self.signed_bytes(chain), &self.signature)
    }
}
