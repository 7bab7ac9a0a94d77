//! Every malformed thing gets a precise error and loses nothing.

use serde_json::json;

use crate::support::app::App;
use crate::support::http::{Client, Session};

async fn raw(client: &Client, text: &str) -> crate::support::http::Answer {
    client.clone().header("content-type", "application/json").send("POST", "/mcp/n", text.into()).await
}

#[actix_rt::test]
async fn malformed_messages_are_refused_precisely_and_the_session_goes_on() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for (text, status, code) in [
        ("{", 400, -32700),
        ("", 400, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"grow"}}"#, 400, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"\u0061":2}}}"#,
            400,
            -32600,
        ),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, 400, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, 400, -32600),
        ("[]", 400, -32600),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}"#, 400, -32600),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":{}}}"#, 200, -32602),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":7}}"#, 200, -32602),
    ] {
        let answer = raw(&session.client, text).await;
        assert_eq!((answer.status, &answer.reply()["error"]["code"]), (status, &json!(code)), "{text}: {answer:?}");
    }
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}1{}}}"#, r#"{"a":"#.repeat(70), "}".repeat(70));
    assert_eq!(raw(&session.client, &deep).await.status, 400);
    let called = session.call("echo", json!({"text": "still here"})).await;
    assert_eq!(called["result"]["content"][0]["text"], "still here");
    assert_eq!(app.invocations().await.len(), 1, "nothing of that was a call");
}

#[actix_rt::test]
async fn what_is_not_mcp_over_http_is_refused_by_its_status() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let status = async |client: &Client, path: &str| client.post(path, ping.clone()).await.status;
    assert_eq!(status(&app.anonymous(), "/mcp/n").await, 401);
    assert_eq!(status(&app.anonymous().bearer("atr_nonsense"), "/mcp/n").await, 401);
    assert_eq!(status(&app.operator(), "/mcp/n").await, 401, "an operator's token is no agent's key");
    for path in ["/mcp/unknown", "/mcp/N", "/mcp/n%2f", "/mcp/%6e", "/mcp/n/", "/mcp/..%2fn"] {
        assert_eq!(status(&agent, path).await, 404, "{path}");
    }
    assert_eq!(status(&agent, "/mcp/n").await, 400, "no session");
    let lost = session.client.clone().header("mcp-session-id", "0123456789abcdef0123456789abcdef");
    assert_eq!(status(&lost, "/mcp/n").await, 404);
    let strange = session.client.clone().header("mcp-protocol-version", "1987-06-05");
    assert_eq!(status(&strange, "/mcp/n").await, 400);
    let html = session.client.clone().header("accept", "text/html");
    assert_eq!(status(&html, "/mcp/n").await, 406);
    let text =
        session.client.clone().header("content-type", "text/plain").send("POST", "/mcp/n", ping.to_string()).await;
    assert_eq!(text.status, 415);
    let big = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":"{}"}}}}"#, "x".repeat(5 << 20));
    let refused = session.client.clone().header("content-type", "application/json").send("POST", "/mcp/n", big).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(status(&session.client, "/mcp/n").await, 200, "the session is unharmed");
}

#[actix_rt::test]
async fn a_disabled_server_is_not_reachable_and_says_so() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let disabled = app.operator().patch("/api/v1/servers/n", json!({"enabled": false})).await;
    assert_eq!(disabled.status, 200, "{disabled:?}");
    let refused = session.request("ping", json!({})).await;
    assert_eq!((refused.status, refused.json["code"].as_str()), (404, Some("server_disabled")), "{refused:?}");
    app.operator().patch("/api/v1/servers/n", json!({"enabled": true})).await;
    let called = session.call("echo", json!({"text": "back"})).await;
    assert_eq!(called["result"]["content"][0]["text"], "back", "the session outlives it: {called}");
}
