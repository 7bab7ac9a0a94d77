//! Rules that look at what a call is made with, end, or are only tried out.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Session;

fn rule(action: &str, tool: &str, more: &Value) -> Value {
    let mut rule = json!({"action": action, "tools": [tool]});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

async fn session(app: &App, arguments: &[&str]) -> Session {
    app.nasty("n", arguments).await;
    Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await
}

fn is_denied(answer: &Value) -> bool {
    answer["result"]["isError"] == true
}

#[actix_rt::test]
async fn a_condition_over_the_arguments_lets_one_call_through_and_stops_another() {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    let more = json!({"when": "args.text == 'hello' && size(args.nonce) < 5", "guidance": "say hello"});
    let id = app.rule(rule("allow", "echo", &more)).await.json["id"].clone();
    app.rule(rule("deny", "*", &json!({}))).await;
    let session = session(&app, &[&format!("ledger={}", ledger.display())]).await;
    assert!(!is_denied(&session.call("echo", json!({"text": "hello", "nonce": "one"})).await));
    assert!(is_denied(&session.call("echo", json!({"text": "bye", "nonce": "two"})).await));
    // What can't be evaluated denies by the rule itself, although it is one that allows.
    let failed = session.call("echo", json!({"text": "hello"})).await;
    let text = failed["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(is_denied(&failed) && text.contains("can't be evaluated") && text.contains("say hello"), "{failed}");
    assert_eq!(app.invocations().await[0]["decision"]["rule_id"], id);
    let written = std::fs::read_to_string(&ledger).unwrap_or_default();
    assert!(written.contains("one") && written.lines().count() == 1, "{written}");
}

#[actix_rt::test]
async fn a_number_that_would_have_to_be_rounded_is_denied() {
    let app = App::start().await;
    app.rule(rule("allow", "echo", &json!({"when": "args.amount <= 9007199254740992"}))).await;
    let session = session(&app, &[]).await;
    let call = async |amount: &str| {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"x","amount":{amount}}}}}}}"#
        );
        let client = session.client.clone().header("content-type", "application/json");
        client.send("POST", "/mcp/n", text).await.reply()
    };
    assert!(!is_denied(&call("9007199254740992").await));
    assert!(is_denied(&call("9007199254740992.00000001").await), "it would be read as 9007199254740992");
    assert!(is_denied(&call("18446744073709551617").await));
}

#[actix_rt::test]
async fn a_list_shows_what_some_arguments_could_call_and_reads_the_hints_of_the_list() {
    let app = App::start().await;
    app.rule(rule("deny", "grow", &json!({"when": "agent == 'ann'"}))).await;
    app.rule(rule("deny", "echo", &json!({"when": "args.text == 'no'"}))).await;
    app.rule(rule("allow", "*", &json!({"when": "args.x == 1"}))).await;
    app.rule(rule("deny", "raw", &json!({}))).await;
    let session = session(&app, &[]).await;
    let list = session.request("tools/list", json!({})).await.reply();
    let names: Vec<_> = list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert!(names.contains(&&json!("echo")) && names.contains(&&json!("raw")), "{names:?}");
    assert!(!names.contains(&&json!("grow")), "{names:?}");
}

/// A server that claims more than is kept must not slip by a rule that reads what it claims.
#[actix_rt::test]
async fn what_a_list_hides_for_its_hints_can_not_be_called_however_long_they_are() {
    for size in ["10", "10000"] {
        let app = App::start().await;
        app.rule(rule("deny", "*", &json!({"when": "has(hints.destructiveHint) && hints.destructiveHint"}))).await;
        app.allow_all().await;
        let session = session(&app, &[&format!("claims={size}")]).await;
        let list = session.request("tools/list", json!({})).await.reply();
        let names: Vec<_> = list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert!(!names.contains(&&json!("echo")) && names.contains(&&json!("raw")), "{size}: {names:?}");
        assert!(is_denied(&session.call("echo", json!({"text": "x"})).await), "{size}");
        assert!(!is_denied(&session.call("raw", json!({})).await), "{size}");
        let tools = app.operator().get("/api/v1/servers/n/tools?agent=ann").await.json;
        let echo = tools["items"].as_array().unwrap().iter().find(|tool| tool["name"] == "echo").unwrap();
        assert_eq!(echo["decision"], "deny", "the operator is shown what the agent gets: {size}");
    }
}

#[actix_rt::test]
async fn a_rule_in_shadow_is_recorded_and_decides_nothing() {
    let app = App::start().await;
    let more = json!({"when": "args.text == 'x'", "shadow": true});
    let shadow = app.rule(rule("deny", "echo", &more)).await.json["id"].clone();
    app.allow_all().await;
    let session = session(&app, &[]).await;
    assert!(!is_denied(&session.call("echo", json!({"text": "x"})).await));
    assert!(!is_denied(&session.call("echo", json!({"text": "y"})).await));
    let rows = app.invocations().await;
    assert_eq!(rows[1]["decision"]["shadow"], json!({"action": "deny", "rule_id": shadow}), "{rows:?}");
    assert_eq!((&rows[0]["decision"]["shadow"], &rows[0]["decision"]["action"]), (&json!(null), &json!("allow")));
}

#[actix_rt::test]
async fn each_call_that_a_rule_decides_is_counted() {
    let app = App::start().await;
    let path = format!("/api/v1/rules/{}", app.allow_all().await.json["id"].as_str().unwrap());
    let session = session(&app, &[]).await;
    assert_eq!(app.operator().get(&path).await.json["last_hit_at"], json!(null));
    for _ in 0..3 {
        session.call("echo", json!({"text": "x"})).await;
    }
    let rule = app.operator().get(&path).await.json;
    assert!(rule["hits"] == 3 && rule["last_hit_at"].is_string() && rule["revision"] == 1, "{rule}");
}

#[actix_rt::test]
async fn a_rule_that_has_ended_decides_nothing() {
    let app = App::start().await;
    app.rule(rule("deny", "echo", &json!({"expires_at": "2026-01-01T00:00:00Z"}))).await;
    app.rule(rule("allow", "echo", &json!({"expires_at": "2999-01-01T00:00:00Z"}))).await;
    let session = session(&app, &[]).await;
    assert!(!is_denied(&session.call("echo", json!({"text": "x"})).await));
}
