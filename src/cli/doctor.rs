//! `atryum doctor`: a checklist of what a gateway needs, each line with what to do next.
//!
//! In come the configuration and, if there is one, a running gateway; out go lines. Nothing is changed: no database is
//! opened that a gateway may hold, no key is made.

pub(super) mod local;

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    client::Client,
    error::CliError,
    output::{Format, cell, grid, show, text},
    serve::Serve,
};
use crate::config::Config;

#[derive(Args, Debug)]
pub(super) struct Doctor {
    #[command(flatten)]
    flags: Serve,
    /// The gateway's address [default: the one the configuration names]
    #[arg(long, env = "ATRYUM_URL", value_name = "URL")]
    url: Option<String>,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Could not be looked at, or will be mended by itself.
    Note,
    /// A person has to do something.
    Person,
    Failed,
}

/// One line of the list.
#[derive(Debug)]
struct Finding {
    check: String,
    verdict: Verdict,
    detail: String,
    next: Option<String>,
}

impl Finding {
    fn new(check: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict, detail: detail.into(), next: None }
    }

    fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

impl Doctor {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let findings = self.examine().await;
        show(self.output, &as_json(&findings), |_| as_text(&findings));
        let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
        Ok(ExitCode::from(match (has(Verdict::Failed), has(Verdict::Person)) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }))
    }

    async fn examine(&self) -> Vec<Finding> {
        let config = match Config::load(&self.flags.flags()) {
            Ok(config) => config,
            Err(error) => {
                let finding = Finding::new("configuration", Verdict::Failed, error.to_string());
                return vec![finding.next("mend it; atryum config example shows every key")];
            }
        };
        let url = self.url.clone().unwrap_or_else(|| config.public_url(config.listen));
        let mut findings = vec![Finding::new("configuration", Verdict::Ok, "holds")];
        findings.extend(local::examine(&config));
        findings.extend(gateway(&Client::new(&url)).await);
        findings
    }
}

async fn gateway(client: &Client) -> Vec<Finding> {
    let name = format!("gateway {}", client.url());
    match client.get("/readyz").await {
        Err(CliError::Unreachable { .. }) => {
            vec![Finding::new(&name, Verdict::Note, "is not running").next("start it: atryum serve")]
        }
        Err(error) => {
            let finding = Finding::new(&name, Verdict::Failed, error.to_string());
            vec![finding.next("look at what atryum serve wrote to its log")]
        }
        Ok(_) => {
            let running = Finding::new(&name, Verdict::Ok, "runs; its database, migrations and key are in order");
            std::iter::once(running).chain(servers(client).await).collect()
        }
    }
}

async fn servers(client: &Client) -> Vec<Finding> {
    if !client.has_credential() {
        let finding = Finding::new("servers", Verdict::Note, "not looked at, as ATRYUM_TOKEN is not set");
        return vec![finding.next("log in with the link that atryum serve printed: atryum login LINK")];
    }
    match client.list("/api/v1/servers?enabled=true").await {
        Ok(servers) => servers.as_array().into_iter().flatten().map(server).collect(),
        Err(error) => vec![Finding::new("servers", Verdict::Failed, error.to_string())],
    }
}

fn server(server: &Value) -> Finding {
    let name = cell(server, "/name");
    let (status, reason) = (text(server, "/connection/status"), cell(server, "/connection/reason"));
    if status == "unknown" && text(server, "/credentials/status") == "missing" {
        let detail = format!("credentials missing: {}", cell(server, "/credentials/reason"));
        let next = mend(text(server, "/credentials/action"), &name);
        return Finding::new(&format!("server {name}"), Verdict::Failed, detail).next(next);
    }
    let action = [text(server, "/connection/action"), text(server, "/credentials/action")];
    let check = format!("server {name}");
    let detail = if reason == "-" { status.to_owned() } else { format!("{status}: {reason}") };
    match status {
        "ready" => Finding::new(&check, Verdict::Ok, detail),
        "unknown" | "connecting" => {
            Finding::new(&check, Verdict::Note, detail).next(format!("atryum server test {name}"))
        }
        "action_required" => {
            let next = action.into_iter().find(|action| !action.is_empty()).unwrap_or("look at it");
            let verdict = if matches!(next, "connect" | "reconnect") { Verdict::Person } else { Verdict::Failed };
            Finding::new(&check, verdict, detail).next(mend(next, &name))
        }
        _ => Finding::new(&check, Verdict::Failed, detail).next(format!("atryum server logs {name}")),
    }
}

/// What to type for an action of the contract.
fn mend(action: &str, server: &str) -> String {
    match action {
        "set_token" => format!("atryum server set-token {server} < FILE"),
        other => format!("{other}: atryum server show {server}"),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Note => "note",
        Verdict::Person => "action required",
        Verdict::Failed => "failed",
    }
}

fn as_json(findings: &[Finding]) -> Value {
    let line = |finding: &Finding| json!({ "check": finding.check, "status": word(finding.verdict), "detail": finding.detail, "next": finding.next });
    findings.iter().map(line).collect()
}

fn as_text(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let next = finding.next.as_ref().map(|next| format!("; next: {next}")).unwrap_or_default();
            vec![word(finding.verdict).to_owned(), finding.check.clone(), format!("{}{next}", finding.detail)]
        })
        .collect();
    grid(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str, action: &Value) -> Finding {
        server(&json!({ "name": "git", "connection": { "status": status, "reason": "so", "action": action } }))
    }

    #[test]
    fn a_servers_status_says_who_has_to_act() {
        assert_eq!(of("ready", &Value::Null).verdict, Verdict::Ok);
        assert_eq!(of("unknown", &Value::Null).verdict, Verdict::Note);
        assert_eq!(of("failing", &Value::Null).next.unwrap(), "atryum server logs git");
        let waiting = of("action_required", &json!("connect"));
        assert_eq!(
            (waiting.verdict, waiting.next.unwrap().as_str()),
            (Verdict::Person, "connect: atryum server show git")
        );
        let credentials = json!({ "status": "missing", "reason": "none is stored", "action": "set_token" });
        let without_token =
            server(&json!({ "name": "git", "connection": { "status": "unknown" }, "credentials": credentials }));
        assert_eq!(without_token.detail, "credentials missing: none is stored");
        assert_eq!(
            (without_token.verdict, without_token.next.unwrap().as_str()),
            (Verdict::Failed, "atryum server set-token git < FILE")
        );
    }

    #[test]
    fn each_line_says_what_to_do_next() {
        let findings = [Finding::new("key", Verdict::Failed, "is gone").next("bring it back")];
        assert_eq!(as_text(&findings), "failed  key  is gone; next: bring it back\n");
    }
}
