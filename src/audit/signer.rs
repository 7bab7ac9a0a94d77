//! The key that signs checkpoints.
//!
//! It is derived from the vault's seed: so it was made once, stays the same when the master key is changed, and is
//! nowhere in clear. Whoever has only the database can't sign.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::trail::{PublicKey, Sign};
use crate::vault::Vault;

/// The purpose of the subkey.
const PURPOSE: &str = "audit-signature";

/// See the module.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// The signer of this vault; none if its bytes are no key, which those of no vault are.
    pub(super) fn of(vault: &Vault) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(vault.subkey(PURPOSE).expose()).ok()?;
        let public = PublicKey::from_bytes(pair.public_key().as_ref())?;
        Some(Self { pair, public })
    }
}

impl Sign for Signer {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }
}
