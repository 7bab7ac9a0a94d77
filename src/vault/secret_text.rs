//! A text that must not be seen.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// A secret in memory: wiped when dropped, never printed, never serialised. It can be read from a request, as a secret
/// has to come from somewhere.
#[derive(Clone, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a text over. Copies that were made of it before are the caller's to wipe.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text itself; each use of this is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with a text in a time that does not tell where they differ.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// Takes bytes that were opened over, and wipes them when they are not text.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = SecretText::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "… Some(…)");
    }

    #[test]
    fn a_secret_is_compared_whole() {
        let secret = SecretText::new("hunter2");
        assert!(secret.is("hunter2"));
        assert!(!secret.is("hunter"));
        assert!(!secret.is("hunter3"));
        assert!(!secret.is(""));
    }

    #[test]
    fn a_secret_can_be_read_from_a_request() {
        let secret: SecretText = serde_json::from_str("\"a\\nb\"").unwrap();
        assert_eq!(secret.expose(), "a\nb");
    }
}
