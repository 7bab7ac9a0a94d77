//! The whole gateway on PostgreSQL: what its users do, and what happens when the database goes away.

use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::connecting::{connect, wanted};
use crate::support::guarded::Guarded;
use crate::support::http::Session;
use crate::support::postgres::create_database;
use crate::support::remote::Remote;

async fn start() -> App {
    let url = create_database().await;
    Settings::default().with("ATRYUM_DATABASE_URL", &url).start().await
}

#[actix_rt::test]
async fn servers_rules_approvals_and_the_record_work_as_on_sqlite() {
    let app = start().await;
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["grow"], "methods": ["*"]})).await;
    app.nasty("n", &["both"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    assert_eq!(session.call("grow", json!({})).await["result"]["isError"], true);
    let mut stream = session.open_call("echo", json!({"text": "é\u{0} x"}), None).await;
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["content"][0]["text"], "é\u{0} x", "{answer}");
    let states: Vec<_> = app.invocations().await.iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["completed", "denied"]);
}

#[actix_rt::test]
async fn a_remote_server_and_its_login_work_as_on_sqlite() {
    let (app, remote) = (start().await, Remote::start());
    app.allow_all().await;
    let definition = json!({"name": "n", "base_url": remote.url, "auth": {"bearer_token": "one"}});
    app.server_from(definition).await;
    let app = app.kill_and_restart().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["content"][0]["text"], "x");
    assert_eq!(remote.seen("tools/call")[0].header("authorization"), Some("Bearer one"));
    let moved = json!({"base_url": "http://127.0.0.1:1", "timeout_seconds": 5});
    let moved = app.operator().patch("/api/v1/servers/n", moved).await;
    assert_eq!((&moved.json["credentials"]["status"], &moved.json["timeout_seconds"]), (&json!("missing"), &json!(5)));
}

#[actix_rt::test]
async fn a_login_by_oauth_works_as_on_sqlite() {
    let (app, guarded) = (start().await, Guarded::start().await);
    app.allow_all().await;
    app.server_from(json!({"name": "g", "base_url": guarded.mcp()})).await;
    wanted(&app, "g", "connect").await;
    connect(&app, "g", &guarded).await;
    let app = app.kill_and_restart().await;
    guarded.control(json!({"expire": true})).await;
    let session = Session::open(&app.agent("ann").await, "g", "2025-11-25", json!({})).await;
    assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["content"][0]["text"], "x");
    let counts = guarded.counts().await;
    assert_eq!((counts.exchanges, counts.refreshes, counts.refusals), (1, 1, 0), "{counts:?}");
}

#[actix_rt::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let app = start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let key = app.agent_key("ann").await;
    let app = app.kill_and_restart().await;
    let session = Session::open(&app.anonymous().bearer(&key), "n", "2025-11-25", json!({})).await;
    assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["content"][0]["text"], "x");
}
