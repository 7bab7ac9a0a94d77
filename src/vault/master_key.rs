//! The master key itself: its text, and what seals with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use super::VaultError;
use super::envelope::{Sealer, random};
use super::subkey::{KEY_BYTES, Subkey, hex, hmac};

/// How many bytes of a fingerprint tell keys apart in the names of files.
const FINGERPRINT_BYTES: usize = 4;

/// The key that seals the data key of every envelope, and nothing else.
pub(super) struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    pub(super) fn generate() -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Reads 32 bytes in base64.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = STANDARD.decode(text.trim()).ok()?;
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok().map(|key| Self(Zeroizing::new(key)));
        bytes.zeroize();
        key
    }

    /// Writes it as it is read.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Returns what seals and opens envelopes with this key.
    pub(super) fn sealer(&self) -> Sealer {
        Sealer::new(self.derive("seal"))
    }

    /// Returns a word that tells this key from others, and from which it cannot be found.
    pub(super) fn fingerprint(&self) -> String {
        let bytes = self.derive("fingerprint");
        hex(bytes.bytes().get(..FINGERPRINT_BYTES).unwrap_or_default())
    }

    fn derive(&self, purpose: &str) -> Subkey {
        Subkey::new(hmac(&self.0, purpose.as_bytes()))
    }
}
