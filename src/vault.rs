//! The vault: secrets are readable only in memory, and only by whoever asks for one slot.
//!
//! Plain texts come in and sealed envelopes go out to the store, and the other way round. The master key stays in here:
//! it is never written to the database, never logged, and never made anew for a database that already has one.
//!
//! An envelope holds a random data key, sealed by the master key, and the text, sealed by the data key. Both are bound to
//! their slot (table, row, field and format), so that an envelope that was moved, edited or cut does not open.

mod envelope;
mod error;
mod master_key;
mod secret_text;
mod subkey;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::store::{Store, StoreError, credential, secret, setting};
use envelope::Sealer;
use master_key::MasterKey;

pub use error::VaultError;
pub use secret_text::SecretText;
pub use subkey::Subkey;
pub(crate) use subkey::hex;

/// Where the master key is.
#[derive(Debug)]
pub enum KeySource {
    /// in the configuration: 32 bytes, base64
    Value {
        /// the variable or key that was read, for messages
        name: String,
        /// what it holds
        value: SecretText,
    },
    /// in a file of its own, outside the data directory; made when no database needs another one
    File(PathBuf),
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, .. } => formatter.write_str(name),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

/// Where a secret belongs. A secret that is sealed for one slot opens in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    table: &'static str,
    row: &'a str,
    field: &'a str,
}

impl<'a> Slot<'a> {
    /// Names a secret of a server, such as `env:API_KEY` of the server with that id.
    #[must_use]
    pub fn of_server(server_id: &'a str, field: &'a str) -> Self {
        Self { table: "secret", row: server_id, field }
    }

    /// Names a secret of what an OAuth login brought, such as the refresh token; the field names the origin that it may be
    /// sent to, too.
    #[must_use]
    pub fn of_credential(server_id: &'a str, field: &'a str) -> Self {
        Self { table: "credential", row: server_id, field }
    }

    /// Names a secret of a login that was begun.
    #[must_use]
    pub fn of_flow(flow_id: &'a str, field: &'a str) -> Self {
        Self { table: "oauth_flow", row: flow_id, field }
    }
}

/// An unlocked vault. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Vault {
    key: Arc<MasterKey>,
}

impl Vault {
    /// Takes the master key from `source` and makes sure that it is the one of this database.
    ///
    /// A key file is made when there is none and the database was never sealed with any. A key that is missing, is not
    /// the one, or can be read by others is refused, and the refusal names what was looked at.
    pub async fn unlock(source: KeySource, store: &Store) -> Result<Self, VaultError> {
        let check = setting::find(store, setting::MASTER_KEY_CHECK).await?;
        let key = match master_key::read(&source)? {
            Some(key) => key,
            None if check.is_none() && is_unsealed(store).await? => master_key::make(&source)?,
            None => return Err(VaultError::Missing { looked_at: source.to_string() }),
        };
        // the key is on the disk before the database says that it needs it
        let check = match check {
            Some(check) => check,
            None => setting::put_if_absent(store, setting::MASTER_KEY_CHECK, &key.check()).await?,
        };
        if !key.is_checked_by(&check) {
            return Err(VaultError::Wrong { looked_at: source.to_string() });
        }
        Ok(Self { key: Arc::new(key) })
    }

    /// Seals a text for its slot.
    pub fn seal(&self, slot: Slot<'_>, text: &SecretText) -> Result<Vec<u8>, VaultError> {
        Sealer::new(&self.key).seal(slot, text)
    }

    /// Opens what was sealed for that slot.
    pub fn open(&self, slot: Slot<'_>, sealed: &[u8]) -> Result<SecretText, VaultError> {
        Sealer::new(&self.key).open(slot, sealed)
    }

    /// Returns a key for another purpose, from which the master key cannot be found.
    #[must_use]
    pub fn subkey(&self, purpose: &str) -> Subkey {
        self.key.subkey(purpose)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault")
    }
}

/// A database that holds secrets but no check of their key must not be given a new key either.
async fn is_unsealed(store: &Store) -> Result<bool, StoreError> {
    Ok(secret::list_fields(store).await?.is_empty() && !credential::has_any(store).await?)
}
