//! `atryum approval watch`: what waits is told as it comes, and on a terminal answered there.

use std::collections::{BTreeSet, VecDeque};
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{PATH, describe};
use crate::cli::client::{Client, segment};
use crate::cli::error::CliError;
use crate::cli::output::{Format, print, text};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What `e` gives, in seconds.
const MORE_TIME: u32 = 600;
const KEYS: &str = "a approve · d [REASON] deny · e ten minutes more · s skip · q quit";

/// What a line that was typed means.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Approve,
    Deny(Option<String>),
    Extend,
    Skip,
    Quit,
    /// None of these.
    Unknown,
}

impl Typed {
    fn read(line: &str) -> Self {
        let (key, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        match (key, rest.is_empty()) {
            ("a", true) => Self::Approve,
            ("d", is_empty) => Self::Deny((!is_empty).then(|| rest.to_owned())),
            ("e", true) => Self::Extend,
            ("s", true) => Self::Skip,
            ("q", true) => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

/// Watches for so long. `takes_answers` says whether somebody is there to give them.
pub(super) async fn run(
    client: &Client,
    output: Format,
    during: Duration,
    takes_answers: bool,
) -> Result<(), CliError> {
    let end = Instant::now() + during;
    let mut lines = takes_answers.then(typed_lines);
    let (mut known, mut waiting) = (BTreeSet::new(), VecDeque::new());
    let mut shown: Option<Value> = None;
    while Instant::now() < end {
        let pending = client.list(&format!("{PATH}?status=pending")).await?;
        let pending = pending.as_array().map(Vec::as_slice).unwrap_or_default();
        // The list has the newest first; people are shown the oldest.
        for approval in pending.iter().rev() {
            if !known.insert(text(approval, "/id").to_owned()) {
                continue;
            }
            match (output, takes_answers) {
                // one line each, for programs that read along
                (Format::Json, _) => print(&approval.to_string()),
                (Format::Table, false) => print(&format!("{}\n", describe(approval))),
                (Format::Table, true) => {}
            }
            waiting.push_back(approval.clone());
        }
        let Some(lines) = &mut lines else {
            actix_rt::time::sleep(LOOK_EVERY).await;
            continue;
        };
        let is_open = |one: &Value| pending.iter().any(|approval| text(approval, "/id") == text(one, "/id"));
        if let Some(gone) = shown.take_if(|one| !is_open(one)) {
            print(&format!("{} no longer waits\n", text(&gone, "/id")));
        }
        waiting.retain(is_open);
        if shown.is_none() {
            shown = waiting.pop_front();
            if let Some(approval) = &shown {
                print(&format!("{}\n{KEYS}", describe(approval)));
            }
        }
        let Ok(line) = actix_rt::time::timeout(LOOK_EVERY, lines.recv()).await else { continue };
        // Whoever closed the input gives no more answers.
        let Some(line) = line else { return Ok(()) };
        let Some(approval) = &shown else {
            match Typed::read(&line) {
                Typed::Quit => return Ok(()),
                _ => print("nothing waits"),
            }
            continue;
        };
        match answer(client, approval, Typed::read(&line)).await? {
            Next::Same => {}
            Next::Another => shown = None,
            Next::End => return Ok(()),
        }
    }
    Ok(())
}

/// What is shown next.
enum Next {
    Same,
    Another,
    End,
}

/// Gives an answer for the very call that was shown; what the gateway says against it is told.
async fn answer(client: &Client, approval: &Value, typed: Typed) -> Result<Next, CliError> {
    let id = text(approval, "/id");
    let digest = text(approval, "/digest");
    let (verb, body, done, next) = match typed {
        Typed::Approve => ("approve", json!({ "digest": digest }), "approved", Next::Another),
        Typed::Deny(reason) => ("deny", json!({ "digest": digest, "reason": reason }), "denied", Next::Another),
        Typed::Extend => ("extend", json!({ "seconds": MORE_TIME }), "has ten minutes more", Next::Same),
        Typed::Skip => return Ok(Next::Another),
        Typed::Quit => return Ok(Next::End),
        Typed::Unknown => {
            print(KEYS);
            return Ok(Next::Same);
        }
    };
    match client.post(&format!("{PATH}/{}/{verb}", segment(id)), &body).await {
        Ok(_) => print(&format!("{id} {done}\n")),
        Err(error @ CliError::Refused(_)) => print(&format!("{id}: {error}\n")),
        Err(error) => return Err(error),
    }
    Ok(next)
}

/// The lines of standard input, as they are typed. A thread reads them: nothing else can wait for a terminal.
fn typed_lines() -> mpsc::UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if typed.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_answers_and_a_no_may_have_a_reason() {
        assert_eq!(Typed::read(" a \n"), Typed::Approve);
        assert_eq!(Typed::read("d"), Typed::Deny(None));
        assert_eq!(Typed::read("d  use the sandbox "), Typed::Deny(Some("use the sandbox".into())));
        assert_eq!([Typed::read("e"), Typed::read("s"), Typed::read("q")], [Typed::Extend, Typed::Skip, Typed::Quit]);
        for line in ["", "yes", "approve", "a b", "A"] {
            assert_eq!(Typed::read(line), Typed::Unknown, "{line:?}");
        }
    }
}
