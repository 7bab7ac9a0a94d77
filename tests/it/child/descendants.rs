//! What a server starts never outlives it, whichever way the end comes.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use atryum::child::{Child, Exit};
use rustix::process::{Pid, Signal, getsid, kill_process};
use tokio::io::AsyncWriteExt;

use super::support::{ATRYUM, LONG, SHORT, Watched, lines, shell, spawn};

/// A server with a descendant in a session of its own, that ignores SIGTERM and holds no stream; the server writes the
/// descendant's id and then waits for a line.
const WITH_ESCAPEE: &str =
    "(trap '' TERM; setsid sh -c 'echo $$; exec >&- 2>&-; exec sleep 1000' &) ; read line; exit 5";

async fn with_escapee() -> (Child, Watched) {
    let mut child = spawn(&shell(WITH_ESCAPEE));
    let id = lines(&mut child).next_line().await.unwrap().unwrap();
    (child, Watched::open(&id))
}

#[tokio::test]
async fn an_escaped_descendant_is_gone_after_stop() {
    let (mut child, escapee) = with_escapee().await;
    child.stop_within(LONG).await;
    assert!(!escapee.is_alive(), "stop returned while it lived");
}

#[tokio::test]
async fn an_escaped_descendant_is_gone_after_a_forced_stop() {
    let mut child = spawn(&shell(&format!("trap '' TERM; {WITH_ESCAPEE} <&2")));
    let id = lines(&mut child).next_line().await.unwrap().unwrap();
    let escapee = Watched::open(&id);
    child.stop_within(SHORT).await;
    assert!(!escapee.is_alive(), "stop returned while it lived");
}

#[tokio::test]
async fn an_escaped_descendant_is_gone_after_the_servers_own_exit() {
    let (mut child, escapee) = with_escapee().await;
    child.stdin.as_mut().unwrap().write_all(b"go\n").await.unwrap();
    assert_eq!(child.wait().await, Exit { code: Some(5), signal: None });
    assert!(!escapee.is_alive(), "the guard ended while it lived");
}

#[tokio::test]
async fn an_escaped_descendant_is_gone_after_drop() {
    let (child, escapee) = with_escapee().await;
    drop(child);
    assert!(escapee.ends());
}

#[tokio::test]
async fn a_generation_of_orphans_is_gone_after_stop() {
    let script =
        "for i in 1 2 3 4 5 6 7 8; do (setsid sh -c 'sleep 1000 & sleep 1000 & echo $$; wait' &); done; read line";
    let mut child = spawn(&shell(script));
    let mut lines = lines(&mut child);
    let mut orphans = Vec::new();
    for _ in 0..8 {
        orphans.push(Watched::open(&lines.next_line().await.unwrap().unwrap()));
    }
    child.stop_within(LONG).await;
    assert!(orphans.iter().all(|orphan| !orphan.is_alive()));
    assert_eq!(lines.next_line().await.unwrap(), None, "none of their children holds the output open");
}

#[test]
fn nothing_is_left_after_the_parent_was_killed() {
    let parent = "\"$0\" __guard $$ -- /bin/sh -c \"$1\" & wait";
    let mut parent = Command::new("/bin/sh")
        .args(["-c", parent, ATRYUM, "echo $$; setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (program, escapee) = (Watched::open(&lines.next().unwrap()), Watched::open(&lines.next().unwrap()));
    parent.kill().unwrap();
    assert!(program.ends() && escapee.ends());
    assert_eq!(lines.next(), None, "nobody holds the output open");
    parent.wait().unwrap();
}

#[test]
fn a_guard_whose_parent_is_another_starts_nothing() {
    let output = Command::new(ATRYUM).args(["__guard", "1", "--", "/bin/echo", "started"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}

#[tokio::test]
async fn killing_the_guard_kills_the_server_and_its_session() {
    let mut child = spawn(&shell("echo $$; sh -c 'echo $$; exec sleep 1000' & sleep 1000"));
    let mut lines = lines(&mut child);
    let server = Watched::open(&lines.next_line().await.unwrap().unwrap());
    let descendant = Watched::open(&lines.next_line().await.unwrap().unwrap());
    kill_process(guard_of(&child), Signal::KILL).unwrap();
    assert_eq!(child.wait().await, Exit { code: None, signal: Some(9) });
    assert!(server.ends() && descendant.ends());
}

#[tokio::test]
async fn a_terminals_signals_cannot_reach_the_server() {
    let mut child = spawn(&shell("echo $$; read line"));
    let server = lines(&mut child).next_line().await.unwrap().unwrap();
    let server = Pid::from_raw(server.parse().unwrap()).unwrap();
    let guard = guard_of(&child);
    // A process that leads a session is in none of those that were there before it, so not in this test's either. That
    // one is not asked for: its leader may be outside of a container's PID namespace, where its number is 0.
    assert_eq!(getsid(Some(guard)).unwrap(), guard, "the guard leads a session");
    assert_eq!(getsid(Some(server)).unwrap(), guard, "and the server is in it");
    assert_eq!(rustix::process::getpgid(Some(server)).unwrap(), server, "the server leads its own group");
}

fn guard_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap()
}
