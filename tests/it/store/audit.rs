//! The audit: what is done is told, in one transaction with it, and the chain has no gaps.

use atryum::journal::{Entry, Journal, Outcome, State, Transition};
use atryum::store::{Page, Store, agent, agent_key, approval, audit, invocation, login, rule, secret, server};
use atryum::trail::{GENESIS, Link};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    every_edit_is_told_with_who_did_it_and_what_it_changed,
    an_edit_that_fails_is_not_told,
    a_call_is_told_from_its_beginning_to_its_end,
    a_move_that_does_not_take_place_is_not_told,
    of_writers_at_once_each_finds_its_place_in_the_chain,
    a_chain_goes_on_where_the_last_process_left_it,
    an_event_can_not_be_altered_by_mistake,
    a_restart_tells_of_every_call_that_it_ends,
);

/// What was told, which is a chain; that somebody sat down, as on PostgreSQL, is left out.
async fn events(store: &Store) -> Vec<Link> {
    let mut told = audit::events_after(store, 1, 0, 100_000).await.unwrap();
    is_a_chain(&told);
    told.retain(|link| link.kind != "seat.taken");
    told
}

fn data(link: &Link) -> Value {
    serde_json::from_str(&link.data).unwrap()
}

fn is_a_chain(links: &[Link]) {
    let mut prev = GENESIS.to_owned();
    for (seq, link) in (1..).zip(links) {
        assert_eq!((link.seq, &link.prev, &link.hash), (seq, &prev, &link.computed_hash()));
        assert_eq!(data(link).to_string(), link.data, "not in the one form");
        prev.clone_from(&link.hash);
    }
}

fn key(digest: &str) -> agent_key::NewKey {
    agent_key::NewKey { prefix: "atr_x".to_owned(), digest: digest.to_owned(), expires_at: None }
}

async fn every_edit_is_told_with_who_did_it_and_what_it_changed(database: Database) {
    let store = database.open().await;
    let act = async {
        let secret = |sealed| secret::Change { field: "env:TOKEN".to_owned(), sealed };
        let canary = secret(Some(b"canary-in-a-secret".to_vec()));
        server::insert(&store, sample::server("calc"), vec![canary]).await.unwrap();
        let change = |row: &mut server::Row, _| {
            row.command = Some("/bin/other".to_owned());
            Ok::<_, atryum::store::StoreError>(server::Changes { secrets: vec![secret(None)], forgets_login: false })
        };
        server::update(&store, "calc", None, change).await.unwrap();
        let added = rule::insert(&store, sample::rule("one"), None).await.unwrap();
        rule::update(&store, &added.id, None, |row| {
            row.action = "deny".to_owned();
            Ok::<_, atryum::store::StoreError>(())
        })
        .await
        .unwrap();
        rule::reorder(&store, std::slice::from_ref(&added.id)).await.unwrap();
        rule::put_default_action(&store, "deny").await.unwrap();
        rule::delete(&store, &added.id).await.unwrap();
        let new = agent::NewAgent { name: "ada".to_owned(), servers: "[]".to_owned(), expires_at: None };
        let (ada, first) = agent::insert(&store, new, key("canary-digest-1")).await.unwrap();
        agent_key::insert(&store, &ada.id, key("canary-digest-2")).await.unwrap();
        agent_key::revoke(&store, &ada.id, &first.id, 5).await.unwrap();
        agent_key::revoke(&store, &ada.id, &first.id, 6).await.unwrap();
        agent::delete(&store, "ada").await.unwrap();
        server::delete(&store, "calc").await.unwrap();
    };
    audit::acting_as("operator:ann".to_owned(), act).await;
    let told = events(&store).await;
    let kinds: Vec<_> = told.iter().map(|link| link.kind.as_str()).collect();
    let expected = [
        "server.created",
        "server.updated",
        "rule.created",
        "rule.updated",
        "rule_set.reordered",
        "rule_set.default_changed",
        "rule.deleted",
        "agent.created",
        "agent_key.created",
        "agent_key.revoked",
        "agent.deleted",
        "server.deleted",
    ];
    assert_eq!(kinds, expected);
    assert!(told.iter().all(|link| link.actor == "operator:ann" && !link.data.contains("canary")), "{told:?}");
    assert_eq!(told[1].subject, "server:calc");
    assert_eq!(data(&told[0])["secrets"], json!({ "set": ["env:TOKEN"], "removed": [] }));
    let changed = json!({ "command": { "from": "/usr/bin/env", "to": "/bin/other" } });
    assert_eq!(data(&told[1])["changed"], changed);
    assert_eq!(data(&told[5]), json!({ "from": "ask", "to": "deny" }));
}

async fn an_edit_that_fails_is_not_told(database: Database) {
    let store = database.open().await;
    server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap();
    server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap_err();
    server::delete(&store, "other").await.unwrap_err();
    rule::reorder(&store, &["none".to_owned()]).await.unwrap_err();
    assert!(!login::delete(&store, "none").await.unwrap());
    rule::put_default_action(&store, "deny").await.unwrap();
    let told = events(&store).await;
    assert_eq!(
        told.iter().map(|link| link.kind.as_str()).collect::<Vec<_>>(),
        ["server.created", "rule_set.default_changed"]
    );
}

fn outcome(id: &str) -> Outcome {
    Outcome {
        id: id.to_owned(),
        state: State::Completed,
        is_error: Some(false),
        error: None,
        result: Some("{\"x\":1.5}".to_owned()),
        finished_at: 2_000,
        upstream_us: None,
        overhead_us: None,
    }
}

async fn a_call_is_told_from_its_beginning_to_its_end(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let (row, asked) = sample::question(i64::MAX);
    let (id, question) = (row.id.clone(), asked.id.clone());
    let entry = Entry { invocation: row.clone(), approval: Some(asked) };
    journal.record(entry).await.map(drop).unwrap();
    let answer = approval::Answer {
        edited_arguments: None,
        holds_until: i64::MAX,
        digest: format!("sha256:{id}"),
        status: "approved".to_owned(),
        reason: None,
        by: "ann".to_owned(),
        now: 5,
    };
    approval::decide(&store, &question, answer).await.unwrap();
    journal.advance(Transition::new(&id, State::Pending, State::Dispatched)).await.map(drop).unwrap();
    journal.finish(outcome(&id)).await.map(drop).unwrap();
    journal.close().await;
    let told = events(&store).await;
    let facts: Vec<_> = told.iter().map(|link| (link.kind.as_str(), link.actor.as_str())).collect();
    let expected = [
        ("call.pending", "agent:ada"),
        ("approval.approved", "operator:ann"),
        ("call.dispatched", "gateway"),
        ("call.completed", "gateway"),
    ];
    assert_eq!(facts, expected);
    assert_eq!(data(&told[0])["approval_id"], question);
    assert_eq!(data(&told[0])["approval_digest"], format!("sha256:{id}"));
    assert_eq!(data(&told[3])["result_digest"], atryum::trail::digest("{\"x\":1.5}"));
    assert_eq!(told[3].subject, format!("invocation:{id}"));
}

async fn a_move_that_does_not_take_place_is_not_told(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let row = sample::invocation("dispatched");
    let id = row.id.clone();
    journal.record(Entry { invocation: row, approval: None }).await.map(drop).unwrap();
    let ends = join_all((0..20).map(|_| journal.finish(outcome(&id)))).await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
    let told = events(&store).await;
    assert_eq!(told.len(), 2, "{told:?}");
}

async fn of_writers_at_once_each_finds_its_place_in_the_chain(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let callers = join_all((0..16).map(async |_| {
        for _ in 0..20 {
            let row = sample::invocation("dispatched");
            let id = row.id.clone();
            journal.record(Entry { invocation: row, approval: None }).await.map(drop).unwrap();
            journal.finish(outcome(&id)).await.map(drop).unwrap();
        }
    }));
    let editors = join_all((0..4).map(async |_| {
        for _ in 0..20 {
            rule::put_default_action(&store, "deny").await.unwrap();
        }
    }));
    let rude = async {
        for _ in 0..20 {
            // given up on the way: neither the edit nor its event is there, or both are
            let _ =
                tokio::time::timeout(std::time::Duration::from_micros(300), rule::put_default_action(&store, "ask"))
                    .await;
        }
    };
    tokio::join!(callers, editors, rude);
    journal.close().await;
    let told = events(&store).await;
    let calls = told.iter().filter(|link| link.kind.starts_with("call.")).count();
    let edits = told.iter().filter(|link| link.kind == "rule_set.default_changed").count();
    assert_eq!(calls, 2 * 16 * 20);
    let revision = rule::load_rule_set(&store).await.unwrap().revision;
    assert_eq!(i64::try_from(edits).unwrap() + 1, revision, "one event for each edit of the rule set");
}

async fn a_chain_goes_on_where_the_last_process_left_it(database: Database) {
    for round in 1..=3 {
        let store = database.open().await;
        rule::put_default_action(&store, "deny").await.unwrap();
        let told = events(&store).await;
        assert_eq!(told.len(), round);
        store.close().await.unwrap();
    }
}

async fn an_event_can_not_be_altered_by_mistake(database: Database) {
    let store = database.open().await;
    rule::put_default_action(&store, "deny").await.unwrap();
    let insert = "INSERT INTO audit_checkpoint (chain, seq, hash, at, previous, bytes, key, signature) VALUES \
                  (1, 1, '', 0, 0, 0, '', '')";
    database.run(insert).await;
    for update in ["UPDATE audit_event SET actor = 'nobody'", "UPDATE audit_checkpoint SET at = 5"] {
        use sea_orm::ConnectionTrait as _;
        let connection = sea_orm::Database::connect(database.url()).await.unwrap();
        let altered = connection.execute_unprepared(update).await;
        connection.close().await.unwrap();
        assert!(altered.unwrap_err().to_string().contains("never altered"), "{update}");
    }
    assert_eq!(events(&store).await[0].actor, "gateway");
}

async fn a_restart_tells_of_every_call_that_it_ends(database: Database) {
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let (pending, asked) = sample::question(i64::MAX);
    let dispatched = sample::invocation("dispatched");
    for (invocation, approval) in [(pending.clone(), Some(asked.clone())), (dispatched.clone(), None)] {
        journal.record(Entry { invocation, approval }).await.map(drop).unwrap();
    }
    let ended = sample::invocation("denied");
    journal.record(Entry { invocation: ended, approval: None }).await.map(drop).unwrap();
    journal.close().await;
    invocation::recover(&store, 9).await.unwrap();
    let told = events(&store).await;
    let facts: Vec<_> = told[3..].iter().map(|link| (link.kind.clone(), link.subject.clone())).collect();
    let expected = [
        ("call.unknown".to_owned(), format!("invocation:{}", dispatched.id)),
        ("call.cancelled".to_owned(), format!("invocation:{}", pending.id)),
    ];
    assert_eq!(facts, expected);
    let filter = audit::Filter { kind: Some("call.".to_owned()), ..audit::Filter::default() };
    let listed = audit::list(&store, &filter, &Page::new(Some(3), None)).await.unwrap();
    assert_eq!(listed.items.len(), 3);
    let rest = audit::list(&store, &filter, &Page::new(Some(3), listed.next_cursor)).await.unwrap();
    let seqs: Vec<_> = listed.items.iter().chain(&rest.items).map(|link| link.seq).collect();
    assert_eq!(seqs, told.iter().rev().map(|link| link.seq).collect::<Vec<_>>());
}
