//! `atryum approval …`: the calls that wait for a person.

mod watch;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{cell, escape, sheet, show, table, text},
};

const PATH: &str = "/api/v1/approvals";

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
        #[command(flatten)]
        remember: Lasting,
    },
    /// End a call
    Deny {
        #[command(flatten)]
        which: Which,
        /// Why, for the model
        #[arg(long, short = 'm', value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        remember: Lasting,
    },
    /// Look which recorded calls a remembered answer would have been about
    Remember {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        remember: Lasting,
    },
    /// Give a question more time
    Extend {
        #[command(flatten)]
        which: Which,
        /// How much more
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        seconds: u32,
    },
    /// Tell of each call that begins to wait, and on a terminal take the answers
    ///
    /// It looks once a second. On a terminal the calls are shown one after the other, and a line answers the one that is
    /// shown: a approves, d denies (d REASON tells the model why), e gives it ten more minutes, s leaves it to somebody
    /// else, q ends.
    Watch {
        /// For how long
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 3_600)]
        seconds: u64,
        /// Take answers from standard input though it is no terminal
        #[arg(long, short = 'i')]
        interactive: bool,
    },
}

/// A rule that an answer makes, for a while.
#[derive(Args, Debug)]
struct Lasting {
    /// Remember the answer for this long, as a rule: 30m, 8h, 7d
    #[arg(long = "remember", value_name = "TIME")]
    lasts: Option<String>,
    /// For agents like this, instead of the one that asked; may be repeated
    #[arg(long, value_name = "GLOB", requires = "lasts")]
    agents: Vec<String>,
    /// For servers like this
    #[arg(long, value_name = "GLOB", requires = "lasts")]
    servers: Vec<String>,
    /// For tools like this
    #[arg(long, value_name = "GLOB", requires = "lasts")]
    tools: Vec<String>,
    /// For arguments of which this holds, in CEL
    #[arg(long, value_name = "CEL", requires = "lasts")]
    when: Option<String>,
}

impl Lasting {
    /// What is sent; nothing when nothing is to be remembered.
    fn body(&self) -> Result<Option<Value>, CliError> {
        let Some(lasts) = &self.lasts else { return Ok(None) };
        let seconds = seconds(lasts)
            .ok_or_else(|| CliError::Usage(format!("{lasts:?} is no time: a number and s, m, h or d is expected")))?;
        let until = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
        let mut body = json!({ "expires_at": until.to_rfc3339_opts(chrono::SecondsFormat::Millis, true) });
        if let Some(members) = body.as_object_mut() {
            for (name, globs) in [("agents", &self.agents), ("servers", &self.servers), ("tools", &self.tools)] {
                if !globs.is_empty() {
                    members.insert(name.into(), json!(globs));
                }
            }
            members.extend(self.when.as_ref().map(|when| ("when".to_owned(), json!(when))));
        }
        Ok(Some(body))
    }
}

/// The seconds of a time such as `8h`, a year at most.
fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u32>().map(i64::from).ok()?.checked_mul(factor)?;
    (1..=366 * 86_400).contains(&seconds).then_some(seconds)
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
            Act::Approve { which, digest, arguments, arguments_file, remember } => {
                let digest = match digest {
                    Some(digest) => digest.clone(),
                    None => text(&client.get(&which.path()).await?, "/digest").to_owned(),
                };
                let arguments = match arguments_file {
                    Some(path) => Some(read(path)?),
                    None => arguments.clone(),
                };
                let arguments = arguments.as_deref().map(str::trim);
                let body = json!({ "digest": digest, "arguments_text": arguments, "remember": remember.body()? });
                show(output, &client.post(&format!("{}/approve", which.path()), &body).await?, describe);
            }
            Act::Deny { which, reason, remember } => {
                let body = json!({ "reason": reason, "remember": remember.body()? });
                show(output, &client.post(&format!("{}/deny", which.path()), &body).await?, describe);
            }
            Act::Remember { which, remember } => {
                let body = remember.body()?.ok_or_else(|| CliError::Usage("say for how long: --remember 8h".into()))?;
                let body = json!({ "remember": body });
                show(output, &client.post(&format!("{}/remember", which.path()), &body).await?, matches);
            }
            Act::Extend { which, seconds } => {
                let body = json!({ "seconds": seconds });
                show(output, &client.post(&format!("{}/extend", which.path()), &body).await?, describe);
            }
            Act::Watch { seconds, interactive } => {
                let answers = *interactive || (io::stdin().is_terminal() && io::stdout().is_terminal());
                watch::run(&client, output, Duration::from_secs(*seconds), answers).await?;
            }
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

/// A rule, and the calls that it would have been about.
fn matches(found: &Value) -> String {
    let columns = [
        ("AT", "/received_at"),
        ("AGENT", "/agent"),
        ("SERVER", "/server"),
        ("TOOL", "/tool"),
        ("WAS", "/was"),
        ("WOULD BE", "/would_be"),
        ("ARGUMENTS", "/arguments_text"),
    ];
    let scope = [
        ("action", "/rule/action"),
        ("agents", "/rule/agents"),
        ("servers", "/rule/servers"),
        ("tools", "/rule/tools"),
        ("methods", "/rule/methods"),
        ("when", "/rule/when"),
        ("until", "/rule/expires_at"),
    ];
    let calls = found.get("matches").cloned().unwrap_or_default();
    format!(
        "{}\nof the last {} calls {} would have matched, and {} would have been denied because the condition can't be \
         evaluated for them\n{}",
        sheet(found, &scope),
        cell(found, "/calls"),
        cell(found, "/matching"),
        cell(found, "/denying"),
        table(&calls, &columns)
    )
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
        ("held to", "/definition_change/pinned_digest"),
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
        ("remembered", "/remembered_rule_id"),
    ];
    let there: Vec<_> = lines.into_iter().filter(|(_, pointer)| cell(approval, pointer) != "-").collect();
    let diff = approval.pointer("/definition_change/diff").and_then(Value::as_str);
    let changed = diff.map(|diff| format!("the tool is another one than it was:\n{}", escape(diff)));
    format!("{}{}", sheet(approval, &there), changed.unwrap_or_default())
}

/// The text of a file, or of standard input.
fn read(path: &Path) -> Result<String, CliError> {
    let read = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| CliError::Usage(format!("{} can't be read: {error}", path.display())))
}
