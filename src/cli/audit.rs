//! `atryum audit …`: the record of what was done, and whether it still is what was written.
//!
//! `verify` needs no gateway: it reads the database, or a file that was exported, and says what does not hold. The other
//! verbs speak to a running gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{Format, escape, pretty, print, remark, show, table, text},
    serve::Serve,
};
use crate::audit::{Line, verify_database, verify_export};
use crate::config::Config;
use crate::store::audit::Archive;
use crate::trail::{Checkpoint, PublicKey, Report};

const PATH: &str = "/api/v1/audit";

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List what was done, newest first
    List {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        wanted: Wanted,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Print the record, oldest first
    Export {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        wanted: Wanted,
        /// As what
        #[arg(long, value_enum, default_value_t = Shape::Jsonl)]
        format: Shape,
    },
    /// Have all that was told so far signed, and print the checkpoint: keep it elsewhere
    Checkpoint {
        #[command(flatten)]
        remote: Remote,
    },
    /// Print the public key: keep it elsewhere
    Key {
        #[command(flatten)]
        remote: Remote,
    },
    /// Say whether anything was altered, removed, added or moved, and where; needs no gateway
    Verify(Box<Verify>),
}

/// Which events are wanted.
#[derive(Args, Debug)]
pub(super) struct Wanted {
    /// What happened, such as server.updated, or server. for all that happened to servers
    #[arg(long)]
    kind: Option<String>,
    /// Who did it, such as operator:administrator
    #[arg(long)]
    actor: Option<String>,
    /// What it happened to, such as server:calc
    #[arg(long)]
    subject: Option<String>,
    /// Then or later, such as 2026-11-22T17:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shape {
    /// One JSON document a line, with the checkpoints: can be verified
    Jsonl,
    /// A table
    Csv,
}

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// An export as JSON lines, instead of the database
    file: Option<PathBuf>,
    /// Whose signatures count [default: the key that the record itself names]
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
    /// A file with checkpoints that were kept elsewhere: what they say must still be so
    #[arg(long, value_name = "FILE")]
    from_checkpoint: Option<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    flags: Serve,
}

impl Audit {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Self::List { remote, wanted, limit } => {
                let path = format!("{PATH}?limit={limit}{}", wanted.query());
                let page = Client::new(&remote.url).get(&path).await?;
                let columns =
                    [("AT", "/at"), ("SEQ", "/seq"), ("KIND", "/kind"), ("ACTOR", "/actor"), ("SUBJECT", "/subject")];
                let items = page.pointer("/items").cloned().unwrap_or_default();
                show(remote.output, &items, |items| table(items, &columns));
            }
            Self::Export { remote, wanted, format } => {
                let format = match format {
                    Shape::Jsonl => "jsonl",
                    Shape::Csv => "csv",
                };
                let path = format!("{PATH}/export?format={format}{}", wanted.query());
                Client::new(&remote.url).download(&path).await?;
            }
            Self::Checkpoint { remote } => {
                let client = Client::new(&remote.url);
                let signed = client.post(&format!("{PATH}/checkpoint"), &serde_json::json!({})).await?;
                print(&signed.pointer("/checkpoint").map(ToString::to_string).unwrap_or_default());
            }
            Self::Key { remote } => {
                let signed = Client::new(&remote.url).get(&format!("{PATH}/checkpoint")).await?;
                print(&escape(text(&signed, "/public_key")));
            }
            Self::Verify(verify) => return verify.run().await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Wanted {
    fn query(&self) -> String {
        let parameters = [
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("subject", &self.subject),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given.fold(String::new(), |query, (name, value)| format!("{query}&{name}={}", segment(value)))
    }
}

impl Verify {
    async fn run(&self) -> Result<ExitCode, CliError> {
        let failed = |error: &dyn std::error::Error| CliError::Failed(crate::chain(error));
        let key: Option<PublicKey> = match &self.public_key {
            Some(text) => Some(text.parse().map_err(|what: &str| CliError::Usage(format!("--public-key: {what}")))?),
            None => None,
        };
        let known = self.from_checkpoint.as_deref().map_or_else(|| Ok(Vec::new()), read_checkpoints)?;
        let report = if let Some(file) = &self.file {
            verify_export(file, key, known).map_err(|error| failed(&error))?
        } else {
            let config = Config::load(&self.flags.flags()).map_err(|error| CliError::Failed(error.to_string()))?;
            let archive = Archive::open(&config.database_url()).await.map_err(|error| failed(&error))?;
            verify_database(&archive, key, known).await.map_err(|error| failed(&error))?
        };
        self.tell(&report);
        Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn tell(&self, report: &Report) {
        match self.output {
            Format::Json => print(&pretty(&serde_json::json!({
                "holds": report.findings.is_empty(),
                "events": report.events,
                "checkpoints": report.checkpoints,
                "unsigned": report.unsigned,
                "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }))),
            Format::Table => {
                for finding in &report.findings {
                    print(&escape(&finding.to_string()));
                }
                let holds = if report.findings.is_empty() { "the record holds" } else { "the record does not hold" };
                let Report { events, checkpoints, unsigned, .. } = report;
                print(&format!(
                    "{holds}: {events} events, {checkpoints} checkpoints, {unsigned} events not signed yet"
                ));
            }
        }
        if self.public_key.is_none() {
            remark("the key was taken from the record itself; name the one that was kept elsewhere with --public-key");
        }
        if self.from_checkpoint.is_none() {
            remark("whether events are missing at the end shows only against a checkpoint: --from-checkpoint FILE");
        }
    }
}

fn read_checkpoints(path: &Path) -> Result<Vec<Checkpoint>, CliError> {
    let of_file = |why: String| CliError::Failed(format!("{}: {why}", path.display()));
    let file = std::fs::read_to_string(path).map_err(|error| of_file(error.to_string()))?;
    let lines = file.lines().filter(|line| !line.trim().is_empty()).map(Line::parse);
    let lines: Vec<Line> = lines.collect::<Result<_, _>>().map_err(|error| of_file(error.to_string()))?;
    let checkpoints: Vec<_> = lines
        .into_iter()
        .filter_map(|line| match line {
            Line::Checkpoint(checkpoint) => Some(checkpoint),
            Line::Event(_) => None,
        })
        .collect();
    if checkpoints.is_empty() { Err(of_file("it holds no checkpoint".to_owned())) } else { Ok(checkpoints) }
}
