//! `atryum server tools` and `atryum server review`: what a server's tools are, and what they are held to be.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Client, Remote, segment};
use crate::cli::error::CliError;
use crate::cli::output::{Format, cell, escape, pretty, print, remark, show, table, text};

#[derive(Args, Debug)]
pub(in crate::cli) struct Tools {
    /// The server's name
    name: String,
    /// Tell what this agent's calls get
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Review {
    /// The server's name
    name: String,
    /// The tool's name
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tool: Option<String>,
    /// Accept the definition with this digest, which was shown
    #[arg(long, conflicts_with = "all")]
    digest: Option<String>,
    /// Accept what the server says now of all of its tools
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    remote: Remote,
}

fn path(server: &str) -> String {
    format!("{}/{}/tools", super::PATH, segment(server))
}

impl Tools {
    pub(in crate::cli) async fn run(&self) -> Result<(), CliError> {
        let query = self.agent.as_ref().map(|agent| format!("?agent={}", segment(agent))).unwrap_or_default();
        let tools = Client::new(&self.remote.url).get(&format!("{}{query}", path(&self.name))).await?;
        let columns = [
            ("NAME", "/name"),
            ("DECISION", "/decision"),
            ("RULE", "/rule_id"),
            ("STATUS", "/pin/status"),
            ("DESCRIPTION", "/tool/description"),
        ];
        let shown = if self.agent.is_some() { &columns[..] } else { &[columns[0], columns[3], columns[4]][..] };
        show(self.remote.output, tools.pointer("/items").unwrap_or(&Value::Null), |tools| table(tools, shown));
        for tool in tools.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
            if tool.pointer("/held").is_some_and(Value::is_string) {
                remark(&format!("{} is held: {}", cell(tool, "/name"), cell(tool, "/held")));
            }
        }
        Ok(())
    }
}

impl Review {
    pub(in crate::cli) async fn run(&self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        if let (Some(tool), Some(digest)) = (&self.tool, &self.digest) {
            return self.accept(&client, tool, digest).await;
        }
        let tools = client.get(&path(&self.name)).await?;
        let items = tools.pointer("/items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if self.all {
            for tool in items.iter().filter(|tool| text(tool, "/pin/status") != "reviewed") {
                self.accept(&client, text(tool, "/name"), text(tool, "/digest")).await?;
            }
            return Ok(());
        }
        let wanted = self.tool.as_deref().unwrap_or_default();
        let found = items.iter().find(|tool| text(tool, "/name") == wanted);
        let tool = found.ok_or_else(|| CliError::Failed(format!("{} lists no tool {wanted:?} now", self.name)))?;
        show(self.remote.output, tool, describe);
        let waiting = text(tool, "/pin/change/digest");
        let digest = if waiting.is_empty() { text(tool, "/digest") } else { waiting };
        remark(&format!("accept it: atryum server review {} {} --digest {digest}", self.name, escape(wanted)));
        Ok(())
    }

    async fn accept(&self, client: &Client, tool: &str, digest: &str) -> Result<(), CliError> {
        let path = format!("{}/{}/review", path(&self.name), segment(tool));
        let pin = client.post(&path, &json!({ "digest": digest })).await?;
        if self.remote.output == Format::Json {
            print(&pretty(&pin));
        } else {
            print(&format!("{} of {} is reviewed", escape(tool), self.name));
        }
        Ok(())
    }
}

/// What differs, or all of it where nothing does.
fn describe(tool: &Value) -> String {
    let status = format!("{} ({})\n", cell(tool, "/name"), cell(tool, "/pin/status"));
    let held = tool.pointer("/held").and_then(Value::as_str).map(|held| format!("held: {held}\n")).unwrap_or_default();
    let shown = match tool.pointer("/pin/change/diff").and_then(Value::as_str) {
        Some(diff) => escape(diff),
        None => escape(&tool.pointer("/tool").map(pretty).unwrap_or_default()),
    };
    format!("{status}{}{shown}", escape(&held))
}
