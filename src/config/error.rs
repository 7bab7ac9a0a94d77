//! What is wrong with a configuration: every problem at once, each with its place and its remedy.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use super::Source;
use crate::journal::RedactionError;

/// Every problem that was found.
#[derive(Debug)]
pub struct ConfigError(pub Vec<Problem>);

impl ConfigError {
    /// The table of keys and the structs disagree: ours to mend, but no reason to panic.
    pub(super) fn of_table(error: serde_json::Error) -> Self {
        Self(vec![Problem::Table { source: error }])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|problem| crate::chain(problem)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// One problem.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A key that does not exist.
    #[error("{source_of}: unknown key {key}{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The key, as it was written.
        key: String,
        /// Where it stands.
        source_of: Source,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value that cannot stand for its key.
    #[error("{source_of}: {key} must be {expected}{}", instead(found.as_deref()))]
    WrongValue {
        /// The key.
        key: &'static str,
        /// Where it was set.
        source_of: Source,
        /// What may stand for it.
        expected: String,
        /// What stands there; absent for a secret.
        found: Option<String>,
    },
    /// The same key twice in the environment, once by value and once by file.
    #[error("both {variable} and {variable}_FILE are set; unset one of them")]
    SetTwice {
        /// The variable.
        variable: String,
    },
    /// A file that was named cannot be read.
    #[error("{named_by}: cannot read {}", path.display())]
    Unreadable {
        /// Who named the file.
        named_by: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {what}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// The file holds a secret, and everybody may read it.
    #[error("{} holds {key} and can be read by everybody; chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The secret's key.
        key: &'static str,
    },
    /// There is no home directory to keep things in.
    #[error("{key} has no default, because neither HOME nor {variable} is set; set {key}")]
    NoHome {
        /// The key.
        key: &'static str,
        /// The variable that would do.
        variable: &'static str,
    },
    /// Anybody on the network could reach the gateway.
    #[error(
        "{source_of}: cannot listen on {address}: other machines could reach it, and serving them needs TLS and operators' \
         logins, which this version does not have; listen on 127.0.0.1 and put a TLS proxy or an SSH tunnel in front"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
        /// Where it was set.
        source_of: Source,
    },
    /// A limit is above its own maximum.
    #[error("{less} is greater than {more}; lower the one or raise the other")]
    OutOfOrder {
        /// The one that should be less.
        less: &'static str,
        /// The one that should be more.
        more: &'static str,
    },
    /// What is not to be written down can't be understood.
    #[error("{source_of}: journal.redact: {error}")]
    Redaction {
        /// Where it was set.
        source_of: Source,
        /// Why.
        error: RedactionError,
    },
    /// Whoever copies the data directory would have the key as well.
    #[error("master_key_path {} lies in the data directory; keep the key elsewhere", path.display())]
    KeyBesideData {
        /// The key's file.
        path: PathBuf,
    },
    /// The table of keys and the configuration's structs disagree.
    #[error("the configuration does not fit its own table; please report this")]
    Table {
        /// How.
        source: serde_json::Error,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}

fn instead(found: Option<&str>) -> String {
    found.map_or_else(String::new, |found| format!(", not {found}"))
}
