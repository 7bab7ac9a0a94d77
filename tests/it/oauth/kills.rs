//! `kill -9` around a refresh: the provider has taken the old refresh token and given out a new one, and the gateway may or
//! may not have kept it. Whichever: afterwards the credential works, or the status asks for a person. It is never silently
//! lost, and nobody is asked again and again.
//!
//! `ATRYUM_TEST_KILLS` says how many kills; ten without it.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::connecting::{connect, server, wanted};
use crate::support::eventually;
use crate::support::guarded::Guarded;
use crate::support::http::Session;

fn kills() -> u64 {
    std::env::var("ATRYUM_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

async fn call(session: &Session) -> Value {
    session.call("echo", json!({"text": "x"})).await
}

fn is_echo(answer: &Value) -> bool {
    answer["result"]["content"][0]["text"] == "x" && answer["result"]["isError"] != true
}

/// Lets a refresh begin by a call, and kills the gateway when the provider has rotated: before its answer is out, or at some
/// moment after it.
async fn kill_in_the_window(mut app: App, session: &Session, guarded: &Guarded, kill: u64) -> App {
    guarded.control(json!({"expire": true, "token": "hold"})).await;
    let message = json!({"jsonrpc": "2.0", "id": 1000, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}});
    let caller = session.client.clone().header("content-type", "application/json");
    let called = caller.try_post(&session.path, message.to_string());
    let killed = async {
        guarded.control(json!({"held": true})).await;
        if kill % 2 == 1 {
            guarded.control(json!({"token": "well"})).await;
            tokio::time::sleep(std::time::Duration::from_millis(kill % 10)).await;
        }
        app.kill();
    };
    let _ = tokio::join!(called, killed);
    guarded.control(json!({"token": "well"})).await;
    app.kill_and_restart().await
}

#[actix_rt::test]
async fn no_kill_in_the_window_of_rotation_loses_a_credential_silently() {
    let guarded = Guarded::start().await;
    let mut app = App::start().await;
    app.allow_all().await;
    app.server_from(json!({"name": "g", "base_url": guarded.mcp()})).await;
    let key = app.agent_key("ann").await;
    wanted(&app, "g", "connect").await;
    connect(&app, "g", &guarded).await;
    let (mut went_on, mut asked_a_person) = (0, 0);
    for kill in 0..kills() {
        let session = Session::open(&app.anonymous().bearer(&key), "g", "2025-11-25", json!({})).await;
        assert!(is_echo(&call(&session).await));
        app = kill_in_the_window(app, &session, &guarded, kill).await;

        let agent = app.anonymous().bearer(&key);
        let before = guarded.counts().await;
        // Of the start of the gateway and of calls, whichever comes first finds out.
        let settled = eventually("it works, or says that it does not", async || {
            let status = server(&app, "g").await["credentials"].clone();
            if status["action"] == "reconnect" {
                assert_eq!(status["status"], "action_required", "{status}");
                assert!(status["reason"].is_string(), "{status}");
                return Some(false);
            }
            try_call(&agent).await.then_some(true)
        })
        .await;
        for _ in 0..10 {
            assert_eq!(try_call(&agent).await, settled, "what was settled stays so");
        }
        let after = guarded.counts().await;
        assert!(after.refusals - before.refusals <= 1, "kill {kill}: {before:?} {after:?}");
        assert!(after.refreshes - before.refreshes <= 1, "kill {kill}: {before:?} {after:?}");
        if settled {
            went_on += 1;
        } else {
            asked_a_person += 1;
            connect(&app, "g", &guarded).await;
        }
    }
    println!("after {} kills {went_on} went on and {asked_a_person} asked a person", kills());
    assert!(asked_a_person > 0, "no kill hit the window");
}

/// Whether an agent that comes anew gets through.
async fn try_call(agent: &crate::support::http::Client) -> bool {
    let agent = agent.clone().header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
    let opened =
        agent.post("/mcp/g", json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).await;
    let Some(id) = opened.header("mcp-session-id") else { return false };
    let agent = agent.header("mcp-session-id", id).header("mcp-protocol-version", "2025-11-25");
    agent.post("/mcp/g", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let params = json!({"name": "echo", "arguments": {"text": "x"}});
    let called =
        agent.post("/mcp/g", json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})).await;
    is_echo(&called.reply())
}
