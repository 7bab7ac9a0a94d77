//! `atryum server …`: the servers behind the gateway.

mod add;
mod connect;
mod oauth;
mod tools;

use std::io;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{Format, cell, grid, print, remark, sheet, show, table, text},
};

const PATH: &str = "/api/v1/servers";

#[derive(Debug, Subcommand)]
pub(super) enum Server {
    /// Register a server
    Add(Box<add::Add>),
    /// List the servers
    List(Everywhere),
    /// Show one server
    Show(Named),
    /// Make a real handshake with a server and tell each step
    Test(Named),
    /// List the tools of a server
    Tools(tools::Tools),
    /// Show how a tool differs from what it is held to be, and accept that
    Review(tools::Review),
    /// Log in at a server that wants OAuth: prints the address to open, and waits
    Connect(connect::Connect),
    /// Forget what is held to log in at a server, and revoke it where that is offered
    Disconnect(Named),
    /// Give a remote server a bearer token, read from standard input, in place of the login that it has
    SetToken(Named),
    /// Have a remote server logged in to by OAuth, in place of the login that it has, and say what can't be discovered
    SetOauth(Box<oauth::SetOAuth>),
    /// Let agents reach a server
    Enable(Named),
    /// Keep agents from a server
    Disable(Named),
    /// Stop a server's processes and start anew
    Restart(Named),
    /// Delete a server with its secrets
    Remove(Named),
    /// Show what a server wrote to its log
    Logs(Logs),
}

#[derive(Args, Debug)]
pub(super) struct Everywhere {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The server's name
    name: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Logs {
    /// The server's name
    name: String,
    /// How many lines
    #[arg(long, value_name = "LINES", default_value_t = 200)]
    tail: u32,
    #[command(flatten)]
    remote: Remote,
}

impl Server {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(of) => list(&of.remote).await,
            Self::Show(of) => of.show().await,
            Self::Test(of) => of.test().await,
            Self::Tools(of) => of.run().await,
            Self::Review(review) => review.run().await,
            Self::Connect(of) => of.run().await,
            Self::Disconnect(of) => of.disconnect().await,
            Self::SetToken(of) => of.set_token().await,
            Self::SetOauth(set) => set.run().await,
            Self::Enable(of) => of.set_enabled(true).await,
            Self::Disable(of) => of.set_enabled(false).await,
            Self::Restart(of) => of.restart().await,
            Self::Remove(of) => of.remove().await,
            Self::Logs(of) => of.run().await,
        }
    }
}

async fn list(remote: &Remote) -> Result<(), CliError> {
    let servers = Client::new(&remote.url).list(PATH).await?;
    let columns = [
        ("NAME", "/name"),
        ("MODE", "/mode"),
        ("ENABLED", "/enabled"),
        ("CONNECTION", "/connection/status"),
        ("AUTH", "/credentials/status"),
        ("COMMAND OR URL", "/reached_by"),
        ("REASON", "/reason"),
    ];
    show(remote.output, &servers, |servers| table(&with_summaries(servers), &columns));
    Ok(())
}

/// The servers, each with what it is reached by and the reason that matters in one cell each.
fn with_summaries(servers: &Value) -> Value {
    let summed = |server: &Value| {
        let mut server = server.clone();
        let reached_by = ["/base_url", "/command"].into_iter().find_map(|pointer| server.pointer(pointer)?.as_str());
        let reasons = ["/connection/reason", "/credentials/reason"];
        let reason = reasons.into_iter().find_map(|pointer| server.pointer(pointer)?.as_str());
        let (reached_by, reason) = (json!(reached_by), json!(reason));
        if let Some(members) = server.as_object_mut() {
            members.extend([("reached_by".to_owned(), reached_by), ("reason".to_owned(), reason)]);
        }
        server
    };
    servers.as_array().into_iter().flatten().map(summed).collect()
}

/// One server for a person.
fn describe(server: &Value) -> String {
    let lines = [
        ("name", "/name"),
        ("mode", "/mode"),
        ("enabled", "/enabled"),
        ("endpoint", "/endpoint_url"),
        ("connection", "/connection/status"),
        ("reason", "/connection/reason"),
        ("next", "/connection/action"),
        ("base url", "/base_url"),
        ("timeout", "/timeout_seconds"),
        ("auth type", "/auth/type"),
        ("headers", "/auth/header_names"),
        ("client id", "/auth/oauth/client_id"),
        ("client secret", "/auth/oauth/client_secret_set"),
        ("registration", "/auth/oauth/registration"),
        ("authorize url", "/auth/oauth/authorize_url"),
        ("token url", "/auth/oauth/token_url"),
        ("scopes", "/auth/oauth/scopes"),
        ("issuer", "/auth/oauth/issuer"),
        ("granted", "/auth/oauth/granted_scopes"),
        ("expires", "/auth/oauth/expires_at"),
        ("connected by", "/auth/oauth/connected_by"),
        ("connected at", "/auth/oauth/connected_at"),
        ("auth", "/credentials/status"),
        ("auth reason", "/credentials/reason"),
        ("auth next", "/credentials/action"),
        ("command", "/command"),
        ("args", "/args"),
        ("env", "/env_names"),
        ("cwd", "/cwd"),
        ("shared", "/shared"),
        ("protocol", "/connection/protocol_version"),
        ("server", "/connection/server_info/name"),
        ("version", "/connection/server_info/version"),
        ("restarts", "/connection/restarts"),
        ("revision", "/revision"),
    ];
    // what only a server of the other mode has is left out
    let foreign = if text(server, "/mode") == "http" { "/shared" } else { "/auth/type" };
    let is_there = |pointer: &str| pointer != foreign && cell(server, pointer) != "-";
    let there: Vec<_> = lines.into_iter().filter(|(_, pointer)| is_there(pointer)).collect();
    sheet(server, &there)
}

impl Named {
    fn client(&self) -> Client {
        Client::new(&self.remote.url)
    }

    fn path(&self) -> String {
        format!("{PATH}/{}", segment(&self.name))
    }

    async fn show(&self) -> Result<(), CliError> {
        let server = self.client().get(&self.path()).await?;
        show(self.remote.output, &server, describe);
        Ok(())
    }

    async fn test(&self) -> Result<(), CliError> {
        let report = self.client().post(&format!("{}/test", self.path()), &json!({})).await?;
        show(self.remote.output, &report, describe_test);
        if report.pointer("/ok") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let why = format!("{} cannot be used: {}", self.name, cell(&report, "/connection/reason"));
        Err(if needs_a_login(&report) { CliError::Pending(why) } else { CliError::Failed(why) })
    }

    async fn set_token(&self) -> Result<(), CliError> {
        let token = add::read_secret(io::stdin().lock(), "token")?;
        let auth = json!({ "auth": { "type": "bearer", "bearer_token": token } });
        let server = self.client().patch(&self.path(), &auth).await?;
        show(self.remote.output, &server, |_| format!("{} has a new token", self.name));
        Ok(())
    }

    async fn set_enabled(&self, enabled: bool) -> Result<(), CliError> {
        let server = self.client().patch(&self.path(), &json!({ "enabled": enabled })).await?;
        let word = if enabled { "enabled" } else { "disabled" };
        show(self.remote.output, &server, |_| format!("{} is {word}", self.name));
        Ok(())
    }

    async fn restart(&self) -> Result<(), CliError> {
        self.client().post(&format!("{}/restart", self.path()), &json!({})).await?;
        remark(&format!("{} starts anew", self.name));
        Ok(())
    }

    async fn remove(&self) -> Result<(), CliError> {
        self.client().delete(&self.path()).await?;
        remark(&format!("{} is removed", self.name));
        Ok(())
    }
}

/// Whether the operator has to log in somewhere before it can work.
fn needs_a_login(report: &Value) -> bool {
    let logs_in = |pointer: &str| matches!(text(report, pointer), "connect" | "reconnect");
    logs_in("/connection/action") || logs_in("/credentials/action")
}

fn describe_test(report: &Value) -> String {
    let steps = report.pointer("/steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let verdict = if step.pointer("/ok") == Some(&Value::Bool(true)) { "ok" } else { "FAILED" };
            let took = format!("{} ms", cell(step, "/duration_ms"));
            vec![verdict.to_owned(), cell(step, "/name"), took, cell(step, "/detail")]
        })
        .collect();
    let offers = format!(
        "tools {}, prompts {}, resources {}",
        cell(report, "/tools"),
        cell(report, "/prompts"),
        cell(report, "/resources")
    );
    format!("{}{offers}", grid(&rows))
}

impl Logs {
    async fn run(&self) -> Result<(), CliError> {
        let path = format!("{PATH}/{}/logs?tail={}", segment(&self.name), self.tail);
        let log = Client::new(&self.remote.url).get(&path).await?;
        if self.remote.output == Format::Json {
            show(self.remote.output, &log, |_| String::new());
            return Ok(());
        }
        let lines = log.pointer("/lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for line in lines {
            print(&super::output::escape(line.as_str().unwrap_or_default()));
        }
        Ok(())
    }
}
