//! How a remote server is, as operators see it: without a call, by a test, and after it was mended.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::Session;
use crate::support::remote::{Fault, On, Remote};

async fn server(app: &App) -> Value {
    app.operator().get("/api/v1/servers/n").await.json
}

async fn test(app: &App) -> Value {
    app.operator().post("/api/v1/servers/n/test", json!({})).await.json
}

fn steps(report: &Value) -> Vec<(&str, bool)> {
    let steps = report["steps"].as_array().expect("steps");
    steps.iter().map(|step| (step["name"].as_str().expect("a name"), step["ok"] == true)).collect()
}

#[actix_rt::test]
async fn a_server_is_looked_at_before_anybody_calls_it() {
    let (app, remote) = (App::start().await, Remote::start());
    app.remote("n", &remote.url).await;
    let server = eventually("it is seen", async || {
        let server = server(&app).await;
        (server["connection"]["status"] == "ready").then_some(server)
    })
    .await;
    assert_eq!(server["connection"]["server_info"]["name"], "remote", "{server}");
    eventually("the look says goodbye", async || (!remote.seen("DELETE").is_empty()).then_some(())).await;
    assert!(remote.seen("tools/call").is_empty());
}

#[actix_rt::test]
async fn a_test_tells_how_far_it_came() {
    let (app, remote) = (App::start().await, Remote::start());
    app.remote("n", &remote.url).await;
    let good = test(&app).await;
    assert_eq!(good["ok"], true, "{good}");
    assert_eq!(steps(&good), [("connect", true), ("handshake", true), ("tools/list", true)], "{good}");
    assert!(good["tools"].as_u64().is_some_and(|tools| tools > 0), "{good}");
    remote.fault(On::Every, Fault::html());
    let other = test(&app).await;
    assert_eq!(steps(&other), [("connect", true), ("handshake", false)], "{other}");
    assert!(other["steps"][1]["detail"].as_str().is_some_and(|detail| detail.contains("text/html")), "{other}");
    let patch = json!({"base_url": "http://127.0.0.1:9/mcp"});
    assert_eq!(app.operator().patch("/api/v1/servers/n", patch).await.status, 200);
    let none = test(&app).await;
    assert_eq!(steps(&none), [("connect", false)], "{none}");
    assert_eq!(none["connection"]["status"], "unreachable", "{none}");
}

#[actix_rt::test]
async fn a_test_is_made_even_while_calls_are_refused() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    remote.fault_times(1, On::Method("tools/call"), Fault::too_many(3600));
    session.call("echo", json!({"text": "x"})).await;
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(refused["error"]["data"]["code"], "rate_limited", "{refused}");
    let report = test(&app).await;
    assert_eq!(report["ok"], true, "{report}");
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert!(answer["result"].is_object(), "what an operator saw to be well is called again: {answer}");
}

#[actix_rt::test]
async fn a_credential_that_a_server_repeats_reaches_nobody() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let definition = json!({"name": "n", "mode": "http", "base_url": remote.url,
        "auth": {"bearer_token": "s3cret-upstream-token"}});
    app.server_from(definition).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let echo = r#"{"jsonrpc":"2.0","id":THE-ID,"result":{"content":[{"type":"text",
        "text":"you sent Authorization: Bearer s3cret-upstream-token"}]}}"#;
    remote.fault(On::Method("tools/call"), Fault::json(echo));
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "you sent Authorization: Bearer •••", "{answer}");
    let rows = app.operator().get("/api/v1/invocations").await.text;
    let logs = app.operator().get("/api/v1/servers/n/logs").await.text;
    assert!(!rows.contains("s3cret") && !logs.contains("s3cret"), "{rows} {logs}");
    assert!(logs.contains("POST"), "the exchanges are told: {logs}");
}

#[actix_rt::test]
async fn a_credential_in_what_is_no_answer_reaches_nobody_either() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let definition = json!({"name": "n", "mode": "http", "base_url": remote.url,
        "auth": {"type": "headers", "headers": {"X-Api-Key": "Token s3cret/upstream+key"}}});
    app.server_from(definition).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let call = On::Method("tools/call");
    let packed = [("content-type", "application/json"), ("content-encoding", "s3cret/upstream+key")];
    let slashed = r#"{"jsonrpc":"2.0","id":THE-ID,"error":{"code":1,"message":"s3cret\/upstream+key"}}"#;
    let faults = [
        Fault::redirect(302, "https://elsewhere.example/s3cret/upstream+key"),
        Fault::says(200, &[("content-type", "s3cret/upstream+key")], ""),
        Fault::says(200, &packed, "{}"),
        Fault::json(slashed),
    ];
    for fault in faults {
        remote.fault_times(1, call, fault);
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert!(answer["error"].is_object() && !answer.to_string().contains("s3cret"), "{answer}");
        let server = server(&app).await;
        assert!(!server.to_string().contains("s3cret"), "{server}");
    }
    let rows = app.operator().get("/api/v1/invocations").await.text;
    let logs = app.operator().get("/api/v1/servers/n/logs").await.text;
    assert!(!rows.contains("s3cret") && !logs.contains("s3cret"), "{rows} {logs}");
}
