//! What can go wrong on the floor.
//!
//! A driver's error comes in, a [`StoreError`] that answers the caller's questions goes out: is it my fault, may it
//! have happened, is it worth another try. The text of a value never becomes part of a message.

use std::path::PathBuf;

use sea_orm::sqlx::{self, error::ErrorKind};
use sea_orm::{DbErr, RuntimeErr};

/// The refusal or failure of a store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, is full, or broke off.
    #[error("the database is unavailable")]
    Unavailable {
        /// the statement may have been committed before the failure
        maybe_done: bool,
        /// what the driver said
        #[source]
        source: DbErr,
    },
    /// The edit contradicts what is stored.
    #[error("{what}")]
    Conflict {
        /// one phrase for people
        what: String,
    },
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// the kind of row
        what: &'static str,
    },
    /// The row was edited since the caller read it.
    #[error("it was edited in the meantime: revision {expected} was expected, {found} is stored")]
    Stale {
        /// the revision that the caller saw
        expected: i64,
        /// the revision that is stored
        found: i64,
    },
    /// A list's cursor was not given out by this gateway.
    #[error("the cursor is not one that was given out")]
    BadCursor,
    /// The database refused the statement or its values.
    #[error("the database refused the statement")]
    Refused {
        /// what the driver said
        #[source]
        source: DbErr,
    },
    /// The schema is from a newer release.
    #[error(
        "the database was migrated by a newer release (unknown migration {migration}): run the newer binary, or restore \
         a backup made before the upgrade"
    )]
    Newer {
        /// the first migration that this binary does not know
        migration: String,
    },
    /// A migration failed; the schema is as it was before it.
    #[error("migration {migration} failed")]
    Migration {
        /// its name
        migration: String,
        /// what the driver said
        #[source]
        source: DbErr,
    },
    /// The file is damaged or is not a database.
    #[error("the database is damaged ({detail}): restore a backup; it is never recreated on its own")]
    Corrupt {
        /// what the check found
        detail: String,
    },
    /// Another process holds the database.
    #[error("another atryum is using this database ({holder})")]
    Locked {
        /// the lock file, or the lock in the database
        holder: String,
    },
    /// This gateway's seat is lost; it sits down again by itself.
    #[error("this gateway has lost its seat at the database, and writes nothing until it has one again")]
    Unseated,
    /// The address of the database cannot be used.
    #[error("the database url cannot be used: {reason}")]
    Url {
        /// why; never the URL itself, which may hold a password
        reason: String,
    },
    /// A file beside the database could not be made or read.
    #[error("cannot use {}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// what the system said
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Returns whether it is certain that nothing was changed.
    #[must_use]
    pub fn is_certainly_aborted(&self) -> bool {
        !matches!(self, Self::Unavailable { maybe_done: true, .. })
    }

    /// Returns whether the same operation may succeed later without any change to it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unseated)
    }

    /// Returns a stable word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Conflict { .. } => "conflict",
            Self::NotFound { .. } => "not_found",
            Self::Stale { .. } => "stale",
            Self::BadCursor => "bad_cursor",
            Self::Refused { .. } => "refused",
            Self::Newer { .. } => "newer",
            Self::Migration { .. } => "migration",
            Self::Corrupt { .. } => "corrupt",
            Self::Locked { .. } => "locked",
            Self::Unseated => "unseated",
            Self::Url { .. } => "url",
            Self::File { .. } => "file",
        }
    }

    /// Builds a conflict from one phrase.
    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    /// Builds the error for a database that does not answer.
    pub(crate) fn timed_out() -> Self {
        let source = DbErr::Conn(RuntimeErr::Internal("it does not answer".to_owned()));
        Self::Unavailable { maybe_done: true, source }
    }

    /// Turns a broken uniqueness into a conflict that says so in words.
    pub(crate) fn or_taken(self, what: impl FnOnce() -> String) -> Self {
        match self {
            Self::Conflict { .. } => Self::Conflict { what: what() },
            other => other,
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(source: DbErr) -> Self {
        match Class::of(&source) {
            Class::Unavailable { maybe_done } => Self::Unavailable { maybe_done, source },
            Class::Conflict => Self::conflict("it contradicts what is stored"),
            Class::Corrupt { detail } => Self::Corrupt { detail },
            Class::Refused => Self::Refused { source },
        }
    }
}

/// What kind of failure a driver's error is.
enum Class {
    Unavailable { maybe_done: bool },
    Conflict,
    Corrupt { detail: String },
    Refused,
}

impl Class {
    fn of(error: &DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(_) => Self::Unavailable { maybe_done: false },
            DbErr::Conn(RuntimeErr::SqlxError(error)) => match Self::of_sqlx(error) {
                // whatever it is that a server has against a connection: no statement was sent
                Self::Refused => Self::Unavailable { maybe_done: false },
                class => class,
            },
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                Self::of_sqlx(error)
            }
            DbErr::Conn(_) => Self::Unavailable { maybe_done: true },
            _ => Self::Refused,
        }
    }

    fn of_sqlx(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.kind() {
                ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation => Self::Conflict,
                _ => Self::of_code(&error.code().unwrap_or_default(), error.message()),
            },
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Unavailable { maybe_done: false },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable { maybe_done: true },
            _ => Self::Refused,
        }
    }

    /// Reads SQLite's extended result codes (decimal, the primary code in the low byte) and PostgreSQL's five
    /// characters; the two cannot be mixed up, as SQLite's never have five digits that start with `08`, `53` or `57`.
    fn of_code(code: &str, message: &str) -> Self {
        if code.len() == 5 && ["08", "53", "57"].iter().any(|class| code.starts_with(class)) {
            // connection exceptions; no resources; an operator's intervention such as a shutdown
            return Self::Unavailable { maybe_done: !code.starts_with("53") };
        }
        if code == "XX001" || code == "XX002" {
            return Self::Corrupt { detail: message.to_owned() };
        }
        match code.parse::<u32>().map(|code| code & 0xff) {
            // busy, locked, read-only, full, cannot open: rolled back by SQLite before it answers
            Ok(5 | 6 | 8 | 13 | 14) => Self::Unavailable { maybe_done: false },
            // interrupted, input/output error
            Ok(9 | 10) => Self::Unavailable { maybe_done: true },
            Ok(11 | 26) => Self::Corrupt { detail: message.to_owned() },
            _ => Self::Refused,
        }
    }
}
