//! Yes, no, the deadline and a withdrawal at the same moment, and two calls that want the same yes: one of each wins. On
//! PostgreSQL they come from two gateways.

use atryum::journal::{Entry, Journal, JournalError, State, Transition};
use atryum::store::{Store, approval, invocation};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(each_question_has_one_end_whoever_comes_first, a_yes_lets_one_call_go);

/// How many in the suite; `ATRYUM_TEST_RACES=10000` for the whole.
const RACES: usize = 300;
/// How many run beside each other.
const ABREAST: usize = 20;
const NOW: i64 = 5_000;

fn count() -> usize {
    std::env::var("ATRYUM_TEST_RACES").map_or(RACES, |count| count.parse().expect("a number"))
}

fn answer(asked: &approval::Row, status: &str) -> approval::Answer {
    approval::Answer {
        digest: asked.digest.clone(),
        status: status.to_owned(),
        reason: None,
        edited_arguments: None,
        by: "ann".to_owned(),
        now: NOW,
        holds_until: NOW + 600,
    }
}

async fn ask(journal: &Journal, expires_at: i64) -> (invocation::Row, approval::Row) {
    let (invocation, asked) = sample::question(expires_at);
    let entry = Entry { invocation: invocation.clone(), approval: Some(asked.clone()) };
    journal.record(entry).await.map(drop).unwrap();
    (invocation, asked)
}

/// Two gateways, or one twice where there can be no other.
async fn gateways(database: &Database) -> [(Store, Journal); 2] {
    let one = database.open().await;
    let other = if database.url().starts_with("postgres") { database.open().await } else { one.clone() };
    [one, other].map(|store| (store.clone(), Journal::start(store)))
}

async fn race(gateways: &[(Store, Journal); 2], number: usize) {
    let (_, asked) = ask(&gateways[number % 2].1, NOW + 1).await;
    let asked = &asked;
    // The deadline passes for one of them while the others are still in time.
    let acts = (0..4).map(|turn| {
        let store = gateways[(turn + number / 4) % 2].0.clone();
        async move {
            match (turn + number) % 4 {
                0 => approval::decide(&store, &asked.id, answer(asked, "approved")).await,
                1 => approval::decide(&store, &asked.id, answer(asked, "denied")).await,
                2 => approval::expire(&store, &asked.id, NOW + 1).await,
                _ => approval::cancel(&store, &asked.id, NOW).await,
            }
        }
    });
    let won: Vec<_> = join_all(acts).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    for (store, _) in gateways {
        assert_eq!(approval::find(store, &asked.id).await.unwrap().as_ref(), won.first());
    }
}

async fn each_question_has_one_end_whoever_comes_first(database: Database) {
    let gateways = gateways(&database).await;
    for round in 0..count().div_ceil(ABREAST) {
        join_all((0..ABREAST).map(|n| race(&gateways, round * ABREAST + n))).await;
    }
}

async fn a_yes_lets_one_call_go(database: Database) {
    let [(store, journal), (_, other)] = &gateways(&database).await;
    for _ in 0..count().div_ceil(ABREAST) {
        let (first, asked) = ask(journal, NOW + 1).await;
        let mut calls = vec![first];
        for place in 1..ABREAST {
            let journal = [journal, other][place % 2];
            let row = invocation::Row { approval_id: Some(asked.id.clone()), ..sample::invocation("pending") };
            journal.record(Entry { invocation: row.clone(), approval: None }).await.map(drop).unwrap();
            calls.push(row);
        }
        let go = |id: &str| Transition {
            spends: Some(asked.id.clone()),
            dispatched_at: Some(NOW + 1),
            ..Transition::new(id, State::Pending, State::Dispatched)
        };
        let early = journal.advance(go(&calls[0].id)).await.unwrap_err();
        assert!(matches!(early, JournalError::Spent), "nobody said yes: {early}");
        approval::decide(store, &asked.id, answer(&asked, "approved")).await.unwrap();
        let journals = [journal, other].into_iter().cycle();
        let told = join_all(calls.iter().zip(journals).map(|(call, journal)| journal.advance(go(&call.id)))).await;
        let winner = told.iter().position(Result::is_ok).expect("one goes");
        assert_eq!(told[winner].as_ref().unwrap().spent(), Some(asked.id.as_str()));
        for (place, other) in told.iter().enumerate().filter(|(place, _)| *place != winner) {
            assert!(matches!(other, Err(JournalError::Spent)), "{place}: {other:?}");
        }
        let row = approval::find(store, &asked.id).await.unwrap().unwrap();
        assert_eq!((row.used_at, row.used_by.as_ref()), (Some(NOW + 1), Some(&calls[winner].id)));
        for (place, call) in calls.iter().enumerate() {
            let state = invocation::find(store, &call.id).await.unwrap().unwrap().state;
            assert_eq!(state == "dispatched", place == winner);
        }
    }
    // One that holds no longer lets nothing go.
    let (call, asked) = ask(journal, NOW + 1).await;
    approval::decide(store, &asked.id, answer(&asked, "approved")).await.unwrap();
    let late = Transition {
        spends: Some(asked.id.clone()),
        dispatched_at: Some(NOW + 600),
        ..Transition::new(&call.id, State::Pending, State::Dispatched)
    };
    assert!(matches!(journal.advance(late).await, Err(JournalError::Spent)));
}
