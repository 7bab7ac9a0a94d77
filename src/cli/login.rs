//! `atryum login LINK`: a one-time link in, the variables of a shell out.

use awc::http::Method;
use clap::Args;
use serde_json::{Value, json};

use super::{
    client::{Client, Credential},
    error::{CliError, Problem},
    output::print,
};

/// The cookie that holds one half of a login.
const COOKIE: &str = "atryum_session";

#[derive(Args, Debug)]
pub(super) struct Login {
    /// The link that atryum serve printed; it works once
    link: String,
    /// The gateway's address, when LINK is only the code
    #[arg(long, env = "ATRYUM_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

impl Login {
    /// Prints lines for `eval "$(atryum login LINK)"`.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let (url, code) = taken_apart(&self.link, &self.url)?;
        let client = Client::without_credential(url);
        let (status, cookies, body) =
            client.exchange(Method::POST, "/api/v1/login", Some(&json!({ "code": code }))).await?;
        if !status.is_success() {
            let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
            problem.status = status.as_u16();
            return Err(CliError::Refused(problem));
        }
        let session: Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = cookies.iter().find(|(name, _)| name == COOKIE).map(|(_, value)| value.as_str());
        let (Some(token), Some(csrf)) = (token, session.pointer("/csrf_token").and_then(Value::as_str)) else {
            return Err(CliError::Strange { url: url.to_owned(), why: "it gave no session".into() });
        };
        let whole = Credential::of_login(token, csrf);
        print(&format!("export ATRYUM_URL={}\nexport ATRYUM_TOKEN={}", quoted(url), quoted(&whole)));
        Ok(())
    }
}

/// The gateway's address and the code of a link; a bare code is for the gateway named otherwise.
fn taken_apart<'a>(link: &'a str, otherwise: &'a str) -> Result<(&'a str, &'a str), CliError> {
    let Some((address, code)) = link.trim().split_once("#code=") else {
        if link.contains("://") {
            return Err(CliError::Usage("this link has no #code= in it; copy it whole, in quotes".into()));
        }
        return Ok((otherwise.trim_end_matches('/'), link.trim()));
    };
    Ok((address.trim_end_matches('/').trim_end_matches("/ui"), code))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_the_address_and_the_code() {
        let other = "http://other:1/";
        assert_eq!(taken_apart("http://a:8080/ui/#code=xyz", other).unwrap(), ("http://a:8080", "xyz"));
        assert_eq!(taken_apart("https://a/base/ui/#code=xyz\n", other).unwrap(), ("https://a/base", "xyz"));
        assert_eq!(taken_apart("xyz", other).unwrap(), ("http://other:1", "xyz"));
        assert!(matches!(taken_apart("http://a:8080/ui/", other), Err(CliError::Usage(_))));
    }

    #[test]
    fn a_word_of_a_shell_stays_one() {
        assert_eq!(quoted("a b$(id)'c"), r"'a b$(id)'\''c'");
    }
}
