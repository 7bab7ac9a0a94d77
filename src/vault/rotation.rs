//! The change of the master key.
//!
//! Every data key is sealed anew, in one transaction; the texts are not opened. The new key is complete and on the disk
//! before that is committed, and takes the old one's place after it. Whenever it is cut off, one of the two keys opens
//! everything: before the commit the old one, afterwards the next one, which [`Vault::unlock`] then puts in its place.
//!
//! [`Vault::unlock`]: super::Vault::unlock

use std::path::PathBuf;

use super::master_key::MasterKey;
use super::seed::SealedSeed;
use super::{KeySource, VaultError};
use crate::store::{Store, envelope, setting};

/// What came of a change of the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// How many secrets were sealed anew; none: an earlier change had got that far, and this one found it.
    pub secrets: Option<usize>,
    /// Where the new key is.
    pub key: String,
    /// Where the key from before is kept; none: where the operator has it.
    pub key_before: Option<String>,
}

/// Seals everything with a new key. `new_key_file` says where it is, or where it is put, when the present one is not the
/// gateway's to replace.
///
/// # Errors
/// Nothing was changed, unless the error says that the database could not be asked whether it was.
pub async fn rotate(source: &KeySource, new_key_file: Option<PathBuf>, store: &Store) -> Result<Rotated, VaultError> {
    let seed = setting::find(store, setting::VAULT_SEED).await?.ok_or(VaultError::Unsealed)?;
    let seed = SealedSeed::parse(&seed)?;
    let next = match new_key_file {
        Some(path) => KeySource::File(path),
        None => source.next().ok_or_else(|| VaultError::NoNewKeyFile { source_of: source.to_string() })?,
    };
    // made by the operator, or by a change that was cut off
    let key = next.read().await?;
    if key.as_ref().is_some_and(|key| seed.is_sealed_by(&key.sealer())) {
        return conclude(source, &next, None).await;
    }
    let present = seed.find_key(source).await?;
    let key = match key {
        Some(key) => key,
        None => next.make().await?,
    };
    let secrets = seal_all(store, &seed, (&present, &key)).await?;
    conclude(source, &next, Some(secrets)).await
}

async fn conclude(source: &KeySource, next: &KeySource, secrets: Option<usize>) -> Result<Rotated, VaultError> {
    let key_before = source.promote_next().await?;
    let key = if source.next().is_some() { source } else { next };
    Ok(Rotated { secrets, key: key.to_string(), key_before })
}

async fn seal_all(
    store: &Store,
    seed: &SealedSeed,
    (present, next): (&MasterKey, &MasterKey),
) -> Result<usize, VaultError> {
    let (present, next) = (present.sealer(), next.sealer());
    let seed = seed.reseal(&present, &next)?.to_setting();
    envelope::replace_all(store, &[(setting::VAULT_SEED, &seed)], |place, sealed| present.reseal(&next, place, sealed))
        .await
}
