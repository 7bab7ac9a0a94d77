//! What can be chosen on the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Result;
use crate::message::Era;

/// The words for whoever asks wrongly, or for help.
pub(crate) const USAGE: &str = "\
usage: atryum-bench run [options]
       atryum-bench upstream [--legacy]      the MCP server that is called; --legacy: it knows no server/discover
       atryum-bench upstream-http [sse]      the same over HTTP; sse: it answers calls as streams

  --gateway FILE        the gateway's binary (../target/release/atryum)
  --upstream WORD       how the server is reached: stdio, http, or sse for HTTP with streams as answers (stdio)
  --rows LIST           sessions x bytes of a result, each a row
                        (1x1024,16x1024,64x1024,1x65536, and over HTTP up to 256 sessions of either)
  --era WORD            legacy: sessions of 2025-06-18; modern: stateless requests of 2026-07-28 (legacy)
  --rounds N            measurements of a row, direct and through in turn (3)
  --seconds S           length of one measurement (3)
  --warm-up S           load before it that is not measured (1)
  --durability WORD     process or disk: what a recorded call survives (process)
  --log-level WORD      of the gateway; its log goes to a file (info)
  --set NAME=VALUE      another variable of the gateway's environment; may be given several times
  --verify N            first make N calls and compare them with the journal; 0 leaves it out (2000)
  --json FILE           write all figures there, too
  --pid-file FILE       write the gateway's process id there, for a profiler";

/// How the server is reached, and how it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A process a session.
    Stdio,
    /// JSON over HTTP.
    Http,
    /// Event streams over HTTP.
    Sse,
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        [Self::Stdio, Self::Http, Self::Sse].into_iter().find(|kind| kind.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
        }
    }

    fn rows(self) -> Vec<Row> {
        let row = |sessions, bytes| Row { sessions, bytes };
        match self {
            Self::Stdio => vec![row(1, 1024), row(16, 1024), row(64, 1024), row(1, 65536)],
            Self::Http | Self::Sse => [1024, 65536]
                .into_iter()
                .flat_map(|bytes| [1, 16, 64, 256].map(|sessions| row(sessions, bytes)))
                .collect(),
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) sessions: usize,
    /// Length of the text in each result.
    pub(crate) bytes: usize,
}

/// What a run is to do.
pub(crate) struct Options {
    pub(crate) gateway: PathBuf,
    pub(crate) upstream: Kind,
    pub(crate) rows: Vec<Row>,
    pub(crate) era: Era,
    pub(crate) rounds: usize,
    pub(crate) seconds: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) durability: String,
    pub(crate) log_level: String,
    /// More of the gateway's environment.
    pub(crate) set: Vec<(String, String)>,
    pub(crate) verify: u64,
    pub(crate) json: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gateway: "../target/release/atryum".into(),
            upstream: Kind::Stdio,
            // Those of the kind, unless some are named.
            rows: Vec::new(),
            era: Era::Legacy,
            rounds: 3,
            seconds: Duration::from_secs(3),
            warm_up: Duration::from_secs(1),
            durability: "process".into(),
            log_level: "info".into(),
            set: Vec::new(),
            verify: 2000,
            json: None,
            pid_file: None,
        }
    }
}

/// Reads the arguments after `run`.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value, or is not known\n\n{USAGE}"))?;
        match name.as_str() {
            "--gateway" => options.gateway = value.into(),
            "--upstream" => options.upstream = Kind::parse(&value).ok_or("--upstream is stdio, http or sse")?,
            "--rows" => options.rows = value.split(',').map(row).collect::<Result<_>>()?,
            "--era" => options.era = Era::parse(&value).ok_or("--era is legacy or modern")?,
            "--rounds" => options.rounds = number::<usize>(&value)?.max(1),
            "--seconds" => options.seconds = Duration::try_from_secs_f64(number(&value)?)?,
            "--warm-up" => options.warm_up = Duration::try_from_secs_f64(number(&value)?)?,
            "--durability" => options.durability = value,
            "--log-level" => options.log_level = value,
            "--set" => {
                let (name, value) = value.split_once('=').ok_or("--set takes NAME=VALUE")?;
                options.set.push((name.to_owned(), value.to_owned()));
            }
            "--verify" => options.verify = number(&value)?,
            "--json" => options.json = Some(value.into()),
            "--pid-file" => options.pid_file = Some(value.into()),
            _ => return Err(format!("{name} is not known\n\n{USAGE}").into()),
        }
    }
    if options.rows.is_empty() {
        options.rows = options.upstream.rows();
    }
    Ok(options)
}

fn row(text: &str) -> Result<Row> {
    let (sessions, bytes) = text.split_once('x').ok_or("a row is SESSIONSxBYTES, like 16x1024")?;
    Ok(Row { sessions: number::<usize>(sessions)?.max(1), bytes: number(bytes)? })
}

fn number<T: FromStr>(text: &str) -> Result<T> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number that fits").into())
}
