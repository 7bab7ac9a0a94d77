//! Operators: people who use the REST admin, and programs that do so for them.
//!
//! A code, a login token or the fixed token comes in, an [`Operator`] goes out. Only digests are kept, so a copy of the
//! database lets nobody in.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{IdentityError, Refusal, random_token};
use crate::store::{self, Store, login, login_link};
use crate::vault::{SecretText, hex};

/// How long a login link can be used.
const LINK_MS: i64 = 10 * 60 * 1000;
/// How long a login lasts.
const LOGIN_MS: i64 = 12 * 60 * 60 * 1000;
/// How long a login lasts without being used.
const IDLE_MS: i64 = 30 * 60 * 1000;
/// How often the use of a login is written.
const TOUCH_MS: i64 = 60 * 1000;
/// A fixed token that is shorter could be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// What an operator who came by a login link is called in the journal.
const BY_LINK: &str = "administrator";
/// What a program with the fixed token is called in the journal.
const BY_TOKEN: &str = "admin-token";

/// How an operator proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// the fixed token, which no browser sends on its own
    AdminToken,
    /// a login, which a browser sends along with whatever a page makes it send
    Login {
        /// of the login's own token: which of them it is
        digest: String,
        /// of the token that such requests must carry besides
        csrf_digest: String,
    },
}

/// The human, or their program, behind a request to the REST admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// what the journal calls them
    pub name: String,
    /// how they proved it
    pub proof: Proof,
}

impl Operator {
    /// Returns whether a CSRF token is the one that belongs to the login. The fixed token needs none.
    #[must_use]
    pub fn accepts_csrf(&self, token: &str) -> bool {
        match &self.proof {
            Proof::AdminToken => true,
            Proof::Login { csrf_digest, .. } => digest(token).as_bytes().ct_eq(csrf_digest.as_bytes()).into(),
        }
    }
}

/// A new login. Its tokens are shown to the operator's browser once.
#[derive(Debug)]
pub struct Login {
    /// proves who they are
    pub token: SecretText,
    /// proves that a request comes from our page
    pub csrf: SecretText,
    /// ms; sooner when it is not used for half an hour
    pub expires_at: i64,
    /// who it is
    pub operator: Operator,
}

/// The handle to operators and their logins. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Operators {
    store: Store,
    /// SHA-256 of the fixed token: digests are of one length, so their comparison tells nothing
    admin_token: Option<Arc<[u8; 32]>>,
}

impl Operators {
    /// Takes the fixed token of the configuration over, if there is one.
    pub fn new(store: Store, admin_token: Option<&SecretText>) -> Result<Self, IdentityError> {
        if admin_token.is_some_and(|token| token.expose().len() < TOKEN_BYTES_MIN) {
            return Err(IdentityError::WeakToken { bytes_min: TOKEN_BYTES_MIN });
        }
        let admin_token = admin_token.map(|token| Arc::new(sha256(token.expose())));
        Ok(Self { store, admin_token })
    }

    /// Makes the code of a link that can be used once within ten minutes.
    pub async fn begin_link(&self, now: i64) -> Result<SecretText, IdentityError> {
        let code = random_token()?;
        let row = login_link::Row {
            digest: digest(code.expose()),
            created_at: now,
            expires_at: now + LINK_MS,
            used_at: None,
        };
        login_link::insert(&self.store, row).await?;
        Ok(code)
    }

    /// Spends the code of a link for a login.
    pub async fn log_in(&self, code: &str, now: i64) -> Result<Login, IdentityError> {
        let digest_of_code = digest(code);
        let consume = login_link::consume(&self.store, &digest_of_code, now);
        if !store::audit::acting_as(format!("operator:{BY_LINK}"), consume).await? {
            return Err(Refusal::Unknown.into());
        }
        let (token, csrf) = (random_token()?, random_token()?);
        let row = login::Row {
            digest: digest(token.expose()),
            csrf_digest: digest(csrf.expose()),
            operator: BY_LINK.to_owned(),
            created_at: now,
            expires_at: now + LOGIN_MS,
            last_used_at: now,
        };
        login::insert(&self.store, row.clone()).await?;
        Ok(Login { token, csrf, expires_at: row.expires_at, operator: operator(row) })
    }

    /// Returns the operator that a token belongs to: the fixed one, or that of a login.
    pub async fn authenticate(&self, token: &str, now: i64) -> Result<Operator, IdentityError> {
        if let Some(admin_token) = &self.admin_token
            && sha256(token).ct_eq(admin_token.as_slice()).into()
        {
            return Ok(Operator { name: BY_TOKEN.to_owned(), proof: Proof::AdminToken });
        }
        let row = login::find(&self.store, &digest(token)).await?.ok_or(Refusal::Unknown)?;
        if is_over(&row, now) {
            return Err(Refusal::Expired.into());
        }
        if row.last_used_at + TOUCH_MS <= now {
            login::touch(&self.store, &row.digest, now).await?;
        }
        Ok(operator(row))
    }

    /// Whether the login of that digest still holds. Asking is no use of it.
    pub async fn is_logged_in(&self, digest: &str, now: i64) -> Result<bool, IdentityError> {
        Ok(login::find(&self.store, digest).await?.is_some_and(|row| !is_over(&row, now)))
    }

    /// Ends a login; one that has ended already is not refused.
    pub async fn log_out(&self, token: &str) -> Result<(), IdentityError> {
        login::delete(&self.store, &digest(token)).await?;
        Ok(())
    }

    /// Removes links and logins that are over; returns how many.
    pub async fn forget_ended(&self, now: i64) -> Result<u64, IdentityError> {
        let logins = login::delete_expired(&self.store, now, now - IDLE_MS).await?;
        Ok(logins + login_link::delete_spent(&self.store, now).await?)
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Operators")
    }
}

fn is_over(row: &login::Row, now: i64) -> bool {
    row.expires_at <= now || row.last_used_at + IDLE_MS <= now
}

fn operator(row: login::Row) -> Operator {
    Operator { name: row.operator, proof: Proof::Login { digest: row.digest, csrf_digest: row.csrf_digest } }
}

/// A plain hash is enough here: what is hashed are 256 random bits, which nobody can try out.
fn digest(token: &str) -> String {
    hex(&sha256(token))
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
