//! Several gateways on one PostgreSQL database: who sits where, and what becomes of what a gateway leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use atryum::journal::{Entry, Journal, Outcome, State};
use atryum::store::{Durability, Store, StoreError, audit, credential, invocation, setting};
use atryum::trail::{Event, Head, Link};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use serde_json::json;

use super::sample;
use crate::support::database::Database;
use crate::support::eventually;

async fn call(journal: &Journal) -> invocation::Row {
    let row = sample::invocation("dispatched");
    journal.record(Entry { invocation: row.clone(), approval: None }).await.map(drop).unwrap();
    row
}

async fn state(store: &Store, row: &invocation::Row) -> String {
    invocation::find(store, &row.id).await.unwrap().unwrap().state
}

fn outcome(id: &str) -> Outcome {
    Outcome {
        id: id.to_owned(),
        state: State::Completed,
        is_error: None,
        error: None,
        result: None,
        finished_at: 2_000,
        upstream_us: None,
        overhead_us: None,
    }
}

async fn kinds(store: &Store, chain: i64) -> Vec<String> {
    let links = audit::events_after(store, chain, 0, 1_000).await.unwrap();
    links.into_iter().map(|link| link.kind).collect()
}

/// Takes the lock of a seat away from whoever has it, as it falls when a connection is lost.
async fn take_away(database: &Database, seat: i64) -> DatabaseConnection {
    let thief = sea_orm::Database::connect(database.url()).await.unwrap();
    let (waiting, sql) = (thief.clone(), format!("SELECT pg_advisory_lock(1635021433, {seat})"));
    let taken = actix_rt::spawn(async move { waiting.execute_unprepared(&sql).await });
    let locks = format!("pg_locks WHERE locktype = 'advisory' AND classid = 1635021433 AND objid = {seat}");
    let holder = format!("SELECT pg_terminate_backend(pid) FROM {locks} AND granted");
    // not before somebody waits for it: then the server gives it to them at once
    let waits = format!("DO $$ BEGIN WHILE NOT EXISTS (SELECT 1 FROM {locks} AND NOT granted) LOOP END LOOP; END $$");
    database.run(&waits).await;
    database.run(&holder).await;
    taken.await.unwrap().unwrap();
    thief
}

#[actix_rt::test]
async fn each_gateway_has_the_lowest_free_seat_and_a_chain_of_its_own() {
    let database = Database::postgres().await;
    let (first, second, third) = (database.open().await, database.open().await, database.open().await);
    assert_eq!([&first, &second, &third].map(Store::seat), [1, 2, 3]);
    second.clone().close().await.unwrap();
    let next = database.open().await;
    assert_eq!(next.seat(), 2);
    for store in [&first, &next, &third] {
        audit::tell(store, [Event::new("told", "test", &json!({}))]).await.unwrap();
    }
    assert_eq!(kinds(&first, 1).await, ["seat.taken", "told"]);
    assert_eq!(kinds(&first, 2).await, ["seat.taken", "seat.taken", "told"]);
    assert_eq!(kinds(&first, 3).await, ["seat.taken", "told"]);
    assert!(setting::put(&second, "a", "1").await.is_err(), "it has left");
}

#[actix_rt::test]
async fn gateways_that_start_at_once_on_an_empty_database_all_come_up() {
    let database = Database::postgres().await;
    let stores = join_all((0..5).map(|_| database.open())).await;
    let seats: BTreeSet<_> = stores.iter().map(Store::seat).collect();
    assert_eq!(seats, (1..=5).collect());
    for store in &stores {
        setting::put(store, &format!("of {}", store.seat()), "1").await.unwrap();
    }
}

#[actix_rt::test]
async fn whoever_takes_a_seat_ends_what_was_left_there_and_nothing_else() {
    let database = Database::postgres().await;
    let (first, second) = (database.open().await, database.open().await);
    let (of_first, of_second) =
        (call(&Journal::start(first.clone())).await, call(&Journal::start(second.clone())).await);
    let leased = credential_of(&first, "leased by the first").await;
    let kept = credential_of(&second, "leased by the second").await;
    first.close().await.unwrap();
    let next = database.open().await;
    assert_eq!(next.seat(), 1);
    let recovered = invocation::recover(&next, 3_000).await.unwrap();
    assert_eq!((recovered.unknown, recovered.cancelled), (1, 0));
    assert_eq!(credential::end_leases(&next).await.unwrap(), 1);
    assert_eq!(
        (state(&next, &of_first).await, state(&next, &of_second).await),
        ("unknown".into(), "dispatched".into())
    );
    let until = async |id: &str| credential::find(&next, id).await.unwrap().unwrap().refreshing_until;
    assert_eq!((until(&leased).await, until(&kept).await), (None, Some(sample::NOW + 30)));
}

async fn credential_of(store: &Store, name: &str) -> String {
    let server = sample::server(name);
    let id = server.id.clone();
    atryum::store::server::insert(store, server, Vec::new()).await.unwrap();
    let row = credential::put(store, sample::credential(&id), 1).await.unwrap().unwrap();
    credential::lease(store, &id, row.revision, (sample::NOW, sample::NOW + 30)).await.unwrap().unwrap();
    id
}

#[actix_rt::test]
async fn the_calls_of_a_gateway_that_does_not_come_back_are_ended_by_another() {
    let database = Database::postgres().await;
    let (gone, stays) = (database.open().await, database.open().await);
    let (left, goes_on) = (call(&Journal::start(gone.clone())).await, call(&Journal::start(stays.clone())).await);
    gone.close().await.unwrap();
    eventually("what it left is ended", async || (state(&stays, &left).await == "unknown").then_some(())).await;
    assert_eq!(state(&stays, &goes_on).await, "dispatched");
    let chain = kinds(&stays, 1).await;
    assert_eq!(chain, ["seat.taken", "call.dispatched", "seat.cleared", "call.unknown"]);
    tokio::time::sleep(2 * atryum::store::seat::ABSENT_FOR / 5).await;
    assert_eq!(kinds(&stays, 1).await, chain, "once");
}

#[actix_rt::test]
async fn a_gateway_whose_connection_was_cut_sits_down_again_and_its_calls_go_on() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let open = call(&journal).await;
    database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atryum seat'").await;
    eventually("it sits again", async || (is_held(&database, 1).await && store.ping().await.is_ok()).then_some(()))
        .await;
    assert_eq!(store.seat(), 1);
    journal.finish(outcome(&open.id)).await.map(drop).unwrap();
    assert_eq!(state(&store, &open).await, "completed");
    assert_eq!(kinds(&store, 1).await, ["seat.taken", "call.dispatched", "call.completed"], "nobody else was there");
}

async fn is_held(database: &Database, seat: i64) -> bool {
    let connection = sea_orm::Database::connect(database.url()).await.unwrap();
    let held =
        format!("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1635021433 AND objid = {seat}");
    let held = Statement::from_string(DbBackend::Postgres, held);
    let row = connection.query_one_raw(held).await.unwrap();
    connection.close().await.unwrap();
    row.is_some()
}

#[actix_rt::test]
async fn a_gateway_whose_seat_is_taken_sits_elsewhere_and_takes_calls_there() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let open = call(&journal).await;
    let thief = take_away(&database, 1).await;
    eventually("it sits elsewhere", async || (store.seat() == 2 && store.ping().await.is_ok()).then_some(())).await;
    let new = call(&journal).await;
    assert_eq!(invocation::find(&store, &new.id).await.unwrap().unwrap().seat, 2);
    assert_eq!(kinds(&store, 2).await, ["seat.taken", "call.dispatched"]);
    // its own call is at the old seat, and is its own for as long as nobody has ended it
    journal.finish(outcome(&open.id)).await.map(drop).unwrap();
    assert_eq!(state(&store, &open).await, "completed");
    thief.close().await.unwrap();
}

#[actix_rt::test]
async fn what_a_gateway_writes_after_its_seat_was_taken_is_refused_though_it_has_not_noticed() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let open = call(&journal).await;
    let thief = take_away(&database, 1).await;
    // what whoever sits down does
    let last = audit::events_after(&store, 1, 0, 100).await.unwrap().pop().unwrap();
    let mut head = Head { chain: 1, seq: last.seq, at: last.at, hash: last.hash };
    let Link { seq, at, kind, actor, subject, data, prev, hash, .. } =
        head.append(Event::new("seat.taken", "seat:1", &json!({})), "gateway", 5);
    let append = format!(
        "INSERT INTO audit_event VALUES (1, {seq}, {at}, '{kind}', '{actor}', '{subject}', '{data}', '{prev}', '{hash}')"
    );
    thief.execute_unprepared(&append).await.unwrap();
    let late = sample::invocation("dispatched");
    let refused = journal.record(Entry { invocation: late.clone(), approval: None }).await.map(drop).unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert!(audit::tell(&store, [Event::new("late", "test", &json!({}))]).await.is_err());
    assert_eq!(invocation::find(&store, &late.id).await.unwrap(), None);
    thief.close().await.unwrap();
    let again = async || audit::tell(&store, [Event::new("again", "test", &json!({}))]).await.ok();
    eventually("it sits again", again).await;
    eventually("its call is ended, by itself or at its next look", async || {
        (state(&store, &open).await == "unknown").then_some(())
    })
    .await;
    assert!(!kinds(&store, 1).await.contains(&"late".to_owned()));
    eventually("calls are taken again", async || {
        let row = sample::invocation("dispatched");
        journal.record(Entry { invocation: row, approval: None }).await.ok().map(drop)
    })
    .await;
}

#[actix_rt::test]
async fn whoever_must_be_alone_is_refused_beside_a_gateway_and_keeps_gateways_out() {
    let database = Database::postgres().await;
    let alone = async || Store::open_alone(database.url(), Durability::Process).await;
    let gateway = database.open().await;
    let refused = alone().await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    assert!(refused.to_string().starts_with("another atryum is using this database ("), "{refused}");
    gateway.close().await.unwrap();
    let store = alone().await.unwrap();
    let refused = database.try_open().await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    store.close().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), database.open()).await.unwrap();
}
