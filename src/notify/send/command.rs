//! A program on this machine, started below a guard as servers are: no shell, and nothing of what others wrote is among its
//! arguments or variables.
//!
//! It is given the notice on standard input, as JSON. It has taken it when it ends with 0.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Failure;
use crate::child::{Child, Launch, StopLimits};
use crate::notify::notice::Notice;

/// How long it may take, with the time to end it.
pub(super) const WITHIN: Duration = Duration::from_secs(RUNS_WITHIN.as_secs() + 4);
/// How long it may run.
const RUNS_WITHIN: Duration = Duration::from_secs(30);
/// It has had its time: it is asked, and then ended.
const STOP: StopLimits = StopLimits {
    end_of_input: Duration::from_millis(100),
    terminate: Duration::from_secs(2),
    kill: Duration::from_secs(1),
};
/// How much of what it says last is kept; the rest is read and left out, so that it never waits for a reader.
const SAID_BYTES_MAX: usize = 4 * 1024;

/// Runs it to its end.
pub(super) async fn run(argv: &[String], id: &str, notice: &Notice) -> Result<(), Failure> {
    let mut child = Child::spawn(&launch(argv, id, notice)).map_err(|error| Failure::new(&crate::chain(&error)))?;
    let input = notice.to_json().to_string();
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing may be done with it all the same.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let all = async { tokio::join!(feed, last_of(stdout), last_of(stderr), child.wait()) };
    let Ok(((), _, said, exit)) = timeout(RUNS_WITHIN, all).await else {
        child.stop_within(STOP).await;
        let seconds = RUNS_WITHIN.as_secs();
        return Err(Failure::new(&format!("the command did not end within {seconds} s and was stopped")));
    };
    if exit.code == Some(0) {
        return Ok(());
    }
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()));
    Err(Failure::new(&format!("the command {exit}{}", said.unwrap_or_default())))
}

fn launch(argv: &[String], id: &str, notice: &Notice) -> Launch {
    let approval_id = notice.asked.as_ref().map(|asked| asked.approval_id.clone()).unwrap_or_default();
    let env = [
        ("ATRYUM_NOTICE_ID", id.to_owned()),
        ("ATRYUM_NOTICE_TYPE", notice.kind.to_owned()),
        ("ATRYUM_CHANNEL", notice.channel.clone()),
        ("ATRYUM_APPROVAL_ID", approval_id),
        ("ATRYUM_APPROVAL_URL", notice.url.clone()),
    ];
    let (program, rest) = argv.split_first().map_or(("", &[] as &[String]), |(program, rest)| (program.as_str(), rest));
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Launch { command: program.to_owned(), args: rest.to_vec(), env, cwd: None }
}

/// The end of what is said.
async fn last_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = [0; 4 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if kept.len() > SAID_BYTES_MAX {
            kept.drain(..kept.len() - SAID_BYTES_MAX);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
