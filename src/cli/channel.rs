//! `atryum channel …`: how people are told that a call waits for them.

use std::io::{self, Read};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{cell, remark, sheet, show, table},
};

const PATH: &str = "/api/v1/channels";

const AFTER_HELP: &str = "\
Addresses are secrets: they are read from standard input, the address on the first line. The signing secret of a webhook,
or the token for ntfy where one is needed, is on the second.
  printf '%s\\n%s\\n' \"$URL\" \"$SECRET\" | atryum channel add ops --kind webhook
  atryum channel add chat --kind slack --server 'git*' < url.txt
  atryum channel add phone --kind ntfy --delay 60 < topic-url.txt
  atryum channel add bell --kind command -- /usr/local/bin/tell --loud";

#[derive(Args, Debug)]
pub(super) struct Channel {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a channel; its address is read from standard input
    Add(Add),
    /// List the channels
    List,
    /// Show one channel
    Show(Named),
    /// Send a notice that is about nothing, and say what came of it
    Test(Named),
    /// Give a channel another address, and another secret if there is a second line, read from standard input
    SetUrl(Named),
    /// Tell by a channel
    Enable(Named),
    /// Tell nothing by a channel
    Disable(Named),
    /// Delete a channel
    Remove(Named),
    /// List what was told by a channel, newest first
    Deliveries(Named),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A signed POST of JSON
    Webhook,
    /// An incoming webhook of Slack, or one like it
    Slack,
    /// A topic of ntfy
    Ntfy,
    /// A program on the gateway's machine
    Command,
}

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
struct Add {
    /// The channel's name: a-z, 0-9 and -
    name: String,
    /// How it tells
    #[arg(long, value_enum)]
    kind: Kind,
    /// A glob over the agents that it is for; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    agent: Vec<String>,
    /// A glob over the servers that it is for; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    server: Vec<String>,
    /// Tell only what nobody has answered for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    delay: u32,
    /// Don't tell with which arguments
    #[arg(long)]
    no_arguments: bool,
    /// Add it without telling anything
    #[arg(long)]
    disabled: bool,
    /// The program and its arguments, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Args, Debug)]
struct Named {
    /// The channel's name
    name: String,
}

impl Named {
    fn path(&self) -> String {
        format!("{PATH}/{}", segment(&self.name))
    }
}

impl Channel {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        let output = self.remote.output;
        match &self.act {
            Act::Add(add) => {
                let created = client.post(PATH, &add.body()?).await?;
                show(output, &created, describe);
                remark(&format!("{0} is added; atryum channel test {0} tries it", add.name));
            }
            Act::List => {
                let columns = [
                    ("NAME", "/name"),
                    ("KIND", "/kind"),
                    ("STATUS", "/status"),
                    ("AGENTS", "/agents"),
                    ("SERVERS", "/servers"),
                    ("DELAY", "/delay_seconds"),
                    ("REASON", "/reason"),
                ];
                show(output, &client.list(PATH).await?, |channels| table(channels, &columns));
            }
            Act::Show(named) => show(output, &client.get(&named.path()).await?, describe),
            Act::Test(named) => {
                let tested = client.post(&format!("{}/test", named.path()), &json!({})).await?;
                let took = format!("it took {} ms", cell(&tested, "/duration_ms"));
                show(output, &tested, |_| took);
                if tested.pointer("/ok") != Some(&Value::Bool(true)) {
                    let why = format!("nobody was told by {}: {}", named.name, cell(&tested, "/reason"));
                    return Err(CliError::Failed(why));
                }
            }
            Act::SetUrl(named) => {
                let channel = client.get(&named.path()).await?;
                let is_ntfy = cell(&channel, "/kind") == "ntfy";
                let patch = Value::Object(read_secrets(io::stdin().lock(), is_ntfy)?);
                let edited = client.patch(&named.path(), &patch).await?;
                show(output, &edited, |_| format!("{} has a new address", named.name));
            }
            Act::Enable(named) => named.set_enabled(&client, true).await?,
            Act::Disable(named) => named.set_enabled(&client, false).await?,
            Act::Remove(named) => {
                client.delete(&named.path()).await?;
                remark(&format!("{} is removed", named.name));
            }
            Act::Deliveries(named) => {
                let columns = [
                    ("APPROVAL", "/approval_id"),
                    ("STATE", "/state"),
                    ("TRIES", "/tries"),
                    ("SINCE", "/created_at"),
                    ("NEXT", "/next_try_at"),
                    ("REASON", "/reason"),
                ];
                let told = client.list(&format!("{}/deliveries", named.path())).await?;
                show(output, &told, |told| table(told, &columns));
            }
        }
        Ok(())
    }
}

impl Named {
    async fn set_enabled(&self, client: &Client, enabled: bool) -> Result<(), CliError> {
        client.patch(&self.path(), &json!({ "enabled": enabled })).await?;
        remark(&format!("{} is {}", self.name, if enabled { "enabled" } else { "disabled" }));
        Ok(())
    }
}

impl Add {
    fn body(&self) -> Result<Value, CliError> {
        let mut body = match self.kind {
            Kind::Command => Map::from_iter([("command".to_owned(), json!(self.command))]),
            _ if !self.command.is_empty() => {
                return Err(CliError::Usage("only a channel of the kind command has a command".into()));
            }
            kind => read_secrets(io::stdin().lock(), kind == Kind::Ntfy)?,
        };
        let kind = self.kind.to_possible_value();
        body.insert("name".into(), json!(self.name));
        body.insert("kind".into(), json!(kind.as_ref().map(clap::builder::PossibleValue::get_name)));
        body.insert("enabled".into(), json!(!self.disabled));
        body.insert("delay_seconds".into(), json!(self.delay));
        body.insert("with_arguments".into(), json!(!self.no_arguments));
        for (field, globs) in [("agents", &self.agent), ("servers", &self.server)] {
            if !globs.is_empty() {
                body.insert(field.into(), json!(globs));
            }
        }
        Ok(Value::Object(body))
    }
}

/// The address on the first line and, if there is a second, the token or the signing secret on that.
fn read_secrets(input: impl Read, is_ntfy: bool) -> Result<Map<String, Value>, CliError> {
    let mut text = String::new();
    let read = input.take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| CliError::Usage(format!("cannot read the address from standard input: {error}")))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(url) = lines.next() else {
        return Err(CliError::Usage("there is no address on standard input".into()));
    };
    let mut secrets = Map::from_iter([("url".to_owned(), json!(url))]);
    if let Some(secret) = lines.next() {
        secrets.insert(if is_ntfy { "token" } else { "secret" }.to_owned(), json!(secret));
    }
    Ok(secrets)
}

fn describe(channel: &Value) -> String {
    let lines = [
        ("name", "/name"),
        ("kind", "/kind"),
        ("status", "/status"),
        ("reason", "/reason"),
        ("since", "/failing_since"),
        ("agents", "/agents"),
        ("servers", "/servers"),
        ("delay", "/delay_seconds"),
        ("with arguments", "/with_arguments"),
        ("address at", "/url_origin"),
        ("signing secret", "/secret_set"),
        ("token", "/token_set"),
        ("command", "/command"),
        ("last told", "/last_sent_at"),
        ("revision", "/revision"),
    ];
    let there: Vec<_> = lines.into_iter().filter(|(_, pointer)| cell(channel, pointer) != "-").collect();
    sheet(channel, &there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_secret_are_read_from_two_lines() {
        let read = |text: &str, is_ntfy| read_secrets(text.as_bytes(), is_ntfy).map(Value::Object).ok();
        assert_eq!(read("https://a\n", false), Some(json!({"url": "https://a"})));
        assert_eq!(read("\n https://a \r\nwhsec_x\n", false), Some(json!({"url": "https://a", "secret": "whsec_x"})));
        assert_eq!(read("https://a\ntk", true), Some(json!({"url": "https://a", "token": "tk"})));
        assert_eq!(read("\n", true), None);
    }
}
