//! Log messages: at the level that a request asked for, on its own stream, whatever the server's era.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::{Client, modern, modern_request};

/// The levels of the log messages that come with a call.
async fn heard(agent: &Client, level: Option<&str>) -> Vec<Value> {
    let mut params = json!({"name": "log", "arguments": {}});
    if let Some(level) = level {
        params["_meta"] = json!({"io.modelcontextprotocol/logLevel": level});
    }
    let answer = modern(agent, "n", "tools/call", params).await;
    assert_eq!(answer.reply()["result"]["content"][0]["text"], "logged", "{answer:?}");
    let messages = answer.messages().into_iter().filter(|message| message["method"] == "notifications/message");
    messages.map(|message| message["params"]["level"].clone()).collect()
}

async fn app_with(flags: &[&str]) -> (App, Client, std::path::PathBuf) {
    let app = App::start().await;
    app.allow_all().await;
    let spy = app.dir().join("spy");
    let spying = format!("spy={}", spy.display());
    let flags: Vec<_> = flags.iter().copied().chain([spying.as_str()]).collect();
    app.nasty("n", &flags).await;
    let agent = app.agent("ann").await;
    (app, agent, spy)
}

/// The levels that the server was told, in their order.
fn told(spy: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(spy).unwrap_or_default();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let levels = messages.filter(|message| message["method"] == "logging/setLevel");
    levels.map(|message| message["params"]["level"].clone()).collect()
}

#[actix_rt::test]
async fn a_request_hears_the_levels_that_it_asked_for_and_one_that_asked_for_none_hears_nothing() {
    for flags in [&[][..], &["modern"]] {
        let (_app, agent, _) = app_with(flags).await;
        assert_eq!(heard(&agent, Some("info")).await, ["info", "error"], "{flags:?}");
        assert_eq!(heard(&agent, Some("debug")).await, ["debug", "info", "error"], "{flags:?}");
        assert_eq!(heard(&agent, Some("error")).await, ["error"], "{flags:?}");
        assert!(heard(&agent, None).await.is_empty(), "{flags:?}");
    }
}

#[actix_rt::test]
async fn a_legacy_server_is_told_the_least_severe_level_that_a_request_in_flight_wants() {
    let (_app, agent, spy) = app_with(&[]).await;
    let mut params = json!({"name": "slow", "arguments": {"seconds": 60},
        "_meta": {"progressToken": 1, "io.modelcontextprotocol/logLevel": "info"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let mut slow = client.open("POST", "/mcp/n", body).await;
    assert_eq!(slow.message().await.expect("it runs")["method"], "notifications/progress");
    assert_eq!(heard(&agent, Some("error")).await, ["error"]);
    assert_eq!(heard(&agent, Some("debug")).await, ["debug", "info", "error"]);
    assert_eq!(told(&spy), ["info", "debug"], "the one that wanted less changed nothing");
}

#[actix_rt::test]
async fn a_level_that_the_rules_deny_or_that_needs_a_person_is_not_set() {
    for action in ["deny", "ask"] {
        let (app, agent, spy) = app_with(&[]).await;
        app.rule_first(json!({"action": action, "agents": ["*"], "servers": ["*"], "tools": ["*"],
            "methods": ["logging/setLevel"]}))
            .await;
        heard(&agent, Some("info")).await;
        assert!(told(&spy).is_empty(), "{action}");
    }
}

#[actix_rt::test]
async fn who_listens_still_hears_the_log_of_its_calls() {
    for flags in [&[][..], &["modern"]] {
        let (_app, agent, _) = app_with(flags).await;
        let mut params = json!({"notifications": {"toolsListChanged": true}});
        let (client, body) = modern_request(&agent, "subscriptions/listen", &mut params);
        let mut listening = client.open("POST", "/mcp/n", body).await;
        listening.message().await.expect("an acknowledgement");
        assert_eq!(heard(&agent, Some("info")).await, ["info", "error"], "{flags:?}");
    }
}
