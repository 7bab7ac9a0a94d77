//! What crosses, crosses unchanged and reaches its own agent.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::App;
use crate::support::http::Session;

#[actix_rt::test]
async fn numbers_key_order_nulls_and_unknown_members_cross_as_they_are() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let text = r#"{"jsonrpc":"2.0","id":"9","method":"tools/call","params":{"name":"raw","arguments":{"z":1.50,"a":18446744073709551616,"é":null,"n":9007199254740993}}}"#;
    let client = session.client.clone().header("content-type", "application/json");
    let answer = client.send("POST", "/mcp/n", text.into()).await;
    assert!(answer.text.contains(r#""id":"9""#), "{answer:?}");
    let echoed = answer.reply()["result"]["content"][0]["text"].as_str().expect("text").to_owned();
    assert!(
        echoed.contains(r#"{"z":1.50,"a":18446744073709551616,"é":null,"n":9007199254740993}"#),
        "the server read {echoed}"
    );
}

#[actix_rt::test]
async fn a_hundred_calls_at_once_over_several_sessions_are_never_mixed_up() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let sessions = join_all((0..4).map(|_| Session::open(&agent, "n", "2025-11-25", json!({})))).await;
    let calls = (0..100).map(|n| {
        let session = &sessions[n % 4];
        async move {
            let answer = session.call("echo", json!({"text": format!("nonce-{n}")})).await;
            (n, answer)
        }
    });
    for (n, answer) in join_all(calls).await {
        assert_eq!(answer["result"]["content"][0]["text"], format!("nonce-{n}"), "{answer}");
    }
}

#[actix_rt::test]
async fn progress_and_log_messages_come_before_the_answer_on_the_calls_own_stream() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("slow", json!({"seconds": 1}), Some(json!(7))).await;
    let mut seen = Vec::new();
    while let Some(message) = stream.message().await {
        seen.push(message);
    }
    let answer = seen.pop().expect("an answer");
    assert!(answer["result"].is_object(), "{answer}");
    assert!(seen.len() >= 2 && seen.iter().all(|message| message["params"]["progressToken"] == json!(7)), "{seen:?}");
    let level = session.request("logging/setLevel", json!({"level": "debug"})).await.reply();
    assert_eq!(level["result"], json!({}), "{level}");
    let answer = session.request("tools/call", json!({"name": "log", "arguments": {}})).await;
    let methods: Vec<_> = answer.messages().iter().map(|message| message["method"].clone()).collect();
    assert!(methods.contains(&json!("notifications/message")), "{answer:?}");
    assert!(methods.last().expect("an answer").is_null());
}

#[actix_rt::test]
async fn a_cancelled_call_is_cancelled_at_the_server_too() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let id = session.next_id();
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 60}, "_meta": {"progressToken": 1}}});
    let client = session.client.clone().header("content-type", "application/json");
    let mut stream = client.open("POST", "/mcp/n", call.to_string()).await;
    stream.message().await.expect("it runs");
    let taken = session.notify("notifications/cancelled", json!({"requestId": id, "reason": "enough"})).await;
    assert_eq!(taken.status, 202);
    while let Some(message) = stream.message().await {
        assert!(message["method"].is_string(), "a cancelled call has no answer: {message}");
    }
    let logs = crate::support::eventually("the server heard of it", async || {
        let logs = app.operator().get("/api/v1/servers/n/logs").await;
        logs.text.contains("cancelled").then_some(logs)
    })
    .await;
    assert_eq!(logs.status, 200);
    let rows = app.invocations().await;
    assert!(rows.iter().any(|row| row["tool"] == "slow" && row["state"] == "unknown"), "{rows:?}");
}

#[actix_rt::test]
async fn changed_tools_are_told_on_the_standing_stream_and_listed_anew() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut standing = session.client.open("GET", "/mcp/n", String::new()).await;
    assert_eq!(standing.status, 200);
    let before = session.request("tools/list", json!({})).await.reply();
    session.call("grow", json!({})).await;
    let told = standing.message().await.expect("a message");
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let after = session.request("tools/list", json!({})).await.reply();
    let count = |list: &serde_json::Value| list["result"]["tools"].as_array().expect("tools").len();
    assert_eq!(count(&after), count(&before) + 1);
}

#[actix_rt::test]
async fn a_method_that_nobody_knows_reaches_the_server_and_its_error_comes_back() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.request("vendor/thing", json!({"x": 1})).await.reply();
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    assert!(app.invocations().await.iter().any(|row| row["method"] == "vendor/thing"));
}
