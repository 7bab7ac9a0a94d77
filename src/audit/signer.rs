//! The key that signs checkpoints.
//!
//! It is derived from the vault's seed: so it was made once, stays the same when the master key is changed, and is
//! nowhere in clear. Whoever has only the database can't sign.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::clock;
use crate::trail::{Checkpoint, Head, PublicKey};
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

    pub(super) fn public_key(&self) -> PublicKey {
        self.public
    }

    pub(super) fn sign(&self, head: &Head, since: (i64, i64)) -> Checkpoint {
        let sign = |bytes: &[u8]| self.pair.sign(bytes).as_ref().to_vec();
        Checkpoint::sign(head, since, clock::now_ms(), &self.public, sign)
    }
}
