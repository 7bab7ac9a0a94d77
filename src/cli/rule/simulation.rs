//! `atryum rule simulate`: other rules on the calls that were made.

use clap::Args;
use serde_json::{Map, Value, json};

use super::PATH;
use super::policy::Policy;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::output::{Format, cell, show, table};

#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// A file with the rules to try, TOML or JSON [default: the rules in force]
    #[arg(value_name = "FILE")]
    rules: Option<String>,
    /// Look at calls received then or later, such as 2026-11-01T00:00:00Z [default: seven days ago]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Look at so many calls at most, the newest first [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

impl Simulate {
    pub(super) async fn run(&self, client: &Client, output: Format) -> Result<(), CliError> {
        let simulated = client.post(&format!("{PATH}/simulate"), &self.body()?).await?;
        show(output, &simulated, report);
        Ok(())
    }

    fn body(&self) -> Result<Value, CliError> {
        let mut body = Map::new();
        if let Some(path) = &self.rules {
            let policy = Policy::read(path)?;
            body.extend(policy.rules.map(|rules| ("rules".to_owned(), json!(rules))));
            body.extend(policy.default.map(|default| ("default".to_owned(), default)));
        }
        body.extend(self.since.as_ref().map(|since| ("since".to_owned(), json!(since))));
        body.extend(self.limit.map(|limit| ("limit".to_owned(), json!(limit))));
        Ok(Value::Object(body))
    }
}

fn report(simulated: &Value) -> String {
    let counts = |which: &str| {
        let count = |action: &str| cell(simulated, &format!("/{which}/{action}"));
        format!("{} allow, {} deny, {} ask", count("allow"), count("deny"), count("ask"))
    };
    let older = if simulated.pointer("/has_more") == Some(&json!(true)) { "; there are older ones" } else { "" };
    let summary = format!(
        "{} calls{older}; {} would be decided otherwise\nwas:      {}\nwould be: {}\n",
        cell(simulated, "/calls"),
        cell(simulated, "/different"),
        counts("was"),
        counts("would_be"),
    );
    let columns = [
        ("RECEIVED", "/received_at"),
        ("AGENT", "/agent"),
        ("SERVER", "/server"),
        ("TOOL", "/tool"),
        ("WAS", "/was/action"),
        ("WOULD BE", "/would_be/action"),
        ("BY", "/would_be/rule_id"),
        ("CALL", "/invocation_id"),
    ];
    match simulated.pointer("/differences") {
        Some(Value::Array(items)) if !items.is_empty() => {
            format!("{summary}\n{}", table(&Value::Array(items.clone()), &columns))
        }
        _ => summary,
    }
}
