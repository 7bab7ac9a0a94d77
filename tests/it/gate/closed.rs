//! What is unknown is denied: rules that can't be read, a store that is away.

use std::process::Command;

use serde_json::json;

use crate::support::app::{App, python};
use crate::support::eventually;
use crate::support::http::Session;

/// Changes the database behind the gateway's back.
fn tamper(app: &App, statement: &str) {
    let script =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); c.execute(sys.argv[2]); c.commit()";
    let database = app.dir().join("data/atryum.db");
    let status = Command::new(python()).args(["-c", script]).arg(database).arg(statement).status();
    assert!(status.expect("python starts").success());
}

#[actix_rt::test]
async fn a_rule_that_cannot_be_read_denies_everything_until_it_can() {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    let id = app.allow_all().await.json["id"].as_str().unwrap().to_owned();
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    tamper(&app, &format!("UPDATE rule SET action = 'maybe' WHERE id = '{id}'"));
    // Any edit makes the evaluator read anew.
    app.operator().put("/api/v1/rules/default", json!({"action": "allow"})).await;
    let denied = session.call("echo", json!({"text": "x", "nonce": "one"})).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    assert!(denied["result"]["content"][0]["text"].as_str().unwrap().contains("no rule set is loaded"), "{denied}");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap_or_default(), "");
    assert_eq!(app.anonymous().get("/readyz").await.status, 503);
    tamper(&app, &format!("UPDATE rule SET action = 'allow' WHERE id = '{id}'"));
    eventually("the evaluator has tried again", async || {
        let called = session.call("echo", json!({"text": "x", "nonce": "two"})).await;
        (called["result"]["content"][0]["text"] == "x").then_some(())
    })
    .await;
    assert_eq!(app.anonymous().get("/readyz").await.status, 200);
}

#[actix_rt::test]
async fn a_call_that_cannot_be_recorded_is_not_made() {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    app.allow_all().await;
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    tamper(&app, "ALTER TABLE invocation RENAME TO hidden");
    let refused = session.call("echo", json!({"text": "x", "nonce": "one"})).await;
    assert_eq!(refused["error"]["data"]["code"], "journal_unavailable", "{refused}");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap_or_default(), "");
    tamper(&app, "ALTER TABLE hidden RENAME TO invocation");
    eventually("the journal writes again", async || {
        let called = session.call("echo", json!({"text": "x", "nonce": "two"})).await;
        (called["result"]["content"][0]["text"] == "x").then_some(())
    })
    .await;
}
