//! Why there is no way to log in, or why it did not lead there. Each says what to do next.

use crate::credential::CredentialError;
use crate::identity::IdentityError;
use crate::oauth::OAuthError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// How far a login came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding out who gives out the tokens.
    Discovery,
    /// Making the gateway known there.
    Registration,
    /// Coming back.
    Callback,
    /// The code for tokens.
    Exchange,
}

impl Step {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Discovery => "finding out who gives out the server's tokens",
            Self::Registration => "making the gateway known to the authorization server",
            Self::Callback => "coming back from the authorization server",
            Self::Exchange => "exchanging the code for tokens",
        }
    }
}

/// Why no flow was begun.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is none of that name.
    #[error("there is no such server")]
    NoServer,
    /// A process on this machine.
    #[error("the server runs on this machine (stdio) and has no login; give it what it needs in its variables")]
    NotRemote,
    /// No handshake could follow.
    #[error("the server is disabled; enable it, and connect then")]
    Disabled,
    /// The operator chose another login.
    #[error(
        "the gateway logs in to this server by {auth_type}, not by OAuth; clear that (auth: null), and connect then"
    )]
    OtherLogin {
        /// The contract's word.
        auth_type: String,
    },
    /// The server wants nothing.
    #[error(
        "the server does not ask for a login: it answered a handshake without one with HTTP status {status}; if it wants \
         OAuth all the same, set the type of auth to oauth"
    )]
    NotAsked {
        /// The HTTP status.
        status: u16,
    },
    /// People could not come back safely.
    #[error(
        "people would come back from the login to {url}, over which a code can be read on its way; set ATRYUM_PUBLIC_URL to \
         an https address, or to one of this machine"
    )]
    PublicUrl {
        /// The public URL.
        url: String,
    },
    /// What is stored of the server can't be used.
    #[error("{reason}; edit the server")]
    Settings {
        /// Why.
        reason: String,
    },
    /// Asking again would lead to the same refusal.
    #[error(
        "the server wants the scopes {scopes}, and they were asked for and given already; ask its operator what is missing, \
         set other scopes, or forget the credential to log in anew all the same"
    )]
    NothingNew {
        /// Separated by spaces.
        scopes: String,
    },
    /// Somebody else's answer can't be used.
    #[error("{}: {cause}", step.words())]
    Failed {
        /// How far it came.
        step: Step,
        /// Why it ended.
        cause: OAuthError,
    },
    /// What is held can't be had, or the flow can't be written.
    #[error(transparent)]
    Inside(#[from] CredentialError),
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::Inside(error.into())
    }
}

impl From<VaultError> for ConnectError {
    fn from(error: VaultError) -> Self {
        Self::Inside(error.into())
    }
}

/// Why a callback led to nothing. Until `Edited`, nothing was used up and nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// It is no callback.
    #[error(
        "this address is where authorization servers send people back to, and it was opened without what they send"
    )]
    Malformed,
    /// Nobody began that.
    #[error("no such login was begun here, or it is long over, or its server was removed; connect again")]
    Unknown,
    /// It came before.
    #[error("this login was used already; if the server is not connected, connect again")]
    Used,
    /// It came too late.
    #[error("this login was begun more than ten minutes ago; connect again")]
    Expired,
    /// It came from somebody else.
    #[error(
        "this login was begun in another browser, or under another address of the gateway; connect again, and go on in the \
         same browser, with the page opened at {public_url}"
    )]
    Foreign {
        /// Where the page has to be opened.
        public_url: String,
    },
    /// Who began it is gone.
    #[error("the operator who began this login has logged out since; log in to the gateway, and connect again")]
    LoggedOut,
    /// The server is another one.
    #[error("the server was edited after this login was begun; nothing was asked for or changed; connect again")]
    Edited,
    /// The server is turned off.
    #[error(
        "the server was disabled after this login was begun; nothing was asked for or changed; enable it, and connect again"
    )]
    Disabled,
    /// Somebody else's answer can't be used.
    #[error("{}: {cause}", step.words())]
    Failed {
        /// How far it came.
        step: Step,
        /// Why it ended.
        cause: OAuthError,
    },
    /// The server refuses the new token, and there was an older one.
    #[error(
        "the login worked, but the server does not take the token that it brought; what was held before is kept. Log in with \
         an account that may use the server, or ask its operator"
    )]
    NotTaken,
    /// The tokens are there and don't help.
    #[error("the login worked, and what it brought is kept, but the server can't be used yet: {reason}")]
    Handshake {
        /// Why.
        reason: String,
    },
    /// The gateway failed.
    #[error("the gateway failed; its log says why; connect again")]
    Inside(#[from] CredentialError),
}

impl From<StoreError> for CallbackError {
    fn from(error: StoreError) -> Self {
        Self::Inside(error.into())
    }
}

impl From<IdentityError> for CallbackError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            _ => Self::LoggedOut,
        }
    }
}
