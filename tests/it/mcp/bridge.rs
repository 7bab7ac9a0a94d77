//! Agent and server of different eras.

mod held;
mod remote;
mod rounds;

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::{Session, modern};

/// What an agent declares that can be asked anything.
fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": true}})
}

/// What a well-meaning agent says to a question.
fn answer_to(question: &Value) -> Value {
    match question["method"].as_str().expect("a method") {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "forty-two"}}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "forty-two"}})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///forty-two", "name": "r"}]}),
        other => panic!("nobody may ask {other}"),
    }
}

#[actix_rt::test]
async fn a_modern_agent_works_with_a_legacy_server() {
    for flags in [&[][..], &["exit-on-probe"], &["mute"]] {
        let app = App::start().await;
        app.allow_all().await;
        app.nasty("n", flags).await;
        let agent = app.agent("ann").await;
        let discovered = modern(&agent, "n", "server/discover", json!({})).await.reply();
        assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]), "{flags:?}: {discovered}");
        let list = modern(&agent, "n", "tools/list", json!({})).await.reply();
        assert_eq!(list["result"]["resultType"], "complete");
        assert_eq!(list["result"]["cacheScope"], "private");
        assert!(list["result"]["ttlMs"].is_u64());
        let called =
            modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}})).await.reply();
        assert_eq!(called["result"]["resultType"], "complete", "{called}");
        assert_eq!(called["result"]["content"][0]["text"], "hi");
        let status = app.operator().get("/api/v1/servers/n").await;
        assert_eq!(status.json["connection"]["status"], "ready", "{status:?}");
    }
}

#[actix_rt::test]
async fn a_legacy_agent_works_with_a_modern_server() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["modern"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-06-18", json!({})).await;
    assert_eq!(session.initialized["result"]["protocolVersion"], "2025-06-18");
    assert!(session.initialized["result"]["serverInfo"]["name"].is_string(), "{}", session.initialized);
    let list = session.request("tools/list", json!({})).await.reply();
    assert!(list["result"]["tools"].is_array(), "{list}");
    assert!(list["result"].get("resultType").is_none() && list["result"].get("ttlMs").is_none());
    let called = session.call("echo", json!({"text": "hi"})).await;
    assert_eq!(called["result"]["content"][0]["text"], "hi", "{called}");
    let level = session.request("logging/setLevel", json!({"level": "debug"})).await.reply();
    assert_eq!(level["result"], json!({}));
}
