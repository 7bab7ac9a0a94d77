//! `atryum approval …`: the calls that wait for a person.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{Format, cell, print, sheet, show, table, text},
};

const PATH: &str = "/api/v1/approvals";

/// How often `watch` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct Approval {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the calls that wait
    List {
        /// List others: approved, denied, expired, cancelled
        #[arg(long, default_value = "pending")]
        status: String,
    },
    /// Show one call that waits
    Show(Which),
    /// Let a call go on, once
    Approve {
        #[command(flatten)]
        which: Which,
        /// The digest that was shown; refused when the call is another one by now
        #[arg(long)]
        digest: Option<String>,
        /// A JSON object that goes out in place of the agent's arguments, to the letter
        #[arg(long, value_name = "JSON", conflicts_with = "arguments_file")]
        arguments: Option<String>,
        /// The same, from a file; - is standard input
        #[arg(long, value_name = "FILE")]
        arguments_file: Option<PathBuf>,
    },
    /// End a call
    Deny {
        #[command(flatten)]
        which: Which,
        /// Why, for the model
        #[arg(long, short = 'm', value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give a question more time
    Extend {
        #[command(flatten)]
        which: Which,
        /// How much more
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        seconds: u32,
    },
    /// Tell of each call that begins to wait
    Watch {
        /// For how long
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 3_600)]
        seconds: u64,
    },
}

#[derive(Args, Debug)]
struct Which {
    /// The approval's id
    id: String,
}

impl Which {
    fn path(&self) -> String {
        format!("{PATH}/{}", segment(&self.id))
    }
}

impl Approval {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        let output = self.remote.output;
        match &self.act {
            Act::List { status } => {
                let approvals = client.list(&format!("{PATH}?status={}", segment(status))).await?;
                show(output, &approvals, listing);
            }
            Act::Show(which) => show(output, &client.get(&which.path()).await?, describe),
            Act::Approve { which, digest, arguments, arguments_file } => {
                let digest = match digest {
                    Some(digest) => digest.clone(),
                    None => text(&client.get(&which.path()).await?, "/digest").to_owned(),
                };
                let arguments = match arguments_file {
                    Some(path) => Some(read(path)?),
                    None => arguments.clone(),
                };
                let body = match arguments {
                    Some(arguments) => json!({ "digest": digest, "arguments_text": arguments.trim() }),
                    None => json!({ "digest": digest }),
                };
                show(output, &client.post(&format!("{}/approve", which.path()), &body).await?, describe);
            }
            Act::Deny { which, reason } => {
                let body = reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
                show(output, &client.post(&format!("{}/deny", which.path()), &body).await?, describe);
            }
            Act::Extend { which, seconds } => {
                let body = json!({ "seconds": seconds });
                show(output, &client.post(&format!("{}/extend", which.path()), &body).await?, describe);
            }
            Act::Watch { seconds } => watch(&client, output, Duration::from_secs(*seconds)).await?,
        }
        Ok(())
    }
}

fn listing(approvals: &Value) -> String {
    let columns = [
        ("ID", "/id"),
        ("STATUS", "/status"),
        ("AGENT", "/agent"),
        ("SERVER", "/server"),
        ("TOOL", "/tool"),
        ("SINCE", "/created_at"),
        ("UNTIL", "/expires_at"),
        ("AGENT LEFT", "/left_at"),
    ];
    table(approvals, &columns)
}

/// All that a person needs to decide; the arguments are the very text that would be sent.
fn describe(approval: &Value) -> String {
    let lines = [
        ("id", "/id"),
        ("status", "/status"),
        ("agent", "/agent"),
        ("server", "/server"),
        ("method", "/method"),
        ("tool", "/tool"),
        ("arguments", "/arguments_text"),
        ("also sent", "/other_params_text"),
        ("definition", "/definition_digest"),
        ("digest", "/digest"),
        ("since", "/created_at"),
        ("until", "/expires_at"),
        ("agent left", "/left_at"),
        ("decided", "/decided_at"),
        ("by", "/decided_by"),
        ("reason", "/reason"),
        ("edited to", "/edited_arguments_text"),
        ("holds until", "/holds_until"),
        ("used", "/used_at"),
        ("used by", "/used_by"),
    ];
    let there: Vec<_> = lines.into_iter().filter(|(_, pointer)| cell(approval, pointer) != "-").collect();
    sheet(approval, &there)
}

/// The text of a file, or of standard input.
fn read(path: &Path) -> Result<String, CliError> {
    let read = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| CliError::Usage(format!("{} can't be read: {error}", path.display())))
}

async fn watch(client: &Client, output: Format, during: Duration) -> Result<(), CliError> {
    let end = Instant::now() + during;
    let mut known = BTreeSet::new();
    while Instant::now() < end {
        let pending = client.list(&format!("{PATH}?status=pending")).await?;
        for approval in pending.as_array().into_iter().flatten() {
            if known.insert(text(approval, "/id").to_owned()) {
                match output {
                    // one line each, for programs that read along
                    Format::Json => print(&approval.to_string()),
                    Format::Table => print(&format!("{}\n", describe(approval))),
                }
            }
        }
        actix_rt::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
