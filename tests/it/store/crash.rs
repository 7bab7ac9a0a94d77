//! A gateway that is killed: what it was told is recorded is there, and nothing is left open.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use atryum::journal::{Entry, Journal, Outcome, State};
use atryum::store::{Store, invocation};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(what_was_acknowledged_before_a_kill_is_there_after_it);

/// Tells the child which database to write to.
const URL: &str = "CRASH_TEST_DATABASE_URL";
/// How many acknowledgements are read before the child is killed.
const LINES: usize = 2_000;

async fn what_was_acknowledged_before_a_kill_is_there_after_it(database: Database) {
    // made and migrated beforehand, so that the child is killed at its work
    database.open().await.close().await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "store::crash::a_process_that_records_until_it_is_killed"])
        .env(URL, database.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<_> = lines.by_ref().take(LINES).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok));

    let store = database.open().await;
    let recovered = invocation::recover(&store, 3_000).await.unwrap();
    let mut checked = 0;
    for line in acknowledged {
        // the harness says things too, and the last line may be cut
        let Some((word @ ("recorded" | "finished"), id)) = line.split_once(' ') else { continue };
        if id.len() != 36 {
            continue;
        }
        let row = invocation::find(&store, id).await.unwrap().expect("an invocation that was acknowledged");
        let state = State::parse(&row.state).unwrap();
        assert!(state.is_terminal());
        assert!(word == "recorded" || state == State::Completed, "{word} but {state}");
        checked += 1;
    }
    assert!(checked > LINES / 2, "only {checked} acknowledgements");
    assert_eq!((recovered.cancelled, recovered.approvals), (0, 0));
    // one for each caller that was between the two at most
    assert!(recovered.unknown <= 32, "{recovered:?}");
}

#[tokio::test]
#[ignore = "runs in a process of its own, started by the test above"]
async fn a_process_that_records_until_it_is_killed() {
    let Ok(url) = std::env::var(URL) else { return };
    let journal = Journal::start(Store::open(&url).await.unwrap());
    join_all((0..32).map(|_| record_forever(journal.clone()))).await;
}

async fn record_forever(journal: Journal) {
    loop {
        let invocation = sample::invocation("dispatched");
        let id = invocation.id.clone();
        let _receipt = journal.record(Entry { invocation, approval: None }).await.unwrap();
        println!("recorded {id}");
        let outcome = Outcome {
            id: id.clone(),
            state: State::Completed,
            is_error: Some(false),
            error: None,
            result: Some("{}".to_owned()),
            finished_at: 2_000,
            upstream_us: None,
            overhead_us: None,
        };
        let _receipt = journal.finish(outcome).await.unwrap();
        println!("finished {id}");
    }
}
