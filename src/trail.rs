//! The trail of the audit: what is told, what is hashed, what is signed, and whether all of it still holds.
//!
//! Events come in and get their place: a number without gaps, the hash of the one before, their own hash. Whoever has
//! the events and the checkpoints can tell whether anything was altered, removed, added or moved, and where; nobody
//! needs the gateway for that, as `docs/audit.md` says to the byte what is hashed. Pure: no database, no clock, no
//! private key.

mod checkpoint;
mod event;
mod link;
mod removal;
mod verifier;

pub use checkpoint::{Checkpoint, PublicKey, SIGNED_EVERY, Sign};
pub use event::{Event, difference};
pub use link::{GENESIS, Head, Link};
pub use removal::{REMOVED, Removal};
pub use verifier::{FINDINGS_MAX, Finding, Report, Verifier};

use sha2::{Digest as _, Sha256};

/// Joins parts so that neighbours can't be mistaken for each other: each has its length before it, as eight bytes, the
/// highest first.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// What stands for a text that is too long to be told, or must not be: `sha256:` and hex.
#[must_use]
pub fn digest(text: &str) -> String {
    format!("sha256:{}", sha256(text.as_bytes()))
}

/// SHA-256, as lower-case hex.
fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
