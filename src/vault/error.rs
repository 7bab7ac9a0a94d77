//! What can go wrong in the vault. No message holds a part of a secret.

use std::path::PathBuf;

use crate::store::StoreError;
use crate::store::envelope::Place;

/// Why the vault stays shut, or a secret sealed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database was sealed with a key that is not there.
    #[error(
        "the database holds secrets, and their master key is missing: {looked_at} was looked at; put the key back, no \
         new one is made for an existing database"
    )]
    Missing {
        /// the variable or file
        looked_at: String,
    },
    /// The key is not the one that the database was sealed with.
    #[error(
        "the master key in {looked_at} is not the one that this database was sealed with; give the one that is, or \
         restore the backup that belongs to this key"
    )]
    Wrong {
        /// the variable or file
        looked_at: String,
    },
    /// The key is not 32 bytes in base64.
    #[error("the master key in {looked_at} is not 32 bytes in base64")]
    Malformed {
        /// the variable or file
        looked_at: String,
    },
    /// Others on this machine can read the key.
    #[error("the master key file {} can be read by others (mode {mode:03o}): chmod 600 it, and think of it as known", path.display())]
    Exposed {
        /// the file
        path: PathBuf,
        /// its permission bits
        mode: u32,
    },
    /// The key file could not be read or made.
    #[error("cannot use the master key file {}", path.display())]
    File {
        /// the file
        path: PathBuf,
        /// what the system said
        #[source]
        source: std::io::Error,
    },
    /// The envelope was edited, cut, or sealed for another slot.
    #[error("a sealed secret does not open: it was changed, or belongs elsewhere ({table} {row} {field})")]
    DoesNotOpen {
        /// the table of the slot
        table: &'static str,
        /// the row of the slot
        row: String,
        /// the field of the slot
        field: String,
    },
    /// The keyring of the operating system could not be asked.
    #[error(
        "cannot use the OS keyring: {what}; without it, keep the master key in a file (master_key_store = \"file\")"
    )]
    Keyring {
        /// one phrase
        what: String,
    },
    /// The master key was changed, and its file could not be renamed.
    #[error(
        "everything is sealed with the new master key, but it could not be put in its place: mv {} {}",
        next.display(),
        path.display()
    )]
    NotInPlace {
        /// where the new key is
        next: PathBuf,
        /// where it belongs
        path: PathBuf,
        /// what the system said
        #[source]
        source: std::io::Error,
    },
    /// There is nothing that could be sealed anew.
    #[error("this database was never sealed: atryum serve makes its master key at the first start")]
    Unsealed,
    /// The key cannot be replaced where it is.
    #[error(
        "the master key comes from {source_of}, where it cannot be replaced: say with --new-key-file where the new one is, \
         or where to put it"
    )]
    NoNewKeyFile {
        /// the variable or file
        source_of: String,
    },
    /// The seed is gone or cannot be read, though something hangs on it.
    #[error(
        "the database holds secrets or agents' keys, but not the seed that they hang on ({what}): restore a backup; no new \
         one is made for an existing database"
    )]
    NoSeed {
        /// one phrase
        what: &'static str,
    },
    /// The envelope is of a format that this release does not know.
    #[error("a sealed secret is of format {version}, which this release does not know")]
    UnknownFormat {
        /// the format
        version: u8,
    },
    /// The text is longer than the cipher takes, which is 256 GiB.
    #[error("the secret is too long to be sealed")]
    TooLong,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness(#[source] getrandom::Error),
    /// The database could not be asked.
    #[error("the vault cannot reach the store")]
    Store(#[from] StoreError),
}

impl VaultError {
    /// Builds the refusal of an envelope at a place.
    pub(super) fn refused(place: Place<'_>) -> Self {
        Self::DoesNotOpen { table: place.table, row: place.row.to_owned(), field: place.field.to_owned() }
    }
}
