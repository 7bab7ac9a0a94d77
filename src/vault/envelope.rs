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
//! Both are XChaCha20-Poly1305, whose nonces are long enough to be drawn at random. Both are bound to the slot and the
//! version by their associated data. A data key of its own for each secret lets the master key be changed later by
//! sealing the data keys anew.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::subkey::KEY_BYTES;
use super::{SecretText, Slot, Subkey, VaultError};

/// The version that is written.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SEALED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// Seals and opens with the key that the master key gives for it.
pub(super) struct Sealer {
    key: Subkey,
}

impl Sealer {
    pub(super) fn new(master_key: &MasterKey) -> Self {
        Self { key: master_key.subkey("seal") }
    }

    pub(super) fn seal(&self, slot: Slot<'_>, text: &SecretText) -> Result<Vec<u8>, VaultError> {
        let data_key = Zeroizing::new(random::<KEY_BYTES>()?);
        let mut envelope = vec![VERSION];
        seal_part(&mut envelope, self.key.bytes(), slot, Part::DataKey, data_key.as_slice())?;
        seal_part(&mut envelope, &data_key, slot, Part::Text, text.expose().as_bytes())?;
        Ok(envelope)
    }

    pub(super) fn open(&self, slot: Slot<'_>, sealed: &[u8]) -> Result<SecretText, VaultError> {
        let refused = || VaultError::DoesNotOpen { table: slot.table, field: slot.field.to_owned() };
        let (version, parts) = sealed.split_first().ok_or_else(refused)?;
        if *version != VERSION {
            return Err(VaultError::UnknownFormat { version: *version });
        }
        let (data_key, text) = parts.split_at_checked(SEALED_KEY_BYTES).ok_or_else(refused)?;
        let data_key = open_part(self.key.bytes(), slot, Part::DataKey, data_key).map(Zeroizing::new);
        let data_key = data_key.ok_or_else(refused)?;
        let data_key: &[u8; KEY_BYTES] = data_key.as_slice().try_into().map_err(|_| refused())?;
        let text = open_part(data_key, slot, Part::Text, text).ok_or_else(refused)?;
        SecretText::from_bytes(text).ok_or_else(refused)
    }
}

/// Which part of an envelope: one cannot stand in for the other.
#[derive(Clone, Copy)]
enum Part {
    DataKey,
    Text,
}

fn seal_part(
    envelope: &mut Vec<u8>,
    key: &[u8; KEY_BYTES],
    slot: Slot<'_>,
    part: Part,
    bytes: &[u8],
) -> Result<(), VaultError> {
    let nonce = random::<NONCE_BYTES>()?;
    let payload = Payload { msg: bytes, aad: &binding(slot, part) };
    let sealed = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.map_err(|_| VaultError::TooLong)?;
    envelope.extend_from_slice(&nonce);
    envelope.extend_from_slice(&sealed);
    Ok(())
}

fn open_part(key: &[u8; KEY_BYTES], slot: Slot<'_>, part: Part, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad: &binding(slot, part) };
    XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload).ok()
}

/// Writes down what a part is bound to; with lengths, so that no two slots read alike.
fn binding(slot: Slot<'_>, part: Part) -> Vec<u8> {
    let part = match part {
        Part::DataKey => "data key",
        Part::Text => "text",
    };
    let mut binding = vec![VERSION];
    for word in [part, slot.table, slot.row, slot.field] {
        binding.extend_from_slice(&word.len().to_be_bytes());
        binding.extend_from_slice(word.as_bytes());
    }
    binding
}

fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(VaultError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
