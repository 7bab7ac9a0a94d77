//! Legacy sessions: opened, found, kept apart, ended.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::http::{Session, events};
use crate::support::remote::Remote;

const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[actix_rt::test]
async fn each_handshake_revision_is_agreed_on_and_an_unknown_one_becomes_the_newest() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    for version in VERSIONS {
        let session = Session::open(&agent, "n", version, json!({})).await;
        assert_eq!(session.initialized["result"]["protocolVersion"], version);
    }
    for version in ["2026-07-28", "1999-01-01"] {
        let session = Session::open(&agent, "n", version, json!({})).await;
        assert_eq!(session.initialized["result"]["protocolVersion"], "2025-11-25");
    }
}

/// A server may agree to another revision than it was asked for; then that is what agent and gateway go on with.
#[actix_rt::test]
async fn a_session_speaks_the_revision_that_its_server_agreed_to() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["version=2025-03-26"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    assert_eq!(session.initialized["result"]["protocolVersion"], "2025-03-26");
    let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]);
    let answer = session.client.post("/mcp/n", batch).await;
    assert_eq!((answer.status, &answer.json[0]["result"]), (200, &json!({})), "{answer:?}");
    app.nasty("odd", &["version=1999-01-01"]).await;
    let refused = app.operator().post("/api/v1/servers/odd/test", json!({})).await;
    assert!(refused.text.contains("1999-01-01") && refused.json["ok"] == false, "{refused:?}");
}

#[actix_rt::test]
async fn a_session_belongs_to_its_agent_and_to_its_server() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    app.nasty("m", &[]).await;
    let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
    let session = Session::open(&ann, "n", "2025-11-25", json!({})).await;
    let id = session.client.clone();
    let ping = json!({"jsonrpc": "2.0", "id": 5, "method": "ping"});
    assert_eq!(id.post("/mcp/n", ping.clone()).await.reply(), json!({"jsonrpc": "2.0", "id": 5, "result": {}}));
    assert_eq!(id.post("/mcp/m", ping.clone()).await.status, 404);
    let thief = bob
        .header("accept", "application/json, text/event-stream")
        .header("mcp-session-id", &session_id(&session).await);
    assert_eq!(thief.post("/mcp/n", ping).await.status, 404);
}

async fn session_id(session: &Session) -> String {
    session.client.header_value("mcp-session-id").expect("a session id").to_owned()
}

#[actix_rt::test]
async fn an_ended_session_is_gone_and_so_is_its_process() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-06-18", json!({})).await;
    let called = session.call("echo", json!({"text": "hello"})).await;
    assert_eq!(called["result"]["content"][0]["text"], "hello", "{called}");
    assert_eq!(session.client.delete("/mcp/n").await.status, 204);
    let again = session.request("ping", json!({})).await;
    assert_eq!(again.status, 404, "{again:?}");
    crate::upstream::no_process_is_left(app.pid).await;
}

#[actix_rt::test]
async fn a_batch_is_taken_in_2025_03_26_alone_and_each_of_its_calls_is_recorded() {
    let app = App::start().await;
    app.allow_all().await;
    app.rule_first(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["grow"], "methods": ["*"]}))
        .await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "one"}}},
        {"jsonrpc": "2.0", "id": "1", "method": "tools/call", "params": {"name": "grow", "arguments": {}}},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {}},
    ]);
    let session = Session::open(&agent, "n", "2025-03-26", json!({})).await;
    let answer = session.client.post("/mcp/n", batch.clone()).await;
    let answers = answer.json.as_array().expect("an array").clone();
    assert_eq!(answers.len(), 3, "{answer:?}");
    let of = |id: serde_json::Value| answers.iter().find(|answer| answer["id"] == id).cloned().expect("an answer");
    assert_eq!(of(json!(1))["result"]["content"][0]["text"], "one");
    assert_eq!(of(json!("1"))["result"]["isError"], true);
    assert_eq!(of(json!(3))["error"]["code"], -32600);
    let states: Vec<_> = app.invocations().await.iter().map(|row| row["state"].clone()).collect();
    assert!(states.contains(&json!("completed")) && states.contains(&json!("denied")), "{states:?}");
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let refused = session.client.post("/mcp/n", batch).await;
    assert_eq!((refused.status, &refused.json["error"]["code"]), (400, &json!(-32600)), "{refused:?}");
}

#[actix_rt::test]
async fn a_stream_that_broke_is_resumed_where_it_was() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("slow", json!({"seconds": 1}), Some(json!("p"))).await;
    let (primed, nothing) = stream.event().await.expect("the opening event");
    assert!(primed.is_some() && nothing.is_null());
    let (first, progress) = stream.event().await.expect("progress");
    assert_eq!(progress["params"]["progressToken"], "p");
    drop(stream);
    let resumed = session.client.clone().header("last-event-id", &first.expect("an id")).get("/mcp/n").await;
    let messages = events(&resumed.text);
    let last = messages.last().expect("the answer");
    assert!(last["result"]["content"][0]["text"].as_str().is_some(), "{resumed:?}");
    let progress: Vec<_> = messages.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
    assert!(progress.windows(2).all(|pair| pair[0] < pair[1]), "{progress:?}");
    assert!(app.invocations().await.iter().any(|row| row["tool"] == "slow" && row["state"] == "completed"));
}

#[actix_rt::test]
async fn however_many_begin_at_once_there_are_no_more_sessions_than_allowed() {
    let app = Settings::default().with("ATRYUM_HTTP__SESSIONS_MAX", "3").start().await;
    let remote = Remote::start();
    app.remote("n", &remote.url).await;
    let agent = app.agent("ann").await.header("accept", "application/json, text/event-stream");
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}}});
    let answers = join_all((0..10).map(|_| agent.post("/mcp/n", initialize.clone()))).await;
    let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((opened.len(), refused.len()), (3, 7), "{answers:?}");
    assert!(refused.iter().all(|answer| answer.status == 503 && answer.text.contains("http.sessions_max")));
    let first = opened[0].header("mcp-session-id").expect("a session");
    assert_eq!(agent.clone().header("mcp-session-id", first).delete("/mcp/n").await.status, 204);
    assert_eq!(agent.post("/mcp/n", initialize).await.status, 200, "what was given back can be taken");
}
