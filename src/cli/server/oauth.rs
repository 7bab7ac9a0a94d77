//! What the command line says beforehand of a login by OAuth.
//!
//! In come arguments, out goes the member `auth` of a server. What may stand there is the gateway's to say.

use std::io;

use clap::Args;
use serde_json::{Map, Value, json};

use super::add::read_secret;
use super::{PATH, describe};
use crate::cli::client::{Client, Remote, segment};
use crate::cli::error::CliError;
use crate::cli::output::{remark, show, text};

/// A client that was registered with the provider, and where that is.
#[derive(Args, Debug)]
pub(super) struct Manual {
    /// The client that was registered with the provider, when the gateway can't register itself
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Read the secret of that client from standard input
    #[arg(long)]
    client_secret_stdin: bool,
    /// Where people log in, when it can't be discovered
    #[arg(long, value_name = "URL")]
    authorize_url: Option<String>,
    /// Where tokens are had, when it can't be discovered
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Ask for this scope instead of the default ones; repeat for more
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
}

impl Manual {
    /// Whether anything was said.
    pub(super) fn is_given(&self) -> bool {
        self.client_id.is_some()
            || self.client_secret_stdin
            || self.authorize_url.is_some()
            || self.token_url.is_some()
            || !self.scope.is_empty()
    }

    /// The secret on standard input, when there is to be one.
    pub(super) fn read_secret(&self) -> Result<Option<String>, CliError> {
        self.client_secret_stdin.then(|| read_secret(io::stdin().lock(), "client secret")).transpose()
    }

    /// The member `auth`.
    pub(super) fn auth(&self, client_secret: Option<String>) -> Value {
        let mut oauth = Map::new();
        let texts = [
            ("client_id", self.client_id.clone()),
            ("client_secret", client_secret),
            ("authorize_url", self.authorize_url.clone()),
            ("token_url", self.token_url.clone()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                oauth.insert(name.into(), json!(text));
            }
        }
        if !self.scope.is_empty() {
            oauth.insert("use_default_scopes".into(), json!(false));
            oauth.insert("scopes".into(), json!(self.scope));
        }
        json!({ "type": "oauth", "oauth": oauth })
    }
}

const AFTER_HELP: &str = "\
What is not named stays. An empty text takes something back: --client-id '' lets the gateway make itself known, and
--authorize-url '' has the address discovered. Another client or address ends the login that there is; connect anew:
  atryum server set-oauth git --client-id ID --client-secret-stdin < secret.txt
  atryum server connect git";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct SetOAuth {
    /// The server's name
    name: String,
    #[command(flatten)]
    manual: Manual,
    /// Forget the client's secret
    #[arg(long, conflicts_with = "client_secret_stdin")]
    no_client_secret: bool,
    /// Ask for the default scopes again
    #[arg(long, conflicts_with = "scope")]
    default_scopes: bool,
    #[command(flatten)]
    remote: Remote,
}

impl SetOAuth {
    pub(in crate::cli) async fn run(self) -> Result<(), CliError> {
        let secret = self.manual.read_secret()?;
        let path = format!("{PATH}/{}", segment(&self.name));
        let server = Client::new(&self.remote.url).patch(&path, &self.patch(secret)).await?;
        show(self.remote.output, &server, describe);
        if !text(&server, "/credentials/action").is_empty() {
            remark(&format!("log in there with: atryum server connect {}", self.name));
        }
        Ok(())
    }

    fn patch(&self, client_secret: Option<String>) -> Value {
        let mut auth = self.manual.auth(client_secret);
        if let Some(oauth) = auth.pointer_mut("/oauth").and_then(Value::as_object_mut) {
            if self.no_client_secret {
                oauth.insert("client_secret".into(), Value::Null);
            }
            if self.default_scopes {
                oauth.insert("use_default_scopes".into(), json!(true));
            }
        }
        json!({ "auth": auth })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        set: SetOAuth,
    }

    fn parse(line: &[&str]) -> Result<SetOAuth, clap::Error> {
        Line::try_parse_from([&["set-oauth"], line].concat()).map(|line| line.set)
    }

    #[test]
    fn what_is_not_named_is_not_sent() {
        let patch = |line: &[&str], secret: Option<&str>| {
            parse(line).unwrap().patch(secret.map(str::to_owned))["auth"]["oauth"].clone()
        };
        assert_eq!(patch(&["git"], None), json!({}));
        let all =
            ["git", "--client-id", "", "--authorize-url", "a", "--token-url", "b", "--scope", "c", "--scope", "d"];
        let expected = json!({ "client_id": "", "client_secret": "s", "authorize_url": "a", "token_url": "b",
                               "use_default_scopes": false, "scopes": ["c", "d"] });
        assert_eq!(patch(&all, Some("s")), expected);
        let back = patch(&["git", "--no-client-secret", "--default-scopes"], None);
        assert_eq!(back, json!({ "client_secret": null, "use_default_scopes": true }));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for line in [
            &[][..],
            &["git", "--client-secret-stdin", "--no-client-secret"],
            &["git", "--scope", "a", "--default-scopes"],
            &["git", "--client-secret", "on-the-command-line"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
