//! Where the master key comes from, and where its successor is put.
//!
//! A source comes in, a key goes out. Whether a new one may be made is decided by the vault.

use std::fmt;
use std::path::PathBuf;

use super::key_file::NEXT;
use super::keyring::KeyringEntry;
use super::master_key::MasterKey;
use super::{SecretText, VaultError, key_file};

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
    /// in the keyring of the operating system; made like the file
    Keyring(KeyringEntry),
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, .. } => formatter.write_str(name),
            Self::File(path) => path.display().fmt(formatter),
            Self::Keyring(entry) => entry.fmt(formatter),
        }
    }
}

impl KeySource {
    /// Reads the key; none when it is not there.
    pub(super) async fn read(&self) -> Result<Option<MasterKey>, VaultError> {
        match self {
            Self::Value { value, .. } => self.parse(value.expose()).map(Some),
            Self::File(path) => key_file::read(path)?.map(|text| self.parse(&text)).transpose(),
            Self::Keyring(entry) => entry.read().await?.map(|text| self.parse(&text)).transpose(),
        }
    }

    /// Makes a new key, which is kept when this returns.
    pub(super) async fn make(&self) -> Result<MasterKey, VaultError> {
        let key = MasterKey::generate()?;
        match self {
            Self::Value { .. } => return Err(VaultError::Missing { looked_at: self.to_string() }),
            Self::File(path) => key_file::make(path, &key.to_text())?,
            Self::Keyring(entry) => entry.write(&key.to_text()).await?,
        }
        Ok(key)
    }

    /// Where the key of a change that is under way is; none when the operator says where.
    pub(super) fn next(&self) -> Option<Self> {
        match self {
            Self::Value { .. } => None,
            Self::File(path) => Some(Self::File(key_file::next(path))),
            Self::Keyring(entry) => Some(Self::Keyring(entry.beside(NEXT))),
        }
    }

    /// Puts the next key in the place of the present one; says where that is kept.
    pub(super) async fn promote_next(&self) -> Result<Option<String>, VaultError> {
        let present = self.read().await?;
        match self {
            Self::Value { .. } => Ok(None),
            Self::File(path) => {
                let fingerprint = present.as_ref().map(MasterKey::fingerprint);
                let before = key_file::promote_next(path, fingerprint.as_deref())?;
                Ok(before.map(|path| path.display().to_string()))
            }
            Self::Keyring(entry) => promote_entry(entry, present).await,
        }
    }

    fn parse(&self, text: &str) -> Result<MasterKey, VaultError> {
        MasterKey::parse(text).ok_or_else(|| VaultError::Malformed { looked_at: self.to_string() })
    }
}

/// A keyring knows no renaming, so the next key is removed after it has taken its place. It can be done again after it
/// was cut off.
async fn promote_entry(entry: &KeyringEntry, present: Option<MasterKey>) -> Result<Option<String>, VaultError> {
    let next = entry.beside(NEXT);
    let Some(text) = next.read().await? else { return Ok(None) };
    let promoted = MasterKey::parse(&text).map(|key| key.fingerprint());
    let present = present.filter(|key| Some(key.fingerprint()) != promoted);
    let before = present.as_ref().map(|present| entry.beside(&present.fingerprint()));
    if let (Some(present), Some(before)) = (&present, &before) {
        before.write(&present.to_text()).await?;
    }
    entry.write(&text).await?;
    next.remove().await?;
    Ok(before.map(|before| before.to_string()))
}
