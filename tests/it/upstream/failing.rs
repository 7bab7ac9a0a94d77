//! Servers that can't be started, or end by themselves.

use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::Session;

async fn initialize(app: &App, server: &str) -> serde_json::Value {
    let agent = app.agent(&format!("agent-of-{server}")).await.header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    agent.post(&format!("/mcp/{server}"), message).await.reply()
}

#[actix_rt::test]
async fn a_command_that_does_not_exist_is_named_with_the_path_that_was_searched() {
    let app = App::start().await;
    app.server("gone", "no-such-command-anywhere", &[]).await;
    let refused = initialize(&app, "gone").await;
    let message = refused["error"]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("command not found: no-such-command-anywhere") && message.contains("PATH"), "{message}");
    let server = app.operator().get("/api/v1/servers/gone").await;
    assert_eq!(server.json["connection"]["status"], "action_required", "{server:?}");
    assert_eq!(server.json["connection"]["action"], "edit");
    assert!(server.json["connection"]["reason"].as_str().unwrap().contains("command not found"));
    let test = app.operator().post("/api/v1/servers/gone/test", json!({})).await;
    assert_eq!((test.status, &test.json["ok"]), (200, &json!(false)), "{test:?}");
}

#[actix_rt::test]
async fn a_server_that_exits_at_once_is_told_with_its_code_and_its_last_words() {
    let app = App::start().await;
    app.nasty("n", &["exit=7"]).await;
    let refused = initialize(&app, "n").await;
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(message.contains("exited with code 7"), "{message}");
    let server = app.operator().get("/api/v1/servers/n").await;
    let reason = server.json["connection"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("exited with code 7") && reason.contains("it last said"), "{reason}");
}

#[actix_rt::test]
async fn a_crash_fails_the_call_in_flight_and_nothing_else_and_the_session_goes_on() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("mad", &["die=1"]).await;
    app.nasty("calm", &[]).await;
    let agent = app.agent("ann").await;
    let calm = Session::open(&agent, "calm", "2025-11-25", json!({})).await;
    let mut running = calm.open_call("slow", json!({"seconds": 2}), Some(json!(1))).await;
    running.message().await.expect("it runs");
    let mad = Session::open(&agent, "mad", "2025-11-25", json!({})).await;
    assert_eq!(mad.call("echo", json!({"text": "one"})).await["result"]["content"][0]["text"], "one");
    let died = mad.call("echo", json!({"text": "two"})).await;
    let message = died["error"]["message"].as_str().expect("an error");
    assert!(message.contains("exited with code 3"), "{died}");
    assert_eq!(died["error"]["data"]["retry"], "no", "it may have run");
    let again = mad.call("echo", json!({"text": "three"})).await;
    assert_eq!(again["result"]["content"][0]["text"], "three", "a new process serves the session: {again}");
    let mut last = None;
    while let Some(message) = running.message().await {
        last = Some(message);
    }
    assert!(last.expect("an answer")["result"].is_object(), "the other server's call is untouched");
    let rows = app.invocations().await;
    let states: Vec<_> = rows.iter().filter(|row| row["server"] == "mad").map(|row| &row["state"]).collect();
    assert_eq!(states, ["completed", "unknown", "completed"]);
    let server = app.operator().get("/api/v1/servers/mad").await;
    assert_eq!(server.json["connection"]["restarts"], 1, "{server:?}");
}

#[actix_rt::test]
async fn a_server_that_keeps_failing_is_left_alone_for_a_while_and_says_until_when() {
    let app = App::start().await;
    app.nasty("n", &["exit=1"]).await;
    let refusal = eventually("the backoff is long enough to refuse", async || {
        let refused = initialize_again(&app).await;
        (refused["error"]["data"]["code"] == "backoff").then_some(refused)
    })
    .await;
    let message = refusal["error"]["message"].as_str().unwrap();
    assert!(message.contains("tried again in") && message.contains("exited with code 1"), "{message}");
    let server = app.operator().get("/api/v1/servers/n").await;
    assert_eq!(server.json["connection"]["status"], "backoff", "{server:?}");
}

async fn initialize_again(app: &App) -> serde_json::Value {
    let key = app.operator().post("/api/v1/agents/again/keys", json!({})).await;
    let key = match key.json["key"].as_str() {
        Some(key) => key.to_owned(),
        None => app.agent_key("again").await,
    };
    let agent = app.anonymous().bearer(&key).header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    agent.post("/mcp/n", json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await.reply()
}

#[actix_rt::test]
async fn a_server_that_never_finishes_its_start_is_given_up_after_the_bound() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__SPAWN_TIMEOUT_SECONDS", "1").start().await;
    app.nasty("n", &["slow=60"]).await;
    let refused = initialize(&app, "n").await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("did not finish its start within"), "{refused}");
    crate::upstream::no_process_is_left(app.pid).await;
}

#[actix_rt::test]
async fn a_client_that_went_without_a_word_gives_its_place_up_and_gets_another_when_it_returns() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__MAX_PROCESSES", "1").start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let first = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    first.request("logging/setLevel", json!({"level": "debug"})).await;
    let opened = eventually("the place is given to somebody else", async || {
        let opened = initialize_again(&app).await;
        opened["result"].is_object().then_some(opened)
    })
    .await;
    assert_eq!(opened["result"]["protocolVersion"], "2025-11-25");
    eventually("the first one gets it back", async || {
        let called = first.call("log", json!({})).await;
        called["result"].is_object().then_some(())
    })
    .await;
    let again = first.request("tools/call", json!({"name": "log", "arguments": {}})).await;
    let heard = again.messages().iter().any(|message| message["method"] == "notifications/message");
    assert!(heard, "its log level was set again: {again:?}");
}

#[actix_rt::test]
async fn more_processes_than_allowed_are_refused_clearly() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__MAX_PROCESSES", "2").start().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let _one = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let two = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let refused = initialize(&app, "n").await;
    assert_eq!(refused["error"]["data"]["code"], "too_many_processes", "{refused}");
    assert_eq!(two.client.delete("/mcp/n").await.status, 204);
    eventually("the place is free again", async || {
        let opened = initialize_again(&app).await;
        opened["result"].is_object().then_some(())
    })
    .await;
}
