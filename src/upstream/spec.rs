//! What an upstream runs by: one revision of a stored server, its secrets opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::definition::{AuthType, OAuthSettings, TIMEOUT_SECONDS_DEFAULT};
use super::http::{Credential, Endpoint, OAuthLogin};
use super::sealed::{BEARER_TOKEN_FIELD, ENV_FIELD, HEADER_FIELD, OAUTH_CLIENT_SECRET_FIELD, stored_credentials};
use super::status::Credentials;
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
    /// Whether the gateway has what it needs to log in, as far as that is known before anything was tried.
    pub credentials: Credentials,
    /// Why it can't be started at all.
    pub fault: Option<String>,
}

impl ServerSpec {
    /// Parses a row, with the secrets that were sealed beside it, by field.
    ///
    /// # Errors
    /// What is wrong with the row, in words.
    pub fn parse(row: &store::server::Row, secrets: Vec<(String, SecretText)>) -> Result<Self, String> {
        let credentials = stored_credentials(row, secrets.iter().map(|(field, _)| field.as_str()));
        let transport = match row.mode.as_str() {
            "stdio" => Transport::Stdio(parse_launch(row, &secrets)?),
            "http" => Transport::Http(parse_endpoint(row, secrets)?),
            other => return Err(format!("its mode is {other:?}, which this version does not know")),
        };
        Ok(Self {
            id: row.id.as_str().into(),
            name: row.name.as_str().into(),
            revision: row.revision,
            enabled: row.enabled,
            shared: row.shared,
            transport,
            credentials,
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
            credentials: if row.auth_type.is_some() { Credentials::not_taken(&*fault) } else { Credentials::ready() },
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

fn parse_launch(row: &store::server::Row, secrets: &[(String, SecretText)]) -> Result<Launch, String> {
    let args = serde_json::from_str(&row.args).map_err(|error| format!("its arguments can't be read: {error}"))?;
    let env = secrets.iter().filter_map(|(field, value)| {
        field.strip_prefix(ENV_FIELD).map(|name| (name.to_owned(), value.expose().to_owned()))
    });
    Ok(Launch {
        command: row.command.clone().ok_or("it has no command")?,
        args,
        env: env.collect(),
        cwd: row.cwd.clone().map(PathBuf::from),
    })
}

fn parse_endpoint(row: &store::server::Row, secrets: Vec<(String, SecretText)>) -> Result<Endpoint, String> {
    let auth_type = row.auth_type.as_deref().unwrap_or_default();
    let credential = match AuthType::parse(auth_type) {
        Some(AuthType::None) => Credential::None,
        Some(AuthType::Bearer) => {
            let token = secrets.into_iter().find(|(field, _)| field == BEARER_TOKEN_FIELD);
            Credential::Bearer(token.map(|(_, token)| token))
        }
        Some(AuthType::Headers) => {
            let named =
                |(field, value): (String, SecretText)| Some((field.strip_prefix(HEADER_FIELD)?.to_owned(), value));
            Credential::Headers(secrets.into_iter().filter_map(named).collect())
        }
        Some(AuthType::OAuth) => {
            let settings = OAuthSettings::read(row)?;
            let secret = secrets.into_iter().find(|(field, _)| field == OAUTH_CLIENT_SECRET_FIELD);
            Credential::OAuth(OAuthLogin { settings, client_secret: secret.map(|(_, secret)| secret) })
        }
        None => return Err(format!("its type of auth is {auth_type:?}, which this version does not know")),
    };
    let timeout_seconds = row.timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT);
    Ok(Endpoint {
        url: row.base_url.clone().ok_or("it has no base URL")?,
        timeout: Duration::from_secs(u64::try_from(timeout_seconds).map_err(|_| "its timeout is below zero")?),
        credential,
    })
}
