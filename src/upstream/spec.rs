//! What an operator wants of a server: the definition as it is written, and the spec that an upstream runs by.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::http::Endpoint;
use crate::child::Launch;
use crate::store;
use crate::vault::SecretText;

/// Bounds that hold for each upstream; from the configuration.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the start of a process to the end of its handshake; long, because `npx` and `uvx` install first.
    pub start_timeout: Duration,
    /// Without an answer or progress for this long, a request is given up.
    pub request_timeout: Duration,
    /// However much progress there is, a request is given up after this.
    pub request_timeout_max: Duration,
    /// Most processes of one server.
    pub processes_max: usize,
    /// A pooled connection that nobody used for this long is closed.
    pub idle: Duration,
    /// Longest line that is read from a process.
    pub line_bytes_max: usize,
}

/// A stdio server as an operator writes it.
#[derive(Debug)]
pub struct Definition {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    pub name: String,
    /// The executable, looked up in PATH.
    pub command: String,
    /// Its arguments, passed as they are: no shell.
    pub args: Vec<String>,
    /// Variables of the process, beside the few that every process gets.
    pub env: BTreeMap<String, SecretText>,
    /// Working directory.
    pub cwd: Option<String>,
    /// One process for all agents.
    pub shared: bool,
}

/// What is wrong with one member of a definition.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer.
    pub pointer: String,
    /// One sentence.
    pub detail: String,
}

impl Fault {
    fn new(pointer: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl Definition {
    /// Everything that is wrong with it; empty when it can be tried.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !is_name(&self.name) {
            faults.push(Fault::new("/name", "a name is 1 to 63 of a-z, 0-9 and -, and starts with a letter or digit"));
        }
        if self.command.is_empty() || self.command.contains('\0') {
            faults.push(Fault::new("/command", "the command is empty or holds a NUL character"));
        }
        for (at, arg) in self.args.iter().enumerate() {
            if arg.contains('\0') {
                faults.push(Fault::new(&format!("/args/{at}"), "an argument can't hold a NUL character"));
            }
        }
        for (name, value) in &self.env {
            if let Err(reason) = check_variable(name, value.expose()) {
                faults.push(Fault::new(&format!("/env/{name}"), reason));
            }
        }
        if self.cwd.as_deref().is_some_and(|cwd| !cwd.starts_with('/') || cwd.contains('\0')) {
            faults.push(Fault::new("/cwd", "the working directory is an absolute path"));
        }
        faults
    }

    pub(super) fn into_spec(self) -> ServerSpec {
        ServerSpec {
            id: Arc::from("draft"),
            name: self.name.into(),
            revision: 0,
            enabled: true,
            shared: false,
            transport: Transport::Stdio(Launch {
                command: self.command,
                args: self.args,
                env: self.env.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect(),
                cwd: self.cwd.map(PathBuf::from),
            }),
            fault: None,
        }
    }
}

/// Whether `name` may stand in `/mcp/{name}`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let lawful = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(|first| lawful(*first))
        && bytes.iter().all(|byte| lawful(*byte) || *byte == b'-')
}

/// The process's start would refuse the same; here it is told before anything is stored.
fn check_variable(name: &str, value: &str) -> Result<(), String> {
    if crate::child::may_be_set(name, value) {
        Ok(())
    } else {
        Err(format!(
            "{name:?} can't be given to a server: its name is empty or holds =, it holds NUL, or it would make the \
             loader run other code"
        ))
    }
}

/// How a server is reached.
#[derive(Debug)]
pub enum Transport {
    /// By starting a process and speaking to it over its standard streams.
    Stdio(Launch),
    /// By requests to an address.
    Http(Endpoint),
}

/// What an upstream runs by: one revision of a stored server, its secrets opened.
#[derive(Debug)]
pub struct ServerSpec {
    /// The row's id.
    pub id: Arc<str>,
    /// The name in `/mcp/{name}`.
    pub name: Arc<str>,
    /// Counts edits.
    pub revision: i64,
    /// Whether agents may reach it.
    pub enabled: bool,
    /// One process for all agents.
    pub shared: bool,
    /// How it is reached.
    pub transport: Transport,
    /// Why it can't be started at all.
    pub fault: Option<String>,
}

impl ServerSpec {
    /// Parses a row, with the variables that were sealed beside it.
    ///
    /// # Errors
    /// What is wrong with the row, in words.
    pub fn parse(row: &store::server::Row, env: Vec<(String, SecretText)>) -> Result<Self, String> {
        let args: Vec<String> =
            serde_json::from_str(&row.args).map_err(|error| format!("its arguments can't be read: {error}"))?;
        Ok(Self {
            id: row.id.as_str().into(),
            name: row.name.as_str().into(),
            revision: row.revision,
            enabled: row.enabled,
            shared: row.shared,
            transport: Transport::Stdio(Launch {
                command: row.command.clone().ok_or("it has no command")?,
                args,
                env: env.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect(),
                cwd: row.cwd.clone().map(PathBuf::from),
            }),
            fault: None,
        })
    }

    /// For a row that can't be parsed: the server is known, and says why it can't be used.
    pub(super) fn unusable(row: &store::server::Row, fault: String) -> Self {
        Self {
            id: row.id.as_str().into(),
            name: row.name.as_str().into(),
            revision: row.revision,
            enabled: row.enabled,
            shared: row.shared,
            transport: Transport::Stdio(Launch::default()),
            fault: Some(fault),
        }
    }

    /// The values that must not be seen in what the server says.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.transport {
            Transport::Stdio(launch) => launch.env.iter().map(|(_, value)| value.clone()).collect(),
            Transport::Http(endpoint) => endpoint.credential.secrets(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_contract_says() {
        for name in ["a", "calc", "a-b-1", "0", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "A", "a_b", "a.b", "a/b", "é", " a", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
