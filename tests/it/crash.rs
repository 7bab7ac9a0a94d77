//! `kill -9` while calls are in flight: the row of each is there and ends, none runs twice, and no process is left.

mod asked;
mod pledged;

use std::collections::{BTreeMap, BTreeSet};

use atryum::audit::Line;
use atryum::trail::Verifier;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::Session;
use crate::support::postgres::create_database;
use crate::upstream::{descendants, runs};

const ROUNDS: usize = 10;
const CALLERS: usize = 8;

const TERMINAL: [&str; 7] = ["denied", "expired", "cancelled", "completed", "failed", "unknown", "refused"];

/// What a caller was told: the nonces of the calls that were answered.
type Answered = BTreeSet<String>;

/// Calls until the gateway is gone. Whatever is answered before counts.
async fn call_until_it_ends(session: Session, round: usize, caller: usize) -> Answered {
    let mut answered = Answered::new();
    for n in 0.. {
        let nonce = format!("{round}-{caller}-{n}");
        let params = json!({"name": "echo", "arguments": {"text": "x", "nonce": nonce}});
        let message = json!({"jsonrpc": "2.0", "id": n + 1, "method": "tools/call", "params": params}).to_string();
        match session.client.clone().header("content-type", "application/json").try_post("/mcp/n", message).await {
            Some(answer) if answer.reply()["result"].is_object() => answered.insert(nonce),
            Some(answer) => panic!("{answer:?}"),
            None => break,
        };
    }
    answered
}

#[actix_rt::test]
async fn ten_kills_lose_no_row_and_run_no_call_twice() {
    ten_kills(App::start().await).await;
}

#[actix_rt::test]
async fn ten_kills_lose_no_row_and_run_no_call_twice_on_postgresql() {
    let url = create_database().await;
    ten_kills(Settings::default().with("ATRYUM_DATABASE_URL", &url).start().await).await;
}

async fn ten_kills(mut app: App) {
    app.allow_all().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let key = app.agent_key("ann").await;
    let mut answered = Answered::new();
    for round in 0..ROUNDS {
        let agent = app.anonymous().bearer(&key);
        let sessions = join_all((0..CALLERS).map(|_| Session::open(&agent, "n", "2025-06-18", json!({})))).await;
        let callers = sessions.into_iter().enumerate();
        let callers = join_all(callers.map(|(caller, session)| call_until_it_ends(session, round, caller)));
        let before = lines(&ledger);
        let pid = app.pid;
        let killer = async {
            eventually("calls run", async || (lines(&ledger) > before + 10 * CALLERS).then_some(())).await;
            let left = descendants(pid);
            app.kill();
            left
        };
        let (told, left) = tokio::join!(callers, killer);
        answered.extend(told.into_iter().flatten());
        eventually("no process is left", async || left.iter().all(|pid| !runs(*pid)).then_some(())).await;
        app = app.kill_and_restart().await;
    }
    let mut ran = BTreeMap::<String, usize>::new();
    for nonce in std::fs::read_to_string(&ledger).expect("the ledger").lines() {
        *ran.entry(nonce.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "ran twice: {twice:?}");
    let mut rows = BTreeMap::new();
    let mut rows_by_id = BTreeMap::new();
    for row in app.invocations().await {
        let state = row["state"].as_str().expect("a state").to_owned();
        assert!(TERMINAL.contains(&state.as_str()), "{row}");
        rows_by_id.insert(row["id"].as_str().expect("an id").to_owned(), state.clone());
        if let Some(nonce) = row["arguments"]["nonce"].as_str() {
            assert!(rows.insert(nonce.to_owned(), state).is_none(), "two rows for {nonce}");
        }
    }
    for nonce in ran.keys() {
        let state = rows.get(nonce).unwrap_or_else(|| panic!("{nonce} ran and has no row"));
        assert!(["completed", "unknown"].contains(&state.as_str()), "{nonce} ran and its row says {state}");
    }
    for nonce in &answered {
        assert_eq!(rows.get(nonce).map(String::as_str), Some("completed"), "{nonce} was answered");
    }
    each_state_has_its_event(&app, &rows_by_id).await;
    assert!(ran.len() > ROUNDS * CALLERS * 10, "{} calls ran", ran.len());
    let unknown = rows.values().filter(|state| *state == "unknown").count();
    assert!(unknown <= ROUNDS * CALLERS, "{unknown} unknown: more than were in flight");
}

/// No event without its state, no state without its event; and the chain holds over all kills.
async fn each_state_has_its_event(app: &App, rows: &BTreeMap<String, String>) {
    let mut told = BTreeMap::new();
    let exported = app.operator().get("/api/v1/audit/export").await.text;
    let mut verifier = None;
    for line in exported.lines() {
        match Line::parse(line).expect("a line of the audit") {
            Line::Checkpoint(checkpoint) => {
                let key = checkpoint.key.parse().expect("a key");
                verifier.get_or_insert_with(|| Verifier::new(key)).checkpoint(&checkpoint);
            }
            Line::Event(link) => {
                verifier.as_mut().expect("a checkpoint").event(&link);
                if let Some(state) = link.kind.strip_prefix("call.") {
                    let moves: &mut Vec<String> = told.entry(link.subject.replace("invocation:", "")).or_default();
                    moves.push(state.to_owned());
                }
            }
        }
    }
    assert_eq!(verifier.expect("a record").finish().findings, []);
    assert!(told.keys().eq(rows.keys()), "{} calls are told and {} are there", told.len(), rows.len());
    for (id, moves) in told {
        let moves: Vec<&str> = moves.iter().map(String::as_str).collect();
        let (end, way) = moves.split_last().expect("a move");
        let is_legal = [&[][..], &["pending"], &["dispatched"], &["pending", "dispatched"]].contains(&way);
        assert!(is_legal && rows[&id] == *end, "{id} is {} and was told as {moves:?}", rows[&id]);
    }
}

fn lines(path: &std::path::Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
