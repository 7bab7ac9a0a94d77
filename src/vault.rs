//! The vault: secrets are readable only in memory, and only by whoever asks for one slot.
//!
//! Plain texts come in and sealed envelopes go out to the store, and the other way round. The master key stays in here:
//! it is never written to the database, never logged, and never made anew for a database that already has one.
//!
//! An envelope holds a random data key, sealed by the master key, and the text, sealed by the data key. They are bound to
//! their place (table, row, field and format) and the text also to where it may be sent, so that an envelope that was
//! moved, edited or cut does not open.
//!
//! Keys for other purposes are derived from a *seed*, which is itself such an envelope, so that they outlive the master
//! key.

mod envelope;
mod error;
mod key_file;
mod key_source;
mod keyring;
mod master_key;
mod rotation;
mod secret_text;
mod seed;
mod slot;
mod subkey;

use std::fmt;
use std::sync::Arc;

use crate::store::{Store, StoreError, agent_key, envelope as stored, setting};
use envelope::Sealer;
use seed::{SealedSeed, Seed};

pub use error::VaultError;
pub use key_source::KeySource;
pub use keyring::KeyringEntry;
pub use rotation::{Rotated, rotate};
pub use secret_text::SecretText;
pub use slot::Slot;
pub use subkey::Subkey;
pub(crate) use subkey::hex;

/// An unlocked vault. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    sealer: Sealer,
    seed: Seed,
}

impl Vault {
    /// Takes the master key from `source` and makes sure that it is the one of this database.
    ///
    /// A key file is made when there is none and the database was never sealed with any. A key that is missing, is not
    /// the one, or can be read by others is refused, and the refusal names what was looked at.
    pub async fn unlock(source: KeySource, store: &Store) -> Result<Self, VaultError> {
        let seed = setting::find(store, setting::VAULT_SEED).await?;
        match seed {
            Some(seed) => Self::unlock_sealed(&source, &SealedSeed::parse(&seed)?).await,
            None => Self::unlock_new(&source, store).await,
        }
    }

    async fn unlock_sealed(source: &KeySource, seed: &SealedSeed) -> Result<Self, VaultError> {
        let sealer = seed.find_key(source).await?.sealer();
        Ok(Self::new(seed.open(&sealer)?, sealer))
    }

    /// The first unlocking of a database: what is there before it cannot hang on a key.
    async fn unlock_new(source: &KeySource, store: &Store) -> Result<Self, VaultError> {
        let key = source.read().await?;
        if !is_unsealed(store).await? {
            return Err(match key {
                None => VaultError::Missing { looked_at: source.to_string() },
                Some(_) => VaultError::NoSeed { what: "it is not there" },
            });
        }
        let sealer = match key {
            Some(key) => key.sealer(),
            None => source.make().await?.sealer(),
        };
        // the key is on the disk before the database says that it needs it
        let seed = Seed::generate()?.seal(&sealer)?.to_setting();
        let seed = setting::put_if_absent(store, setting::VAULT_SEED, &seed).await?;
        Ok(Self::new(SealedSeed::parse(&seed)?.open(&sealer)?, sealer))
    }

    fn new(seed: Seed, sealer: Sealer) -> Self {
        Self { inner: Arc::new(Inner { sealer, seed }) }
    }

    /// Seals a text for its slot.
    pub fn seal(&self, slot: &Slot<'_>, text: &SecretText) -> Result<Vec<u8>, VaultError> {
        self.inner.sealer.seal(slot, text.expose().as_bytes())
    }

    /// Opens what was sealed for that slot.
    pub fn open(&self, slot: &Slot<'_>, sealed: &[u8]) -> Result<SecretText, VaultError> {
        let text = self.inner.sealer.open(slot, sealed)?;
        SecretText::from_bytes(text).ok_or_else(|| VaultError::refused(slot.place))
    }

    /// Returns a key for another purpose, from which neither the master key nor that of another purpose can be found. It
    /// stays the same when the master key is changed.
    #[must_use]
    pub fn subkey(&self, purpose: &str) -> Subkey {
        self.inner.seed.subkey(purpose)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault")
    }
}

/// A database that holds secrets or agents' keys but no seed must not be given a new key either.
async fn is_unsealed(store: &Store) -> Result<bool, StoreError> {
    Ok(!stored::has_any(store).await? && !agent_key::has_any(store).await?)
}
