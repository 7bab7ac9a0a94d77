//! The configuration: what the operator set, where each value came from, and nothing else.
//!
//! In come flags, the environment and a file; out goes a [`Config`], or every problem at once. A flag wins over the
//! environment, the environment over the file, the file over the default. A key that is not known is an error, because a
//! misspelt setting is one that silently does not hold. This room is the only reader of the environment.
//!
//! One table ([`KEYS`]) names every key; the environment's names, the file's keys, the JSON Schema, the example file and
//! what `atryum config show` prints all follow from it.

mod document;
mod environment;
mod error;
mod file;
mod key;
mod layers;
mod source;
mod syslog;
mod value;
mod waits;

pub use document::{example, schema};
pub use environment::Environment;
pub use error::{ConfigError, Problem};
pub use key::{KEYS, Key, Kind};
pub use source::Source;
pub use syslog::SyslogTarget;
pub use waits::Waits;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, de};

use crate::{
    journal::Redaction,
    store::Durability,
    vault::{KeySource, KeyringEntry, SecretText},
};

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// Keys and their values, as text.
    pub values: Vec<(&'static str, String)>,
}

/// Everything that can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; a loopback address.
    pub listen: SocketAddr,
    /// Where the gateway keeps its state.
    pub data_dir: PathBuf,
    database_url: Option<SecretText>,
    public_url: Option<String>,
    /// A fixed operator token with the administrator role.
    pub admin_token: Option<SecretText>,
    master_key: Option<SecretText>,
    master_key_path: PathBuf,
    master_key_store: KeyStore,
    /// Whether to start with a demo server, rules and an agent.
    pub demo: bool,
    /// The record of calls.
    pub journal: JournalConfig,
    /// What was done, by whom.
    pub audit: AuditConfig,
    /// Decisions.
    pub gate: GateConfig,
    /// The servers behind the gateway.
    pub upstream: UpstreamConfig,
    /// The doors.
    pub http: HttpConfig,
    /// What the gateway says of itself.
    pub log: LogConfig,
    /// Logging in at servers that want OAuth.
    pub oauth: OauthConfig,
    #[serde(skip)]
    settings: Vec<Setting>,
    /// How the keyring of the operating system is reached.
    #[serde(skip)]
    keyring_variables: Vec<(String, String)>,
}

/// Where the master key is kept when nobody gives it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum KeyStore {
    File,
    Keyring,
}

/// `[journal]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalConfig {
    /// What a committed record survives on SQLite.
    #[serde(deserialize_with = "durability")]
    pub durability: Durability,
    /// How long calls are kept after they came, in days; 0 is for ever.
    pub keep_days: u64,
    /// What is not written down of arguments and results.
    pub redact: Vec<String>,
}

/// `[audit]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// How long events are kept, in days; 0 is for ever.
    pub keep_days: u64,
    /// How many bytes of events are kept, about; 0 is all.
    pub keep_bytes: u64,
    /// Where events are told by syslog.
    pub syslog: Option<SyslogTarget>,
    /// Where events are posted.
    pub webhook_url: Option<String>,
    /// What the posts are signed with.
    pub webhook_secret: Option<SecretText>,
}

/// `[gate]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// How long a person has for an answer before that counts as a denial.
    pub approval_timeout_seconds: u64,
    /// How long an answer is good for the same call, made again after its agent had left.
    pub approval_holds_seconds: u64,
    /// Most questions of one agent that wait for a person.
    pub approvals_per_agent: u64,
    /// How long a call waits for the answer before its agent is told to come back, by client.
    pub waits: Waits,
}

/// `[upstream]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// From the start of a process to the end of its handshake.
    pub spawn_timeout_seconds: u64,
    /// Without an answer or progress for this long, a request is given up.
    pub request_timeout_seconds: u64,
    /// However much progress there is, a request is given up after this.
    pub request_timeout_max_seconds: u64,
    /// Most processes of one server.
    pub max_processes: usize,
    /// A connection that nobody used for this long is closed.
    pub idle_seconds: u64,
    /// Longest line that is read from a process.
    pub line_bytes_max: usize,
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Longest request body.
    pub body_bytes_max: usize,
    /// Threads that serve requests.
    pub workers: usize,
    /// Names, beside the loopback ones and the public URL's, that a request may be addressed to.
    pub allowed_hosts: Vec<String>,
    /// Origins, beside the gateway's own, whose pages may call.
    pub allowed_origins: Vec<String>,
    /// An agent's session that was silent for this long is closed.
    pub session_idle_seconds: u64,
    /// Most sessions at a time.
    pub sessions_max: usize,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Which events are written, in the form that `RUST_LOG` has.
    pub level: String,
    /// How they are written.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[oauth]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthConfig {
    /// Address of the client id metadata document, when it is not the one the gateway serves itself.
    pub client_metadata_url: Option<String>,
}

/// One key, its value as it may be shown, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, dots and all.
    pub key: &'static str,
    /// The value; a secret is masked.
    pub shown: serde_json::Value,
    /// Who set it.
    pub source: Source,
}

impl Config {
    /// Reads everything there is to read.
    ///
    /// # Errors
    /// With every problem there is, each naming the key, where it was set and what was expected.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_in(&Environment::of_this_process(), flags)
    }

    /// Reads everything there is to read, in the surroundings given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_in(environment: &Environment, flags: &Flags) -> Result<Self, ConfigError> {
        let layers = layers::read(environment, flags)?;
        let mut config: Self = serde_json::from_value(layers.tree()).map_err(ConfigError::of_table)?;
        config.settings = layers.settings();
        config.keyring_variables = environment.variables_named(&KeyringEntry::VARIABLES);
        let problems = config.contradictions();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    /// Every key with its value and source, in the table's order.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The database: what was set, or a file in the data directory.
    pub fn database_url(&self) -> String {
        let in_data_dir = || format!("sqlite:{}?mode=rwc", self.data_dir.join("atryum.db").display());
        self.database_url.as_ref().map_or_else(in_data_dir, |url| url.expose().to_owned())
    }

    /// The base URL for browsers and agents, without a slash at its end; the address listened on unless one was set.
    pub fn public_url(&self, listening_on: SocketAddr) -> String {
        let own = || format!("http://{listening_on}");
        self.public_url.as_ref().map_or_else(own, |url| url.trim_end_matches('/').to_owned())
    }

    /// Where the master key is.
    pub fn key_source(&self) -> KeySource {
        match (&self.master_key, self.master_key_store) {
            (Some(value), _) => {
                KeySource::Value { name: self.source_of("master_key").to_string(), value: value.clone() }
            }
            (None, KeyStore::File) => KeySource::File(self.master_key_path.clone()),
            (None, KeyStore::Keyring) => {
                let data_dir = self.data_dir.display().to_string();
                KeySource::Keyring(KeyringEntry::of_master_key(&data_dir, self.keyring_variables.clone()))
            }
        }
    }

    /// Where a key's value came from.
    pub fn source_of(&self, key: &str) -> Source {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting.map_or(Source::Default, |setting| setting.source.clone())
    }

    /// What is well-formed but cannot hold together.
    fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() {
            problems.push(Problem::NotLoopback { address: self.listen, source_of: self.source_of("listen") });
        }
        if self.upstream.request_timeout_seconds > self.upstream.request_timeout_max_seconds {
            problems.push(Problem::OutOfOrder {
                less: "upstream.request_timeout_seconds",
                more: "upstream.request_timeout_max_seconds",
            });
        }
        if let Err(error) = Redaction::parse(&self.journal.redact, Arc::new(str::to_owned)) {
            problems.push(Problem::Redaction { source_of: self.source_of("journal.redact"), error });
        }
        if self.master_key.is_none()
            && self.master_key_store == KeyStore::File
            && is_inside(&self.master_key_path, &self.data_dir)
        {
            problems.push(Problem::KeyBesideData { path: self.master_key_path.clone() });
        }
        problems
    }
}

/// Whether a path lies in a folder, as far as their spelling tells.
fn is_inside(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder)
}

fn durability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Durability, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "process" => Ok(Durability::Process),
        "disk" => Ok(Durability::Disk),
        other => Err(de::Error::unknown_variant(other, &["process", "disk"])),
    }
}

#[cfg(test)]
mod tests;
