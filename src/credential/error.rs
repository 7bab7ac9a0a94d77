//! Why what is held can't be had.

use crate::store::StoreError;
use crate::vault::VaultError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The database failed.
    #[error("what is held for the server can't be read or written")]
    Store(#[from] StoreError),
    /// A text does not open, or can't be sealed.
    #[error("what is held for the server can't be opened or sealed")]
    Vault(#[from] VaultError),
    /// The row was written by something else.
    #[error("what is held for the server can't be understood ({field}); connect it anew")]
    Malformed {
        /// The column.
        field: &'static str,
    },
}
