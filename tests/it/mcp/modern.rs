//! 2026-07-28: requests that stand alone.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::{Client, modern, modern_request};

async fn app_with(flags: &[&str]) -> (App, Client) {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", flags).await;
    let agent = app.agent("ann").await;
    (app, agent)
}

#[actix_rt::test]
async fn a_modern_server_is_discovered_listed_and_called() {
    for flags in [&["modern"][..], &["both"]] {
        let (app, agent) = app_with(flags).await;
        let discovered = modern(&agent, "n", "server/discover", json!({})).await;
        assert_eq!(discovered.status, 200, "{discovered:?}");
        let versions = discovered.reply()["result"]["supportedVersions"].clone();
        assert!(versions.as_array().unwrap().contains(&json!("2026-07-28")));
        let list = modern(&agent, "n", "tools/list", json!({})).await.reply();
        assert_eq!(list["result"]["resultType"], "complete", "{list}");
        let called =
            modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}})).await.reply();
        assert_eq!(called["result"]["content"][0]["text"], "hi", "{called}");
        let rows = app.invocations().await;
        assert!(rows.iter().any(|row| row["tool"] == "echo" && row["client"]["name"] == "it"), "{rows:?}");
    }
}

#[actix_rt::test]
async fn headers_that_say_something_else_than_the_body_are_refused() {
    let (app, agent) = app_with(&["both"]).await;
    let call = || json!({"name": "echo", "arguments": {"text": "hi"}});
    for (header, value, code) in [
        ("mcp-method", "tools/list", -32020),
        ("mcp-name", "grow", -32020),
        ("mcp-protocol-version", "2025-11-25x", -32020),
        ("mcp-name", "=?base64?!?=", -32020),
    ] {
        let (client, body) = modern_request(&agent, "tools/call", &mut call());
        let refused = client.header(header, value).send("POST", "/mcp/n", body).await;
        assert_eq!((refused.status, &refused.json["error"]["code"]), (400, &json!(code)), "{header}: {refused:?}");
    }
    let (client, body) = modern_request(&agent, "tools/call", &mut call());
    let encoded = client.header("mcp-name", "=?base64?ZWNobw==?=").send("POST", "/mcp/n", body).await;
    assert_eq!(encoded.status, 200, "{encoded:?}");
    let unsupported = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2099-01-01", "io.modelcontextprotocol/clientCapabilities": {}}}});
    let client = agent.header("mcp-protocol-version", "2099-01-01").header("mcp-method", "tools/list");
    let refused = client.post("/mcp/n", unsupported).await;
    assert_eq!((refused.status, &refused.json["error"]["code"]), (400, &json!(-32022)), "{refused:?}");
    assert_eq!(refused.json["error"]["data"]["requested"], "2099-01-01");
    assert_eq!(app.invocations().await.len(), 1, "only the one that was accepted is a call");
}

#[actix_rt::test]
async fn methods_that_the_revision_removed_are_unknown() {
    let (_app, agent) = app_with(&["both"]).await;
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe"] {
        let answer = modern(&agent, "n", method, json!({})).await;
        assert_eq!((answer.status, &answer.json["error"]["code"]), (404, &json!(-32601)), "{method}: {answer:?}");
    }
    let unknown = modern(&agent, "n", "vendor/thing", json!({})).await;
    assert_eq!((unknown.status, &unknown.json["error"]["code"]), (404, &json!(-32601)), "{unknown:?}");
}

#[actix_rt::test]
async fn whoever_hangs_up_cancels() {
    let (app, agent) = app_with(&["both"]).await;
    let mut params = json!({"name": "slow", "arguments": {"seconds": 60}, "_meta": {"progressToken": "p"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let mut stream = client.open("POST", "/mcp/n", body).await;
    let progress = stream.message().await.expect("it runs");
    assert_eq!(progress["params"]["progressToken"], "p");
    drop(stream);
    crate::support::eventually("the call is cancelled", async || {
        let logs = app.operator().get("/api/v1/servers/n/logs").await;
        let rows = app.invocations().await;
        (logs.text.contains("cancelled") && rows.iter().any(|row| row["state"] == "unknown")).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_listener_is_acknowledged_first_and_hears_under_its_own_id() {
    for flags in [&["both"][..], &[]] {
        let (_app, agent) = app_with(flags).await;
        let mut params: Value = json!({"notifications": {"toolsListChanged": true}});
        let (client, body) = modern_request(&agent, "subscriptions/listen", &mut params);
        let body = body.replacen("\"id\":1", "\"id\":\"listen:0\"", 1);
        let mut stream = client.open("POST", "/mcp/n", body).await;
        let first = stream.message().await.expect("an acknowledgement");
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
        modern(&agent, "n", "tools/call", json!({"name": "grow", "arguments": {}})).await;
        let told = stream.message().await.expect("a change");
        assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "listen:0");
    }
}

#[actix_rt::test]
async fn a_modern_endpoint_has_no_get_and_no_delete() {
    let (_app, agent) = app_with(&["both"]).await;
    let client = agent.header("mcp-protocol-version", "2026-07-28").header("accept", "text/event-stream");
    assert_eq!(client.get("/mcp/n").await.status, 405);
    assert_eq!(client.delete("/mcp/n").await.status, 405);
}
