//! Three ways in which real clients lose patience while a person is asked. Whatever the way, each gets its outcome.
//!
//! In the suite their seconds are shorter; `ATRYUM_TEST_PATIENCE=whole` gives them those of the clients themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::http::{Open, Session};

/// In seconds.
struct Times {
    /// A client that counts nothing as life gives up after this.
    silent: u64,
    /// What the gateway allows it.
    silent_wait: u64,
    /// A client that counts progress gives up after this long without any.
    between_progress: u64,
    /// The person's time, longer than that.
    person: u64,
    /// What a client that asks for no progress is allowed by the gateway; it gives up somewhat later.
    plain_wait: u64,
    plain: u64,
}

fn times() -> Times {
    if std::env::var("ATRYUM_TEST_PATIENCE").is_ok_and(|word| word == "whole") {
        Times { silent: 60, silent_wait: 50, between_progress: 60, person: 150, plain_wait: 210, plain: 300 }
    } else {
        Times { silent: 4, silent_wait: 1, between_progress: 11, person: 13, plain_wait: 2, plain: 5 }
    }
}

async fn started() -> App {
    let times = times();
    let waits = format!("claude-code=3600,codex-mcp-client={},*={}", times.plain_wait, times.silent_wait);
    let app = Settings::default().with("ATRYUM_GATE__WAITS", &waits).start().await;
    app.nasty("n", &[&format!("ledger={}", app.dir().join("ledger").display())]).await;
    app
}

fn arguments() -> Value {
    json!({"text": "x", "nonce": "one"})
}

/// The answer, if it comes within these seconds; a client that gives up closes its connection.
async fn within(seconds: u64, stream: Open) -> Option<Value> {
    tokio::time::timeout(Duration::from_secs(seconds), stream.reply()).await.ok().flatten()
}

async fn approve(app: &App) {
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
}

fn ran_once(app: &App) {
    assert_eq!(std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default(), "one\n");
}

#[actix_rt::test]
async fn a_client_that_cuts_after_some_silence_whatever_it_hears_is_told_before_that_and_comes_back() {
    let app = started().await;
    let session = Session::open_as("some-sdk", &app.agent("ann").await, "n", "2025-06-18", json!({})).await;
    let mut answered = 0;
    let outcome = loop {
        let stream = session.open_call("echo", arguments(), Some(json!(1))).await;
        let answer = within(times().silent, stream).await.expect("an answer before it gives up");
        if answer["result"]["structuredContent"]["status"] != "pending_approval" {
            break answer;
        }
        answered += 1;
        if answered == 2 {
            approve(&app).await;
        }
    };
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "{outcome}");
    ran_once(&app);
}

#[actix_rt::test]
async fn a_client_that_waits_as_long_as_it_hears_of_progress_gets_its_outcome_in_one_call() {
    let app = started().await;
    let session = Session::open_as("claude-code", &app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("echo", arguments(), Some(json!("p"))).await;
    let person = async {
        tokio::time::sleep(Duration::from_secs(times().person)).await;
        approve(&app).await;
    };
    let mut beats = 0;
    let client = async {
        loop {
            let patience = Duration::from_secs(times().between_progress);
            let message = tokio::time::timeout(patience, stream.message()).await.expect("progress before it gives up");
            let message = message.expect("the answer comes before the end");
            if message["method"] != "notifications/progress" {
                return message;
            }
            beats += 1;
        }
    };
    let ((), outcome) = futures_util::future::join(person, client).await;
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "{outcome}");
    assert!(beats >= 2, "{beats}");
    ran_once(&app);
}

#[actix_rt::test]
async fn a_client_that_asks_for_no_progress_is_told_before_its_own_end_and_comes_back() {
    let app = started().await;
    let session = Session::open_as("codex-mcp-client", &app.agent("ann").await, "n", "2025-06-18", json!({})).await;
    let first = within(times().plain, session.open_call("echo", arguments(), None).await).await.expect("an answer");
    assert_eq!(first["result"]["structuredContent"]["status"], "pending_approval", "{first}");
    approve(&app).await;
    let outcome = within(times().plain, session.open_call("echo", arguments(), None).await).await.expect("an answer");
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "{outcome}");
    ran_once(&app);
}

/// The last way out: the client is gone before it was told anything, and its model tries again.
#[actix_rt::test]
async fn a_client_that_hangs_up_without_a_word_finds_its_question_again() {
    let app = started().await;
    let session = Session::open_as("claude-code", &app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for _ in 0..2 {
        assert_eq!(within(1, session.open_call("echo", arguments(), None).await).await, None);
    }
    let stream = session.open_call("echo", arguments(), None).await;
    approve(&app).await;
    let outcome = within(60, stream).await.expect("an answer");
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "the one who is there gets it: {outcome}");
    ran_once(&app);
}
