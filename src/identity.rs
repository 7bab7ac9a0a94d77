//! Who is calling.
//!
//! A token comes in, an [`Agent`] or an [`Operator`] goes out, or a refusal. Nothing else that a caller says of itself
//! counts, and what the caller may do is decided elsewhere.

mod agent_key;
mod error;
mod keyring;
mod operator;

pub use agent_key::AgentKey;
pub use error::{IdentityError, Refusal};
pub use keyring::{Agent, Keyring};
pub use operator::{Login, Operator, Operators, Proof};

use crate::vault::SecretText;

/// How many random bytes a key, a code or a token is made of.
const TOKEN_BYTES: usize = 32;

/// Draws the bytes of a new token.
fn random() -> Result<[u8; TOKEN_BYTES], IdentityError> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(IdentityError::NoRandomness)?;
    Ok(bytes)
}

/// Makes a token that goes into a URL or a header as it is.
fn random_token() -> Result<SecretText, IdentityError> {
    use base64::Engine as _;
    Ok(SecretText::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random()?)))
}
