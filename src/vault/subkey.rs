//! A key for one purpose, and the keyed hash that it is for.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How many bytes a key has.
pub(super) const KEY_BYTES: usize = 32;

/// A key derived for one purpose.
pub struct Subkey(Zeroizing<[u8; KEY_BYTES]>);

impl Subkey {
    pub(super) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(key))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Gives out the key itself, for what is neither a digest nor an envelope.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Returns the HMAC-SHA-256 of a text under this key, as lower-case hex.
    #[must_use]
    pub fn digest(&self, text: &str) -> String {
        hex(&hmac(&self.0, text.as_bytes()))
    }
}

impl fmt::Debug for Subkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Subkey")
    }
}

/// Returns the HMAC-SHA-256 of some bytes.
pub(super) fn hmac(key: &[u8; KEY_BYTES], bytes: &[u8]) -> [u8; KEY_BYTES] {
    // a key of any length is taken, so there is no other arm
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; KEY_BYTES] };
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Writes bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_hmac_sha_256() {
        // RFC 4231 has no case with a key of 32 bytes; this is from Python's hmac module
        let key = Subkey::new([0x0b; KEY_BYTES]);
        assert_eq!(key.digest("Hi There"), "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", Subkey::new([7; KEY_BYTES])), "Subkey");
    }
}
