//! `atryum agent …`: who may call through the gateway, and with which keys.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{cell, remark, sheet, show, table, text},
};

const PATH: &str = "/api/v1/agents";

#[derive(Args, Debug)]
pub(super) struct Agent {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add an agent and print its key, once
    Add(Add),
    /// List the agents
    List,
    /// Show one agent with its keys
    Show(Named),
    /// Give an agent a new key and revoke the others
    Rotate {
        #[command(flatten)]
        named: Named,
        /// Let the others hold on
        #[arg(long)]
        keep_others: bool,
    },
    /// Revoke all keys of an agent
    Revoke(Named),
    /// Delete an agent with its keys
    Remove(Named),
}

#[derive(Args, Debug)]
struct Add {
    /// The agent's name: a-z, 0-9 and -
    name: String,
    /// A glob over the servers that it may use; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    server: Vec<String>,
    /// When its keys end to hold, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

#[derive(Args, Debug)]
struct Named {
    /// The agent's name
    name: String,
}

impl Named {
    fn path(&self) -> String {
        format!("{PATH}/{}", segment(&self.name))
    }
}

impl Agent {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        let output = self.remote.output;
        match &self.act {
            Act::Add(add) => {
                let created = client.post(PATH, &add.body()).await?;
                show(output, &created, |created| sheet(created, &[("agent", "/name"), ("key", "/key")]));
                remark("the key is shown this once; keep it where the agent finds it");
            }
            Act::List => {
                let columns = [("NAME", "/name"), ("SERVERS", "/servers"), ("EXPIRES", "/expires_at")];
                show(output, &client.list(PATH).await?, |agents| table(agents, &columns));
            }
            Act::Show(named) => show(output, &client.get(&named.path()).await?, describe),
            Act::Rotate { named, keep_others } => {
                let created = rotate(&client, named, *keep_others).await?;
                show(output, &created, |created| sheet(created, &[("id", "/id"), ("key", "/key")]));
                remark("the key is shown this once; keep it where the agent finds it");
            }
            Act::Revoke(named) => {
                let revoked = revoke(&client, named, &live_keys(&client, named).await?).await?;
                remark(&format!("{revoked} keys of {} are revoked", named.name));
            }
            Act::Remove(named) => {
                client.delete(&named.path()).await?;
                remark(&format!("{} is removed", named.name));
            }
        }
        Ok(())
    }
}

impl Add {
    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("name".into(), json!(self.name));
        if !self.server.is_empty() {
            body.insert("servers".into(), json!(self.server));
        }
        if let Some(time) = &self.expires_at {
            body.insert("expires_at".into(), json!(time));
        }
        Value::Object(body)
    }
}

fn describe(agent: &Value) -> String {
    let head = sheet(agent, &[("agent", "/name"), ("servers", "/servers"), ("expires", "/expires_at")]);
    let columns = [
        ("KEY", "/prefix"),
        ("ID", "/id"),
        ("SINCE", "/created_at"),
        ("USED", "/last_used_at"),
        ("REVOKED", "/revoked_at"),
    ];
    format!("{head}\n{}", table(agent.pointer("/keys").unwrap_or(&Value::Null), &columns))
}

/// The new key first: an agent without any would be locked out if the second step failed.
async fn rotate(client: &Client, named: &Named, keep_others: bool) -> Result<Value, CliError> {
    let others = if keep_others { Vec::new() } else { live_keys(client, named).await? };
    let created = client.post(&format!("{}/keys", named.path()), &json!({})).await?;
    revoke(client, named, &others).await?;
    Ok(created)
}

async fn live_keys(client: &Client, named: &Named) -> Result<Vec<String>, CliError> {
    let agent = client.get(&named.path()).await?;
    let keys = agent.pointer("/keys").and_then(Value::as_array).into_iter().flatten();
    Ok(keys.filter(|key| cell(key, "/revoked_at") == "-").map(|key| text(key, "/id").to_owned()).collect())
}

async fn revoke(client: &Client, named: &Named, keys: &[String]) -> Result<usize, CliError> {
    for key in keys {
        client.delete(&format!("{}/keys/{}", named.path(), segment(key))).await?;
    }
    Ok(keys.len())
}
