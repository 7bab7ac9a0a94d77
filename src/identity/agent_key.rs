//! The key of an agent, as text.
//!
//! `atr_`, then 43 characters for 256 random bits, then 6 for a checksum. The prefix lets secret scanners find a key that
//! leaked; the checksum tells a mistyped key from an unknown one without asking anybody.

use super::{IdentityError, Refusal, TOKEN_BYTES, random};
use crate::vault::{SecretText, Subkey};

/// What every key begins with.
const PREFIX: &str = "atr_";
/// 62^43 is just above 2^256.
const SECRET_CHARS: usize = 43;
/// 62^6 is above 2^32.
const CHECKSUM_CHARS: usize = 6;
/// How much of a key is kept in clear, to tell keys apart: the prefix and six characters.
const SHOWN_CHARS: usize = 10;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key, shown once to the operator who made it. Only its digest is kept.
#[derive(Debug)]
pub struct AgentKey(SecretText);

impl AgentKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self::from_bytes(random()?))
    }

    fn from_bytes(bytes: [u8; TOKEN_BYTES]) -> Self {
        let secret = base62(bytes, SECRET_CHARS);
        let checksum = checksum(&secret);
        Self(SecretText::new(format!("{PREFIX}{secret}{checksum}")))
    }

    /// Checks that a text has the form of a key, checksum and all.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        check(text)?;
        Ok(Self(SecretText::new(text)))
    }

    /// Returns the key itself, to be shown once.
    #[must_use]
    pub fn text(&self) -> &SecretText {
        &self.0
    }

    /// Returns the first characters, by which an operator tells keys apart.
    #[must_use]
    pub fn shown_prefix(&self) -> &str {
        self.0.expose().get(..SHOWN_CHARS).unwrap_or(PREFIX)
    }

    /// Returns what is kept of the key: HMAC-SHA-256, as hex.
    #[must_use]
    pub fn digest(&self, subkey: &Subkey) -> String {
        subkey.digest(self.0.expose())
    }
}

/// Refuses a text that cannot be a key.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let digits = text.strip_prefix(PREFIX).ok_or(Refusal::Malformed)?;
    if digits.len() != SECRET_CHARS + CHECKSUM_CHARS || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::Malformed);
    }
    let (secret, found) = digits.split_at_checked(SECRET_CHARS).ok_or(Refusal::Malformed)?;
    if checksum(secret) == found { Ok(()) } else { Err(Refusal::Malformed) }
}

fn checksum(secret: &str) -> String {
    base62(crc32(secret.as_bytes()).to_be_bytes(), CHECKSUM_CHARS)
}

/// Writes a big-endian number with exactly `chars` digits to the base of 62.
fn base62<const N: usize>(mut number: [u8; N], chars: usize) -> String {
    let mut digits = vec!['0'; chars];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let value = (remainder << 8) | u16::from(*byte);
            // the remainder is below 62, so the quotient is below 256
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = DIGITS.get(usize::from(remainder)).copied().map_or('0', char::from);
    }
    digits.into_iter().collect()
}

/// The CRC-32 of zip and PNG. A table would be faster; 43 bytes are not worth one.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn numbers_are_written_to_the_base_of_62() {
        assert_eq!(base62([0, 0, 0, 61], 6), "00000z");
        assert_eq!(base62([0, 0, 1, 0], 6), "000048");
        assert_eq!(base62([255; 4], 6), "4gfFC3");
        assert_eq!(base62([0; 32], 43), "0".repeat(43));
        assert!(!base62([255; 32], 43).starts_with('0'));
    }

    proptest! {
        #[test]
        fn every_key_is_well_formed_and_no_two_are_alike(one: [u8; 32], other: [u8; 32]) {
            let (key, other_key) = (AgentKey::from_bytes(one), AgentKey::from_bytes(other));
            let text = key.text().expose();
            prop_assert_eq!(text.len(), 53);
            prop_assert!(AgentKey::parse(text).is_ok());
            prop_assert_eq!(one == other, text == other_key.text().expose());
            prop_assert!(text.starts_with(key.shown_prefix()));
        }

        #[test]
        fn a_mistyped_key_is_malformed(bytes: [u8; 32], place in 4usize..53, digit in 0usize..62) {
            let key = AgentKey::from_bytes(bytes);
            let mut typed = key.text().expose().as_bytes().to_vec();
            prop_assume!(typed[place] != DIGITS[digit]);
            typed[place] = DIGITS[digit];
            prop_assert_eq!(check(std::str::from_utf8(&typed).unwrap()), Err(Refusal::Malformed));
        }

        #[test]
        fn whatever_is_not_a_key_is_malformed(text in ".{0,80}", tail in "[a-zA-Z0-9é]{40,50}") {
            prop_assert_eq!(check(&text), Err(Refusal::Malformed));
            let _ = check(&format!("{PREFIX}{tail}"));
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", AgentKey::generate().unwrap()), "AgentKey(…)");
    }
}
