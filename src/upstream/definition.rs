//! What an operator wants of a server, as it is written, and what is wrong with it.

mod http;
mod oauth;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::http::Endpoint;
use super::sealed::{BEARER_TOKEN_FIELD, ENV_FIELD, HEADER_FIELD, OAUTH_CLIENT_SECRET_FIELD};
use super::spec::{ServerSpec, Transport};
use super::status::Credentials;
use crate::child::Launch;
use crate::egress;
use crate::vault::SecretText;

pub use http::{AuthType, HttpDefinition, TIMEOUT_SECONDS_DEFAULT};
pub use oauth::{Because, OAuthSettings, Removed};

/// A server as an operator writes it. Secrets are those that are given now; of an edit, what stays sealed is not here.
#[derive(Debug)]
pub struct Definition {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    pub name: String,
    /// How it is reached.
    pub mode: Mode,
}

/// How a server is reached. What belongs to one mode can't be said of the other.
#[derive(Debug)]
pub enum Mode {
    /// A process on this machine.
    Stdio(StdioDefinition),
    /// An address.
    Http(HttpDefinition),
}

impl Mode {
    /// The mode in the contract's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::Http(_) => "http",
        }
    }
}

/// A process, and what it is started with.
#[derive(Debug)]
pub struct StdioDefinition {
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

    /// For a member whose name somebody chose.
    fn of_member(parent: &str, name: &str, detail: impl Into<String>) -> Self {
        Self::new(&format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1")), detail)
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
        match &self.mode {
            Mode::Stdio(stdio) => faults.extend(stdio.faults()),
            Mode::Http(http) => faults.extend(http.faults()),
        }
        faults
    }

    /// What is wrong with it for the gateway that listens on `own` and is known as `public_url`: a server that is the
    /// gateway itself would answer by asking itself.
    #[must_use]
    pub fn fault_at(&self, own: SocketAddr, public_url: &str) -> Option<Fault> {
        let is_own = self.base_url().is_some_and(|base_url| egress::is_own(base_url, own, public_url));
        is_own.then(|| Fault::new("/base_url", "this is the gateway's own address; give that of the server behind it"))
    }

    /// The base URL of a server in HTTP mode.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        match &self.mode {
            Mode::Stdio(_) => None,
            Mode::Http(http) => Some(&http.base_url),
        }
    }

    /// The token URL that was typed for a login by OAuth.
    #[must_use]
    pub fn token_url(&self) -> Option<&str> {
        match &self.mode {
            Mode::Stdio(_) => None,
            Mode::Http(http) => http.oauth().and_then(|settings| settings.token_url.as_deref()),
        }
    }

    /// The secrets that are given, each with the field that it is kept under.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &SecretText)> {
        match &self.mode {
            Mode::Stdio(stdio) => stdio.env.iter().map(|(name, value)| (format!("{ENV_FIELD}{name}"), value)).collect(),
            Mode::Http(http) => http.secrets(),
        }
    }

    pub(super) fn into_spec(self) -> ServerSpec {
        let (transport, credentials) = match self.mode {
            Mode::Stdio(stdio) => (Transport::Stdio(stdio.into_launch()), Credentials::ready()),
            Mode::Http(http) => {
                let fields: Vec<_> = http.secrets().into_iter().map(|(field, _)| field).collect();
                let credentials = super::sealed::credentials(http.auth_type(), !fields.is_empty(), None);
                (Transport::Http(http.into_endpoint()), credentials)
            }
        };
        ServerSpec {
            id: Arc::from("draft"),
            name: self.name.into(),
            revision: 0,
            enabled: true,
            shared: false,
            transport,
            credentials,
            fault: None,
        }
    }
}

impl StdioDefinition {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.command.is_empty() {
            faults.push(Fault::new("/command", "a command is needed; a server in HTTP mode has a base_url instead"));
        }
        if self.command.contains('\0') {
            faults.push(Fault::new("/command", "a command can't hold a NUL character"));
        }
        for (at, arg) in self.args.iter().enumerate() {
            if arg.contains('\0') {
                faults.push(Fault::new(&format!("/args/{at}"), "an argument can't hold a NUL character"));
            }
        }
        for (name, value) in &self.env {
            if let Err(reason) = check_variable(name, value.expose()) {
                faults.push(Fault::of_member("/env", name, reason));
            }
        }
        if self.cwd.as_deref().is_some_and(|cwd| !cwd.starts_with('/') || cwd.contains('\0')) {
            faults.push(Fault::new("/cwd", "the working directory is an absolute path"));
        }
        faults
    }

    fn into_launch(self) -> Launch {
        Launch {
            command: self.command,
            args: self.args,
            env: self.env.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect(),
            cwd: self.cwd.map(PathBuf::from),
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
