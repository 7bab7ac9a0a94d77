//! The seed: what the keys for other purposes are derived from.
//!
//! It is made once for each database and sealed by the master key, so that the master key can be changed and what hangs
//! on the derived keys, such as agents' keys, goes on. Whatever opens it is the master key of its database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use super::envelope::{Sealer, random};
use super::master_key::MasterKey;
use super::slot::Slot;
use super::subkey::{KEY_BYTES, Subkey, hmac};
use super::{KeySource, VaultError};
use crate::store::setting;

/// The seed of one database.
pub(super) struct Seed(Zeroizing<[u8; KEY_BYTES]>);

impl Seed {
    pub(super) fn generate() -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Derives the key for one purpose.
    pub(super) fn subkey(&self, purpose: &str) -> Subkey {
        Subkey::new(hmac(&self.0, purpose.as_bytes()))
    }

    /// Seals it, as the text of a setting.
    pub(super) fn seal(&self, sealer: &Sealer) -> Result<SealedSeed, VaultError> {
        sealer.seal(&slot(), self.0.as_slice()).map(SealedSeed)
    }
}

/// A seed as a database keeps it.
pub(super) struct SealedSeed(Vec<u8>);

impl SealedSeed {
    pub(super) fn parse(setting: &str) -> Result<Self, VaultError> {
        let envelope = STANDARD.decode(setting).map_err(|_| VaultError::NoSeed { what: "it is not base64" })?;
        Ok(Self(envelope))
    }

    pub(super) fn to_setting(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// Whether this is the master key of the database.
    pub(super) fn is_sealed_by(&self, sealer: &Sealer) -> bool {
        sealer.has_sealed(slot().place, &self.0)
    }

    /// Finds the master key of the database: what the source holds, or what a change that was cut off after its commit has
    /// left beside it, which is then put in its place.
    pub(super) async fn find_key(&self, source: &KeySource) -> Result<MasterKey, VaultError> {
        let present = source.read().await?;
        let is_ours = |key: &MasterKey| self.is_sealed_by(&key.sealer());
        let (ours, present) = match present {
            Some(key) if is_ours(&key) => (Some(key), None),
            other => (None, other),
        };
        if let Some(key) = ours {
            return Ok(key);
        }
        let next = match source.next() {
            Some(next) => next.read().await?,
            None => None,
        };
        if let Some(next) = next.filter(is_ours) {
            match source.promote_next().await {
                Ok(_) => tracing::info!("a change of the master key that was cut off is finished"),
                // it is found there at the next start, too
                Err(error) => tracing::warn!("the new master key stays where it is: {}", crate::chain(&error)),
            }
            return Ok(next);
        }
        let looked_at = source.to_string();
        Err(if present.is_some() { VaultError::Wrong { looked_at } } else { VaultError::Missing { looked_at } })
    }

    /// Seals it by another master key.
    pub(super) fn reseal(&self, present: &Sealer, next: &Sealer) -> Result<Self, VaultError> {
        present.reseal(next, slot().place, &self.0).map(Self)
    }

    pub(super) fn open(&self, sealer: &Sealer) -> Result<Seed, VaultError> {
        let mut bytes = sealer.open(&slot(), &self.0)?;
        let seed = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok().map(|seed| Seed(Zeroizing::new(seed)));
        bytes.zeroize();
        seed.ok_or(VaultError::NoSeed { what: "it is not 32 bytes" })
    }
}

fn slot() -> Slot<'static> {
    Slot::at("setting", setting::VAULT_SEED, "value")
}
