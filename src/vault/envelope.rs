//! The sealed form of a secret.
//!
//! A slot and a text, or a slot and an envelope come in. The form of an envelope, version 1:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version |
//! | 24 + 48 | nonce and data key, sealed by a key derived from the master key |
//! | 24 + n + 16 | nonce and text, sealed by the data key |
//!
//! Both are XChaCha20-Poly1305, whose nonces are long enough to be drawn at random, and are bound to the version and to
//! what they belong to by their associated data: the data key to its place, the text to its place and to where it may be
//! sent. The master key is changed by sealing the data keys anew, which takes no more than is known of a row that was
//! found.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::slot::Slot;
use super::subkey::KEY_BYTES;
use super::{Subkey, VaultError};
use crate::store::envelope::Place;

/// The version that is written.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SEALED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// Seals and opens with a key that was derived from the master key.
pub(super) struct Sealer {
    key: Subkey,
}

impl Sealer {
    pub(super) fn new(key: Subkey) -> Self {
        Self { key }
    }

    /// Seals some bytes for a slot.
    pub(super) fn seal(&self, slot: &Slot<'_>, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        let data_key = Zeroizing::new(random::<KEY_BYTES>()?);
        let mut envelope = vec![VERSION];
        seal_part(&mut envelope, self.key.bytes(), &of_data_key(slot.place), data_key.as_slice())?;
        seal_part(&mut envelope, &data_key, &of_text(slot), bytes)?;
        Ok(envelope)
    }

    /// Opens what was sealed for that slot.
    pub(super) fn open(&self, slot: &Slot<'_>, envelope: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (data_key, text) = self.open_data_key(slot.place, envelope)?;
        open_part(&data_key, &of_text(slot), text).ok_or_else(|| VaultError::refused(slot.place))
    }

    /// Seals the data key of an envelope for `next` instead; the text stays as it is, and is not opened.
    pub(super) fn reseal(&self, next: &Self, place: Place<'_>, envelope: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (data_key, text) = self.open_data_key(place, envelope)?;
        let mut resealed = vec![VERSION];
        seal_part(&mut resealed, next.key.bytes(), &of_data_key(place), data_key.as_slice())?;
        resealed.extend_from_slice(text);
        Ok(resealed)
    }

    /// Whether an envelope was sealed by this key, at that place.
    pub(super) fn has_sealed(&self, place: Place<'_>, envelope: &[u8]) -> bool {
        self.open_data_key(place, envelope).is_ok()
    }

    /// Opens the data key, and returns it with the text, which is still sealed.
    fn open_data_key<'a>(&self, place: Place<'_>, envelope: &'a [u8]) -> Result<(DataKey, &'a [u8]), VaultError> {
        let refused = || VaultError::refused(place);
        let (version, parts) = envelope.split_first().ok_or_else(refused)?;
        if *version != VERSION {
            return Err(VaultError::UnknownFormat { version: *version });
        }
        let (data_key, text) = parts.split_at_checked(SEALED_KEY_BYTES).ok_or_else(refused)?;
        let data_key = open_part(self.key.bytes(), &of_data_key(place), data_key).map(Zeroizing::new);
        let data_key = data_key.and_then(|key| key.as_slice().try_into().ok().map(Zeroizing::new));
        Ok((data_key.ok_or_else(refused)?, text))
    }
}

type DataKey = Zeroizing<[u8; KEY_BYTES]>;

fn seal_part(envelope: &mut Vec<u8>, key: &[u8; KEY_BYTES], binding: &[u8], bytes: &[u8]) -> Result<(), VaultError> {
    let nonce = random::<NONCE_BYTES>()?;
    let payload = Payload { msg: bytes, aad: binding };
    let sealed = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.map_err(|_| VaultError::TooLong)?;
    envelope.extend_from_slice(&nonce);
    envelope.extend_from_slice(&sealed);
    Ok(())
}

fn open_part(key: &[u8; KEY_BYTES], binding: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad: binding };
    XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload).ok()
}

/// What a data key is bound to; the first word keeps it from standing in for a text.
fn of_data_key(place: Place<'_>) -> Vec<u8> {
    binding(["data key", place.table, place.row, place.field])
}

/// What a text is bound to.
fn of_text(slot: &Slot<'_>) -> Vec<u8> {
    let place = ["text", slot.place.table, slot.place.row, slot.place.field];
    binding(place.into_iter().chain(slot.destinations.iter().map(String::as_str)))
}

/// Writes words down with their lengths, so that no two bindings read alike.
fn binding<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut binding = vec![VERSION];
    for word in words {
        binding.extend_from_slice(&word.len().to_be_bytes());
        binding.extend_from_slice(word.as_bytes());
    }
    binding
}

/// Draws random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(VaultError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
