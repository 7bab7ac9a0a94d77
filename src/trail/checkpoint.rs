//! A signature over the end of a chain, which nobody can make who has only the database.

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::link::Head;
use super::{hex, joined, unhex};

/// After how many events there is a checkpoint at the latest.
pub const SIGNED_EVERY: i64 = 1_000;

/// What is signed begins with this.
const FORMAT: &str = "atryum-audit-checkpoint-1";
/// How many bytes a public key has.
const KEY_BYTES: usize = 32;

/// Whoever has the private key.
pub trait Sign {
    /// What their signatures are checked with.
    fn public_key(&self) -> PublicKey;

    /// Ed25519 over these bytes.
    fn sign(&self, bytes: &[u8]) -> Vec<u8>;
}

/// A signed statement: the chain had this event at this place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// which chain
    pub chain: i64,
    /// the number of the event
    pub seq: i64,
    /// the hash of the event
    pub hash: String,
    /// ms; when it was signed
    pub at: i64,
    /// the number of the checkpoint before; 0 when it is the first
    pub previous: i64,
    /// about how many bytes all events take up to here, with those that were removed
    pub bytes: i64,
    /// the public key, as hex
    pub key: String,
    /// Ed25519, as hex
    pub signature: String,
}

impl Checkpoint {
    /// Has the end of a chain signed; `previous` and `bytes` are as in the fields.
    #[must_use]
    pub fn of(head: &Head, (previous, bytes): (i64, i64), at: i64, signer: &impl Sign) -> Self {
        let unsigned = Self {
            chain: head.chain,
            seq: head.seq,
            hash: head.hash.clone(),
            at,
            previous,
            bytes,
            key: signer.public_key().to_string(),
            signature: String::new(),
        };
        let signature = hex(&signer.sign(&unsigned.signed_bytes()));
        Self { signature, ..unsigned }
    }

    /// What the signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let numbers = [self.chain, self.seq, self.at, self.previous, self.bytes].map(|number| number.to_string());
        let [chain, seq, at, previous, bytes] = &numbers;
        joined(&[FORMAT, chain, seq, &self.hash, at, previous, bytes, &self.key])
    }

    /// Whether it was signed by the owner of this key.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.key == key.to_string() && key.has_signed(&self.signed_bytes(), &self.signature)
    }
}

/// What signatures are checked with; it may be known to anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Takes the 32 bytes of an Ed25519 key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether the signature, as lower-case hex, is over these bytes and by the owner of this key.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &str) -> bool {
        // the same bytes in another spelling were written by somebody else
        let signature = unhex(signature).filter(|bytes| hex(bytes) == signature);
        signature.is_some_and(|signature| UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = unhex(&text.to_lowercase()).and_then(|bytes| Self::from_bytes(&bytes));
        bytes.ok_or("a public key is 64 hexadecimal digits")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
