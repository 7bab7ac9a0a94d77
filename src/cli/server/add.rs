//! `atryum server add`: a definition from the command line, sent as the gateway wants it.
//!
//! In come arguments, out goes one request. What may be registered is the gateway's to say.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{PATH, describe, oauth::Manual};
use crate::cli::{
    client::Client,
    error::CliError,
    output::{Format, remark, show, text},
};

/// A name and a value with `=` between them.
type Pair = (String, String);

const AFTER_HELP: &str = "\
Here --url is the address of the server that is added. The gateway's own address, which is --url in all other commands,
is --gateway-url here, or ATRYUM_URL.

The values of headers are seen by whoever can list the processes of this machine; a token or client secret on standard
input is not:
  atryum server add git --url https://mcp.example.com/mcp --bearer-token-stdin < token.txt
  atryum server add wiki --url https://wiki.example.com/mcp --oauth && atryum server connect wiki
  atryum server add docs --url https://docs.example.com/mcp --header X-Api-Key=KEY --timeout 60
  atryum server add files -- npx -y @modelcontextprotocol/server-filesystem /srv";

#[expect(clippy::struct_excessive_bools, reason = "each is a flag that may be typed")]
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Add {
    /// The server's name, a segment of the address for agents: a-z, 0-9 and -
    name: String,
    /// The address of a remote server, http or https
    #[arg(long, value_name = "URL", conflicts_with_all = ["command", "env", "cwd", "shared"])]
    url: Option<String>,
    /// Read the bearer token for a remote server from standard input
    #[arg(long, requires = "url", conflicts_with_all = ["command", "Manual"])]
    bearer_token_stdin: bool,
    /// Have people log in by OAuth with `server connect`; when no login is named, the server is asked whether it wants that
    #[arg(long, requires = "url", conflicts_with_all = ["bearer_token_stdin", "header", "command"])]
    oauth: bool,
    #[command(flatten)]
    manual: Manual,
    /// Send this header to a remote server; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "url", conflicts_with_all = ["bearer_token_stdin", "command", "Manual"])]
    header: Vec<Pair>,
    /// Wait this long for an answer of a remote server, or a sign of progress, 1 to 3600; 30 when left out
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600), requires = "url", conflicts_with = "command")]
    timeout: Option<u16>,
    /// Set a variable of the process; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<Pair>,
    /// Run the process in this directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Use one process for all agents instead of one for each session
    #[arg(long)]
    shared: bool,
    /// Register it without letting agents reach it
    #[arg(long)]
    disabled: bool,
    /// The gateway's address, which is --url in other commands
    #[arg(long, env = "ATRYUM_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    gateway_url: String,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
    /// The command of a local server and its arguments, after --
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "url", conflicts_with = "Manual")]
    command: Vec<String>,
}

fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a name, an equals sign and a value are expected".into()),
    }
}

impl Add {
    pub(in crate::cli) async fn run(self) -> Result<(), CliError> {
        let secret = if self.bearer_token_stdin {
            Some(read_secret(io::stdin().lock(), "token")?)
        } else {
            self.manual.read_secret()?
        };
        let server = Client::new(&self.gateway_url).post(PATH, &self.definition(secret)).await?;
        show(self.output, &server, describe);
        remark(&format!("{} is registered; point agents at {}", self.name, text(&server, "/endpoint_url")));
        Ok(())
    }

    /// `secret`: the token, or the client's secret.
    fn definition(&self, secret: Option<String>) -> Value {
        let mut definition = Map::new();
        definition.insert("name".into(), json!(self.name));
        definition.insert("enabled".into(), json!(!self.disabled));
        match (&self.url, self.command.split_first()) {
            (Some(url), _) => {
                definition.insert("mode".into(), json!("http"));
                definition.insert("base_url".into(), json!(url));
                if let Some(seconds) = self.timeout {
                    definition.insert("timeout_seconds".into(), json!(seconds));
                }
                if let Some(auth) = self.auth(secret) {
                    definition.insert("auth".into(), auth);
                }
            }
            (None, command) => {
                definition.insert("mode".into(), json!("stdio"));
                definition.insert("command".into(), json!(command.map(|(command, _)| command)));
                definition.insert("args".into(), json!(command.map(|(_, arguments)| arguments)));
                definition.insert("env".into(), json!(self.env.iter().cloned().collect::<BTreeMap<_, _>>()));
                definition.insert("cwd".into(), json!(self.cwd));
                definition.insert("shared".into(), json!(self.shared));
            }
        }
        Value::Object(definition)
    }

    /// How the gateway logs in; absent when nothing was said, so that the server can be asked.
    fn auth(&self, secret: Option<String>) -> Option<Value> {
        if self.oauth || self.manual.is_given() {
            return Some(self.manual.auth(secret));
        }
        match secret {
            Some(token) => Some(json!({ "type": "bearer", "bearer_token": token })),
            None if self.header.is_empty() => None,
            None => {
                let headers: BTreeMap<_, _> = self.header.iter().cloned().collect();
                Some(json!({ "type": "headers", "headers": headers }))
            }
        }
    }
}

/// The secret on standard input, without the line's end.
pub(super) fn read_secret(input: impl Read, what: &str) -> Result<String, CliError> {
    let mut token = String::new();
    let read = input.take(64 * 1024).read_to_string(&mut token);
    match (read, token.trim()) {
        (Ok(_), token) if !token.is_empty() => Ok(token.to_owned()),
        (Ok(_), _) => Err(CliError::Usage(format!("there is no {what} on standard input"))),
        (Err(error), _) => Err(CliError::Usage(format!("cannot read the {what} from standard input: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn parse(line: &[&str]) -> Result<Add, clap::Error> {
        Line::try_parse_from([&["add"], line].concat()).map(|line| line.add)
    }

    #[test]
    fn a_local_server_is_a_command_with_its_arguments_as_they_are() {
        let add = parse(&["calc", "--env", "K=a=b", "--shared", "--", "npx", "-y", "--env", "x"]).unwrap();
        assert_eq!(
            add.definition(None),
            json!({ "name": "calc", "enabled": true, "mode": "stdio", "command": "npx", "args": ["-y", "--env", "x"],
                    "env": { "K": "a=b" }, "cwd": null, "shared": true })
        );
    }

    #[test]
    fn a_remote_server_is_an_address_and_perhaps_a_login() {
        let add = parse(&["git", "--url", "https://x/mcp", "--disabled"]).unwrap();
        let definition = json!({ "name": "git", "enabled": false, "mode": "http", "base_url": "https://x/mcp" });
        assert_eq!(add.definition(None), definition);
        let add = parse(&["git", "--url", "https://x/mcp", "--timeout", "60"]).unwrap();
        assert_eq!(add.definition(None)["timeout_seconds"], 60);
        let add = parse(&["git", "--url", "https://x/mcp", "--header", "X-Key=k", "--header", "Y=z"]).unwrap();
        assert_eq!(add.definition(None)["auth"], json!({ "type": "headers", "headers": { "X-Key": "k", "Y": "z" } }));
        let add = parse(&["git", "--url", "https://x/mcp", "--bearer-token-stdin"]).unwrap();
        let auth = add.definition(Some("t".into()))["auth"].clone();
        assert_eq!(auth, json!({ "type": "bearer", "bearer_token": "t" }));
        let add = parse(&["git", "--url", "https://x/mcp", "--oauth"]).unwrap();
        assert_eq!(add.definition(None)["auth"], json!({ "type": "oauth", "oauth": {} }));
        let add = parse(&["git", "--url", "https://x/mcp", "--client-id", "me", "--client-secret-stdin"]).unwrap();
        let auth = add.definition(Some("s".into()))["auth"].clone();
        assert_eq!(auth, json!({ "type": "oauth", "oauth": { "client_id": "me", "client_secret": "s" } }));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for line in [
            &["x"][..],
            &["x", "--url", "https://x", "--", "npx"],
            &["x", "--url", "https://x", "--env", "A=b"],
            &["x", "--header", "A=b", "--", "npx"],
            &["x", "--timeout", "5", "--", "npx"],
            &["x", "--url", "https://x", "--timeout", "0"],
            &["x", "--url", "https://x", "--timeout", "3601"],
            &["x", "--env", "A", "--", "npx"],
            &["x", "--url", "https://x", "--header", "A=b", "--bearer-token-stdin"],
            &["x", "--oauth", "--", "npx"],
            &["x", "--client-id", "me", "--", "npx"],
            &["x", "--url", "https://x", "--oauth", "--bearer-token-stdin"],
            &["x", "--url", "https://x", "--client-id", "me", "--header", "A=b"],
            &["x", "--url", "https://x", "--client-secret-stdin", "--bearer-token-stdin"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_token_loses_the_lines_end_and_must_be_there() {
        assert_eq!(read_secret(&b"abc\r\n"[..], "token").unwrap(), "abc");
        assert!(matches!(read_secret(&b"\n"[..], "token"), Err(CliError::Usage(_))));
    }
}
