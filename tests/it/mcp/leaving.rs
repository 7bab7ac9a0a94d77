//! Agents that go away, at every point of the way.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Session, modern_request};

fn initialize() -> Value {
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

#[actix_rt::test]
async fn a_call_whose_agent_left_before_the_server_was_ready_is_never_made() {
    let app = App::start().await;
    app.allow_all().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &["slow=2", &format!("ledger={}", ledger.display())]).await;
    let agent = app.agent("ann").await;
    let mut params = json!({"name": "echo", "arguments": {"nonce": "one"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let opening = client.open("POST", "/mcp/n", body);
    assert!(actix_rt::time::timeout(Duration::from_secs(1), opening).await.is_err(), "it is still starting");
    let row = eventually("the call has its end", async || {
        let rows = app.invocations().await;
        rows.into_iter().find(|row| row["tool"] == "echo")
    })
    .await;
    assert_eq!(row["state"], "cancelled", "{row}");
    actix_rt::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(std::fs::read_to_string(ledger).unwrap_or_default(), "");
}

#[actix_rt::test]
async fn a_session_that_nobody_waited_for_leaves_no_process() {
    let app = App::start().await;
    app.nasty("n", &["slow=2"]).await;
    let agent = app
        .agent("ann")
        .await
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json");
    let opening = agent.open("POST", "/mcp/n", initialize().to_string());
    assert!(actix_rt::time::timeout(Duration::from_secs(1), opening).await.is_err(), "it is still starting");
    eventually("its process was started", async || (!crate::upstream::descendants(app.pid).is_empty()).then_some(()))
        .await;
    crate::upstream::no_process_is_left(app.pid).await;
}

#[actix_rt::test]
async fn who_listens_is_recorded_and_is_told_when_there_is_nothing_more_to_hear() {
    for flags in [&["both"][..], &[]] {
        let app = App::start().await;
        app.allow_all().await;
        app.nasty("n", flags).await;
        let agent = app.agent("ann").await;
        let listen = async || {
            let mut params = json!({"notifications": {"toolsListChanged": true}});
            let (client, body) = modern_request(&agent, "subscriptions/listen", &mut params);
            let mut stream = client.open("POST", "/mcp/n", body).await;
            let first = stream.message().await.expect("an acknowledgement");
            assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
            stream
        };
        let stream = listen().await;
        drop(stream);
        eventually("the listening is over", async || {
            let rows = app.invocations().await;
            rows.iter().any(|row| row["method"] == "subscriptions/listen" && row["state"] == "cancelled").then_some(())
        })
        .await;
        let mut stream = listen().await;
        assert_eq!(app.operator().post("/api/v1/servers/n/restart", json!({})).await.status, 204);
        let last = stream.message().await.expect("a last word");
        let id = &last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!((&last["id"], id), (&json!(1), &json!(1)), "{flags:?}: {last}");
        assert!(app.invocations().await.iter().any(|row| row["state"] == "completed"));
    }
}

#[actix_rt::test]
async fn a_rule_can_refuse_to_let_an_agent_listen() {
    let app = App::start().await;
    let methods = json!(["subscriptions/listen"]);
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": methods})).await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let mut params = json!({"notifications": {"toolsListChanged": true}});
    let (client, body) = modern_request(&agent, "subscriptions/listen", &mut params);
    let refused = client.send("POST", "/mcp/n", body).await.reply();
    assert_eq!(refused["error"]["code"], -32003, "{refused}");
    assert_eq!(app.invocations().await[0]["state"], "denied");
    assert!(crate::upstream::descendants(app.pid).is_empty(), "nothing was started for it");
}

#[actix_rt::test]
async fn a_listing_without_an_answer_is_not_told_as_unknown() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1").start().await;
    app.allow_all().await;
    app.nasty("n", &["mute"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.request("prompts/list", json!({})).await.reply();
    assert_eq!(answer["error"]["data"]["code"], "timed_out", "{answer}");
    assert_eq!(app.invocations().await[0]["state"], "failed", "what only looks has no unknown effect");
}

#[actix_rt::test]
async fn with_its_key_all_that_an_agent_has_open_ends() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let mut standing = session.client.open("GET", "/mcp/n", String::new()).await;
    app.rule_first(json!({"action": "ask", "agents": ["*"], "servers": ["*"], "tools": ["*"]})).await;
    let _waiting = session.open_call("echo", json!({"text": "x"}), None).await;
    let approval = app.pending_approval().await;
    let keys = app.operator().get("/api/v1/agents/ann").await.json["keys"].clone();
    let key = format!("/api/v1/agents/ann/keys/{}", keys[0]["id"].as_str().unwrap());
    assert_eq!(app.operator().delete(&key).await.status, 204);
    assert_eq!(standing.message().await, None, "it hears no more");
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    eventually("nobody waits for the answer any more", async || {
        let approval = app.operator().get(&path).await.json;
        let is_over = approval["left_at"].is_string() && app.invocations().await[0]["state"] == "cancelled";
        is_over.then_some(())
    })
    .await;
}
