//! Where the master key comes from, and where its successor is put.
//!
//! A source comes in, a key goes out. Whether a new one may be made is decided by the vault.

use std::fmt;
use std::path::PathBuf;

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
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, .. } => formatter.write_str(name),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

impl KeySource {
    /// Reads the key; none when it is not there.
    pub(super) fn read(&self) -> Result<Option<MasterKey>, VaultError> {
        match self {
            Self::Value { value, .. } => self.parse(value.expose()).map(Some),
            Self::File(path) => key_file::read(path)?.map(|text| self.parse(&text)).transpose(),
        }
    }

    /// Makes a new key, which is on the disk when this returns.
    pub(super) fn make(&self) -> Result<MasterKey, VaultError> {
        match self {
            Self::Value { .. } => Err(VaultError::Missing { looked_at: self.to_string() }),
            Self::File(path) => {
                let key = MasterKey::generate()?;
                key_file::make(path, &key.to_text())?;
                Ok(key)
            }
        }
    }

    /// Where the key of a change that is under way is; none when the operator says where.
    pub(super) fn next(&self) -> Option<Self> {
        match self {
            Self::Value { .. } => None,
            Self::File(path) => Some(Self::File(key_file::next(path))),
        }
    }

    /// Puts the next key in the place of the present one; says where that is kept.
    pub(super) fn promote_next(&self) -> Result<Option<String>, VaultError> {
        match self {
            Self::Value { .. } => Ok(None),
            Self::File(path) => {
                let fingerprint = self.read()?.as_ref().map(MasterKey::fingerprint);
                let before = key_file::promote_next(path, fingerprint.as_deref())?;
                Ok(before.map(|path| path.display().to_string()))
            }
        }
    }

    fn parse(&self, text: &str) -> Result<MasterKey, VaultError> {
        MasterKey::parse(text).ok_or_else(|| VaultError::Malformed { looked_at: self.to_string() })
    }
}
