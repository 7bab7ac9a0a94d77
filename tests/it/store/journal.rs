//! The journal: what is acknowledged is committed, and what has happened is not lost.

use std::time::Duration;

use atryum::journal::{Entry, Journal, JournalError, Outcome, RESULT_BYTES_MAX, State, Transition};
use atryum::store::{Page, Store, approval, invocation};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    every_field_comes_back_as_it_was_recorded,
    of_64_callers_at_once_every_call_is_recorded_and_ended_right,
    one_row_that_is_refused_does_not_sink_the_others,
    of_two_moves_from_the_same_state_one_wins,
    an_illegal_move_does_not_reach_the_database,
    a_name_with_nul_does_not_cost_the_record,
    a_restart_ends_what_was_open,
    the_list_is_filtered_and_paged_newest_first,
    old_ended_calls_can_be_removed,
    closing_writes_what_is_queued,
);

fn entry(invocation: invocation::Row) -> Entry {
    Entry { invocation, approval: None }
}

fn outcome(id: &str, state: State) -> Outcome {
    Outcome {
        id: id.to_owned(),
        state,
        is_error: Some(false),
        error: None,
        result: Some(format!("{{\"of\":\"{id}\"}}")),
        finished_at: 2_000,
        upstream_us: Some(300),
        overhead_us: Some(40),
    }
}

async fn find(store: &Store, id: &str) -> invocation::Row {
    invocation::find(store, id).await.unwrap().expect("a recorded invocation")
}

async fn every_field_comes_back_as_it_was_recorded(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let mut full = sample::invocation("refused");
    full.client_version = Some("1.0".to_owned());
    full.session = Some("a session".to_owned());
    full.rule_id = Some("a rule".to_owned());
    full.approval_id = Some("an approval".to_owned());
    full.is_error = Some(true);
    full.error = Some("too many\nat once 'x' \"y\" \\ 😀".to_owned());
    full.result = Some("[1.0, 1e400, 12345678901234567890]".to_owned());
    full.result_bytes = Some(34);
    full.received_at = i64::MAX;
    full.dispatched_at = Some(3);
    full.finished_at = Some(4);
    full.upstream_us = Some(5);
    full.overhead_us = Some(6);
    let bare = sample::invocation("received");
    for row in [&full, &bare] {
        let receipt = journal.record(entry(row.clone())).await.unwrap();
        assert_eq!((receipt.invocation_id(), receipt.state().as_str()), (row.id.as_str(), row.state.as_str()));
        assert_eq!(&find(&store, &row.id).await, row);
    }
    let (invocation, approval) = sample::question(9_000);
    let _receipt = journal.record(Entry { invocation, approval: Some(approval.clone()) }).await.unwrap();
    assert_eq!(approval::find(&store, &approval.id).await.unwrap(), Some(approval.clone()));
    let mut approved = Transition::new(&approval.invocation_id, State::Pending, State::Dispatched);
    approved.arguments = Some(("{\"a\":2}".to_owned(), "sha256:02".to_owned()));
    approved.decided_by = Some("person".to_owned());
    approved.decided_at = Some(1_500);
    approved.dispatched_at = Some(1_501);
    let _receipt = journal.advance(approved).await.unwrap();
    let mut ended = outcome(&approval.invocation_id, State::Failed);
    ended.error = Some("reset".to_owned());
    journal.finish(ended).await.map(drop).unwrap();
    let row = find(&store, &approval.invocation_id).await;
    let texts = [&row.arguments, &row.decided_by, &row.error, &row.tool].map(|text| text.as_deref().unwrap());
    assert_eq!(texts, ["{\"a\":2}", "person", "reset", "add"]);
    let times =
        [row.decided_at, row.dispatched_at, row.finished_at, row.upstream_us, row.overhead_us, Some(row.received_at)];
    assert_eq!(times.map(Option::unwrap), [1_500, 1_501, 2_000, 300, 40, 1_000]);
    assert_eq!((row.state.as_str(), row.is_error, row.arguments_digest.as_str()), ("failed", Some(false), "sha256:02"));
}

async fn of_64_callers_at_once_every_call_is_recorded_and_ended_right(database: Database) {
    const CALLS: usize = 40;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let states = [State::Completed, State::Failed, State::Unknown, State::Cancelled];
    let callers = (0..64).map(|caller| {
        let (journal, store) = (journal.clone(), store.clone());
        tokio::spawn(async move {
            let mut ended = Vec::new();
            for call in 0..CALLS {
                let mut row = sample::invocation("dispatched");
                row.agent = format!("agent {caller}");
                let receipt = journal.record(entry(row.clone())).await.unwrap();
                // the receipt says that it is committed: others can read it
                assert_eq!(find(&store, receipt.invocation_id()).await, row);
                let state = states[(caller + call) % states.len()];
                let mut outcome = outcome(&row.id, state);
                if call == 7 {
                    outcome.result = Some("é".repeat(RESULT_BYTES_MAX));
                }
                let writing = journal.finish(outcome);
                if call % 3 == 0 {
                    assert_eq!(writing.await.unwrap().state(), state);
                }
                ended.push((row.id, state, call));
            }
            ended
        })
    });
    let ended: Vec<_> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    journal.close().await;
    assert_eq!(ended.len(), 64 * CALLS);
    for (id, state, call) in ended {
        let row = find(&store, &id).await;
        assert_eq!(row.state, state.as_str());
        assert_eq!((row.finished_at, row.upstream_us, row.overhead_us), (Some(2_000), Some(300), Some(40)));
        let bytes = if call == 7 { 2 * RESULT_BYTES_MAX } else { row.result.as_ref().unwrap().len() };
        assert_eq!(row.result_bytes, Some(i64::try_from(bytes).unwrap()));
        if call == 7 {
            assert_eq!(row.result.unwrap(), "é".repeat(RESULT_BYTES_MAX / 2));
        } else {
            assert_eq!(row.result.unwrap(), format!("{{\"of\":\"{id}\"}}"));
        }
    }
}

async fn one_row_that_is_refused_does_not_sink_the_others(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let taken = sample::invocation("dispatched");
    let _receipt = journal.record(entry(taken.clone())).await.unwrap();
    let rows: Vec<_> = (0..50).map(|_| sample::invocation("dispatched")).collect();
    let mut all = rows.clone();
    all.insert(25, taken);
    let recorded = join_all(all.into_iter().map(|row| journal.record(entry(row)))).await;
    let refused: Vec<_> = recorded.iter().enumerate().filter(|(_, receipt)| receipt.is_err()).collect();
    assert!(matches!(refused.as_slice(), [(25, Err(error))] if error.kind() == "conflict"), "{refused:?}");
    for row in rows {
        assert_eq!(find(&store, &row.id).await, row);
    }
}

async fn of_two_moves_from_the_same_state_one_wins(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let (invocation, approval) = sample::question(9_000);
    let id = invocation.id.clone();
    let _receipt = journal.record(Entry { invocation, approval: Some(approval) }).await.unwrap();
    let moves = (0..100).map(|index| {
        let to = if index % 2 == 0 { State::Dispatched } else { State::Cancelled };
        journal.advance(Transition::new(&id, State::Pending, to))
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(moves).await.into_iter().partition(Result::is_ok);
    let winner = won.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(winner.len(), 1);
    let state = winner[0].state();
    assert_eq!(find(&store, &id).await.state, state.as_str());
    for error in lost {
        let error = error.unwrap_err();
        let is_explained =
            matches!(error, JournalError::Elsewhere { expected: State::Pending, found } if found == Some(state));
        assert!(is_explained, "{error}");
    }
    let gone = journal.advance(Transition::new("no id", State::Pending, State::Denied)).await.unwrap_err();
    assert_eq!(gone.to_string(), "the invocation is not recorded and not pending");
}

async fn an_illegal_move_does_not_reach_the_database(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let row = sample::invocation("denied");
    let _receipt = journal.record(entry(row.clone())).await.unwrap();
    let backwards = journal.advance(Transition::new(&row.id, State::Denied, State::Dispatched)).await;
    assert!(matches!(backwards, Err(JournalError::IllegalMove { .. })));
    let outcome = journal.finish(outcome(&row.id, State::Completed)).await;
    assert!(matches!(outcome, Err(JournalError::Elsewhere { found: Some(State::Denied), .. })));
    for state in ["completed", "expired", "unknown", "pending", "nonsense"] {
        let refused = journal.record(entry(sample::invocation(state))).await;
        assert!(matches!(refused, Err(JournalError::BadEntry { .. })), "{state}");
    }
    assert_eq!(find(&store, &row.id).await, row);
}

async fn a_name_with_nul_does_not_cost_the_record(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let mut row = sample::invocation("dispatched");
    row.tool = Some("a\0b".to_owned());
    let _receipt = journal.record(entry(row.clone())).await.unwrap();
    let mut ended = outcome(&row.id, State::Failed);
    ended.error = Some("\0".to_owned());
    journal.finish(ended).await.map(drop).unwrap();
    let row = find(&store, &row.id).await;
    assert_eq!((row.tool.as_deref(), row.error.as_deref()), (Some("a\u{fffd}b"), Some("\u{fffd}")));
}

async fn a_restart_ends_what_was_open(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let (waiting, question) = sample::question(9_000);
    let (ended, open) =
        (sample::invocation("denied"), [sample::invocation("dispatched"), sample::invocation("received")]);
    let _receipt =
        journal.record(Entry { invocation: waiting.clone(), approval: Some(question.clone()) }).await.unwrap();
    for row in open.iter().chain([&ended]) {
        let _receipt = journal.record(entry(row.clone())).await.unwrap();
    }
    let recovered = invocation::recover(&store, 3_000).await.unwrap();
    assert_eq!((recovered.unknown, recovered.cancelled, recovered.approvals), (1, 2, 1));
    let in_flight = find(&store, &open[0].id).await;
    assert_eq!((in_flight.state.as_str(), in_flight.finished_at), ("unknown", Some(3_000)));
    assert_eq!(in_flight.error.as_deref(), Some("the gateway stopped while the call was in flight"));
    for undecided in [&open[1].id, &waiting.id] {
        let row = find(&store, undecided).await;
        assert_eq!((row.state.as_str(), row.finished_at), ("cancelled", Some(3_000)));
    }
    let stays = approval::find(&store, &question.id).await.unwrap().unwrap();
    assert_eq!((stays.status.as_str(), stays.left_at), ("pending", Some(3_000)), "a person can still answer");
    assert_eq!(find(&store, &ended.id).await, ended);
    let again = invocation::recover(&store, 4_000).await.unwrap();
    assert_eq!((again.unknown, again.cancelled, again.approvals), (0, 0, 1));
    assert_eq!(approval::find(&store, &question.id).await.unwrap(), Some(stays));
}

async fn the_list_is_filtered_and_paged_newest_first(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let mut rows = Vec::new();
    for index in 0..10 {
        let mut row = sample::invocation(if index % 2 == 0 { "dispatched" } else { "denied" });
        // pairs arrive in the same millisecond
        row.received_at = 1_000 + index / 2;
        row.agent = format!("agent {}", index % 3);
        row.arguments = Some(format!("{{\"Number\":{index},\"rate\":\"{index}%\"}}"));
        let _receipt = journal.record(entry(row.clone())).await.unwrap();
        rows.insert(0, row);
    }
    let list = async |filter: invocation::Filter, page: Page| invocation::list(&store, &filter, &page).await.unwrap();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(invocation::Filter::default(), Page::new(Some(3), cursor)).await;
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, rows);
    let count = async |filter: invocation::Filter| list(filter, Page::default()).await.items.len();
    let default = invocation::Filter::default;
    assert_eq!(count(invocation::Filter { agent: Some("agent 0".to_owned()), ..default() }).await, 4);
    assert_eq!(count(invocation::Filter { state: Some("denied".to_owned()), ..default() }).await, 5);
    assert_eq!(count(invocation::Filter { decision: Some("deny".to_owned()), ..default() }).await, 0);
    assert_eq!(count(invocation::Filter { since: Some(1_001), until: Some(1_003), ..default() }).await, 4);
    assert_eq!(count(invocation::Filter { q: Some("number\":7".to_owned()), ..default() }).await, 1);
    assert_eq!(count(invocation::Filter { q: Some("7%".to_owned()), ..default() }).await, 1);
    assert_eq!(
        count(invocation::Filter { q: Some("ADD".to_owned()), tool: Some("add".to_owned()), ..default() }).await,
        10
    );
}

async fn old_ended_calls_can_be_removed(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    for (index, state) in [(0, "denied"), (1, "dispatched"), (2, "denied"), (3, "denied"), (4, "denied")] {
        let mut row = sample::invocation(state);
        row.received_at = index;
        let _receipt = journal.record(entry(row)).await.unwrap();
    }
    assert_eq!(invocation::delete_older(&store, 4, 2).await.unwrap(), 2);
    let listed = invocation::list(&store, &invocation::Filter::default(), &Page::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|row| row.received_at).collect::<Vec<_>>(), [4, 3, 1]);
    assert_eq!(invocation::delete_older(&store, 4, 2).await.unwrap(), 1);
}

async fn closing_writes_what_is_queued(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let rows: Vec<_> = (0..300).map(|_| sample::invocation("dispatched")).collect();
    join_all(rows.iter().map(|row| journal.record(entry(row.clone())))).await;
    for row in &rows {
        // not awaited
        journal.finish(outcome(&row.id, State::Completed));
    }
    journal.close().await;
    for row in &rows {
        assert_eq!(find(&store, &row.id).await.state, "completed");
    }
    let late = journal.record(entry(sample::invocation("dispatched"))).await;
    assert!(matches!(late, Err(JournalError::Closed)));
    let late = journal.finish(outcome(&rows[0].id, State::Completed)).await;
    assert!(matches!(late, Err(JournalError::Closed)));
    assert_eq!(journal.load().kept, 0);
}

/// While the database is away a call is refused, and the end of one is kept until it is back.
async fn an_outage_refuses_calls_and_keeps_outcomes(
    store: &Store,
    take_away: impl AsyncFnOnce(),
    give_back: impl AsyncFnOnce(),
) {
    let journal = Journal::start(store.clone());
    let row = sample::invocation("dispatched");
    let _receipt = journal.record(entry(row.clone())).await.unwrap();
    take_away().await;
    let writing = journal.finish(outcome(&row.id, State::Completed));
    let refused = sample::invocation("dispatched");
    let error = journal.record(entry(refused.clone())).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let started = std::time::Instant::now();
    let error = journal.record(entry(sample::invocation("dispatched"))).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(started.elapsed() < Duration::from_millis(500), "a call waits {:?} for a refusal", started.elapsed());
    assert!(journal.load().kept >= 1 && journal.load().is_away);
    let told = writing.await.unwrap_err();
    assert!(matches!(told, JournalError::Kept), "{told}");
    give_back().await;
    while journal.load().kept > 0 || journal.load().is_away {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(find(store, &row.id).await.state, "completed");
    let again = sample::invocation("dispatched");
    let _receipt = journal.record(entry(again.clone())).await.unwrap();
    // what was refused is not open: it is either not there or was taken back
    let taken_back = invocation::find(store, &refused.id).await.unwrap();
    assert!(taken_back.is_none_or(|row| row.state == "cancelled"));
    assert_eq!((journal.load().kept, journal.load().dropped, journal.load().is_away), (0, 0, false));
}

#[tokio::test]
async fn while_another_holds_the_file_calls_are_refused_and_outcomes_kept() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let holder = sea_orm::Database::connect(database.url()).await.unwrap();
    let run = async |sql: &str| {
        holder.execute_unprepared(sql).await.unwrap();
    };
    let take_away = async || run("BEGIN EXCLUSIVE").await;
    an_outage_refuses_calls_and_keeps_outcomes(&store, take_away, async || run("ROLLBACK").await).await;
}

#[tokio::test]
async fn while_the_server_takes_no_connections_calls_are_refused_and_outcomes_kept() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let (server, name) = database.url().rsplit_once('/').unwrap();
    let name = name.split_once('?').unwrap().0;
    let admin = sea_orm::Database::connect(format!("{server}/postgres?sslmode=disable")).await.unwrap();
    let run = async |sql: String| {
        admin.execute_unprepared(&sql).await.unwrap();
    };
    let take_away = async || {
        run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    };
    let give_back = async || run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    an_outage_refuses_calls_and_keeps_outcomes(&store, take_away, give_back).await;
}
