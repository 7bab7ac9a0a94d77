//! The REST client behind every noun.
//!
//! In come a path and perhaps a body, out goes JSON or an error in words. It follows no redirect, reads no proxy
//! settings, and bounds what it waits for and what it reads.

use std::time::Duration;

use awc::{
    ClientRequest,
    http::{Method, StatusCode},
};
use clap::Args;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;

use super::{
    error::{CliError, Problem},
    output::{Format, print_part},
};
use crate::config::Environment;

/// How long an answer may take; a test of a server that installs itself first is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_secs(150);

/// Largest answer that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most items of a list that are asked for at a time.
const PAGE: &str = "200";

/// Which gateway is meant, and how its answers are printed.
#[derive(Args, Clone, Debug)]
pub(super) struct Remote {
    /// The gateway's address
    #[arg(long, env = "ATRYUM_URL", value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    pub(super) url: String,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", global = true)]
    pub(super) output: Format,
}

/// What an operator shows to be let in.
pub(super) enum Credential {
    /// A token that is whole by itself.
    Token(String),
    /// The two halves of a login.
    Login { token: String, csrf: String },
}

/// What marks a token that `atryum login` printed.
const LOGIN_PREFIX: &str = "login:";

impl Credential {
    /// Parses what `ATRYUM_TOKEN` holds.
    pub(super) fn parse(text: &str) -> Self {
        match text.strip_prefix(LOGIN_PREFIX).and_then(|halves| halves.split_once(':')) {
            Some((token, csrf)) => Self::Login { token: token.to_owned(), csrf: csrf.to_owned() },
            None => Self::Token(text.to_owned()),
        }
    }

    /// What `ATRYUM_TOKEN` must hold for the halves of a login.
    pub(super) fn of_login(token: &str, csrf: &str) -> String {
        format!("{LOGIN_PREFIX}{token}:{csrf}")
    }
}

/// A gateway somewhere, and our credential for it.
pub(super) struct Client {
    url: String,
    credential: Option<Credential>,
    http: awc::Client,
}

impl Client {
    /// A client with the credential of the environment, which may be missing.
    pub(super) fn new(url: &str) -> Self {
        let token = Environment::of_this_process().operator_token();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            credential: token.map(|text| Credential::parse(&text)),
            http: http(),
        }
    }

    /// A client for those who have no credential yet.
    pub(super) fn without_credential(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), credential: None, http: http() }
    }

    /// The gateway's address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether there is a credential at all.
    pub(super) fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::GET, path, None::<&Value>).await
    }

    pub(super) async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Value, CliError> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.send(Method::DELETE, path, None::<&Value>).await.map(drop)
    }

    /// All pages of a list, as one array.
    pub(super) async fn list(&self, path: &str) -> Result<Value, CliError> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit={PAGE}{cursor}")).await?;
            items.extend(page.pointer("/items").and_then(Value::as_array).into_iter().flatten().cloned());
            match page.pointer("/next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={}", segment(next)),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    /// Prints a long answer as it comes.
    pub(super) async fn download(&self, path: &str) -> Result<(), CliError> {
        let request = self.authorized(self.http.get(format!("{}{path}", self.url)));
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            let text = response.body().limit(BODY_BYTES_MAX).await.map_err(|error| self.strange(&error))?;
            let mut problem: Problem = serde_json::from_slice(&text).unwrap_or_default();
            problem.status = response.status().as_u16();
            return Err(CliError::Refused(problem));
        }
        while let Some(part) = response.next().await {
            print_part(&part.map_err(|error| self.strange(&error))?);
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Result<Value, CliError> {
        let (status, _, text) = self.exchange(method, path, body).await?;
        if status.is_success() {
            if text.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&text).map_err(|error| self.strange(&error));
        }
        let mut problem: Problem = serde_json::from_slice(&text).unwrap_or_default();
        problem.status = status.as_u16();
        Err(if status == StatusCode::UNAUTHORIZED {
            CliError::Unauthenticated(problem)
        } else {
            CliError::Refused(problem)
        })
    }

    /// One request and its answer: the status, the cookies it sets, and the body.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Result<(StatusCode, Vec<(String, String)>, Vec<u8>), CliError> {
        let request = self.authorized(self.http.request(method, format!("{}{path}", self.url)));
        let sent = match body {
            Some(body) => request.send_json(&body),
            None => request.send(),
        };
        let mut response = sent.await.map_err(|error| self.unreachable(&error))?;
        let announced = response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let headers = response.headers().get_all("set-cookie").filter_map(|cookie| cookie.to_str().ok());
        let cookies = headers.filter_map(cookie).collect();
        let text = response.body().limit(BODY_BYTES_MAX).await.map_err(|error| self.strange(&error))?;
        // A body that broke off ends like a whole one.
        if announced.is_some_and(|length: usize| length != text.len()) {
            return Err(self.strange(&"the answer broke off"));
        }
        Ok((response.status(), cookies, text.to_vec()))
    }

    fn authorized(&self, request: ClientRequest) -> ClientRequest {
        match &self.credential {
            Some(Credential::Token(token)) => request.bearer_auth(token),
            Some(Credential::Login { token, csrf }) => {
                request.bearer_auth(token).insert_header(("x-csrf-token", csrf.as_str()))
            }
            None => request,
        }
    }

    fn unreachable(&self, error: &awc::error::SendRequestError) -> CliError {
        unreachable(&self.url, error)
    }

    fn strange(&self, why: &impl ToString) -> CliError {
        CliError::Strange { url: self.url.clone(), why: why.to_string() }
    }
}

/// The name and the value of a `Set-Cookie` header.
fn cookie(header: &str) -> Option<(String, String)> {
    let (name, value) = header.split(';').next()?.split_once('=')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// An HTTP client with every limit named.
pub(super) fn http() -> awc::Client {
    awc::Client::builder().timeout(ANSWER_WITHIN).disable_redirects().finish()
}

/// What it means for a person that a request could not be sent.
pub(super) fn unreachable(url: &str, error: &awc::error::SendRequestError) -> CliError {
    let why = if url.starts_with("https:") {
        "this version speaks plain http only; use an SSH tunnel to the machine it runs on".into()
    } else {
        error.to_string()
    };
    CliError::Unreachable { url: url.to_owned(), why }
}

/// A text as one segment of a path, or one value of a query.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(segment("../x?y=1#z é"), "..%2Fx%3Fy%3D1%23z%20%C3%A9");
    }

    #[test]
    fn what_login_prints_is_understood_again() {
        let printed = Credential::of_login("tok-en", "cs_rf");
        assert!(
            matches!(Credential::parse(&printed), Credential::Login { token, csrf } if token == "tok-en" && csrf == "cs_rf")
        );
        assert!(matches!(Credential::parse("plain:token"), Credential::Token(token) if token == "plain:token"));
        assert!(matches!(Credential::parse("login:half"), Credential::Token(_)));
    }
}
