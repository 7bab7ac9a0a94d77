//! What each error of the rooms means to a caller of the REST surface.
//!
//! Every match here names every variant: a new way to fail has to be given a meaning before it compiles.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{Code, Problem};
use crate::connect::{ConnectError, Step};
use crate::credential::CredentialError;
use crate::gate::GateError;
use crate::identity::IdentityError;
use crate::notify::ChannelError;
use crate::store::StoreError;
use crate::upstream::UpstreamError;
use crate::vault::VaultError;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. } => Self::new(Code::Conflict, error.to_string()),
            StoreError::NotFound { what } => Self::new(Code::NotFound, format!("there is no such {what}")),
            StoreError::Stale { .. } => {
                Self::new(Code::Stale, format!("{error}; read it again, and edit what is there now"))
            }
            StoreError::BadCursor => {
                let detail = "the query parameter \"cursor\" can't be used: it is not one that this list gave out; \
                              begin without it";
                Self::new(Code::InvalidParameter, detail)
            }
            StoreError::Unavailable { .. } => {
                tracing::error!(error = %crate::chain(&error), "the store failed");
                let outlook = if error.is_certainly_aborted() {
                    "nothing was changed; try again"
                } else {
                    "whether it was changed is unknown; read it before trying again"
                };
                Self::new(Code::Unavailable, format!("the database did not answer; {outlook}"))
            }
            StoreError::Unseated => Self::new(Code::Unavailable, format!("{error}; nothing was changed; try again")),
            StoreError::Refused { .. }
            | StoreError::Newer { .. }
            | StoreError::Migration { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Locked { .. }
            | StoreError::Url { .. }
            | StoreError::File { .. } => Self::internal(&error),
        }
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Store(error) => error.into(),
            GateError::MalformedRule { .. } => {
                tracing::error!(error = %error, "the rules can't be loaded");
                Self::new(
                    Code::Unavailable,
                    format!("{error}; every call is denied until that rule is mended or deleted"),
                )
            }
            GateError::EvaluatorDown => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::Refused(refusal) => Self::new(Code::Unauthenticated, refusal.to_string()),
            IdentityError::WeakToken { .. } | IdentityError::NoRandomness(_) => Self::internal(&error),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::Missing { .. }
            | VaultError::Wrong { .. }
            | VaultError::Malformed { .. }
            | VaultError::Exposed { .. }
            | VaultError::File { .. }
            | VaultError::Keyring { .. }
            | VaultError::NotInPlace { .. }
            | VaultError::Unsealed
            | VaultError::NoNewKeyFile { .. }
            | VaultError::NoSeed { .. }
            | VaultError::DoesNotOpen { .. }
            | VaultError::UnknownFormat { .. }
            | VaultError::TooLong
            | VaultError::NoRandomness(_) => Self::internal(&error),
        }
    }
}

impl From<ChannelError> for Problem {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Vault(error) => error.into(),
            ChannelError::NotWhole | ChannelError::List(_) => Self::internal(&error),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Store(error) => error.into(),
            CredentialError::Vault(error) => error.into(),
            CredentialError::Malformed { .. } => Self::internal(&error),
        }
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoServer => Self::new(Code::NotFound, error.to_string()),
            ConnectError::NotRemote | ConnectError::OtherLogin { .. } | ConnectError::NotAsked { .. } => {
                Self::new(Code::NotOauth, error.to_string())
            }
            ConnectError::Disabled
            | ConnectError::PublicUrl { .. }
            | ConnectError::Settings { .. }
            | ConnectError::NothingNew { .. } => Self::new(Code::Conflict, error.to_string()),
            ConnectError::Failed { step, ref cause } => {
                let code = match step {
                    Step::Registration => Code::RegistrationFailed,
                    Step::Discovery | Step::Callback | Step::Exchange => Code::DiscoveryFailed,
                };
                Self::new(code, error.to_string()).of_kind(cause.kind())
            }
            ConnectError::Inside(error) => error.into(),
        }
    }
}

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        let code = match &error {
            UpstreamError::Launch(_)
            | UpstreamError::Exited { .. }
            | UpstreamError::Refused { .. }
            | UpstreamError::Unusable { .. }
            | UpstreamError::TooLarge { .. }
            | UpstreamError::Stopped { .. }
            | UpstreamError::Http(_)
            | UpstreamError::Unopened(_)
            | UpstreamError::SessionLost(_)
            | UpstreamError::NotRunnable { .. } => Code::UpstreamFailed,
            UpstreamError::StartTimedOut { .. } | UpstreamError::TimedOut { .. } => Code::UpstreamTimeout,
            UpstreamError::Disabled => Code::Conflict,
            UpstreamError::Backoff { .. }
            | UpstreamError::TooMany { .. }
            | UpstreamError::Busy { .. }
            | UpstreamError::Unanswered { .. }
            | UpstreamError::Denied { .. }
            | UpstreamError::Redefined
            | UpstreamError::Unfinished(_)
            | UpstreamError::ActorDown => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
