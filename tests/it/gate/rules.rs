//! What rules do to calls.

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::http::{Session, modern};

fn rule(action: &str, tool: &str) -> Value {
    json!({"action": action, "agents": ["*"], "servers": ["*"], "tools": [tool], "methods": ["tools/call"]})
}

#[actix_rt::test]
async fn a_denied_call_never_reaches_the_server_and_the_model_is_told_why() {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    let mut deny = rule("deny", "echo");
    deny["description"] = json!("no echoing");
    deny["guidance"] = json!("use the notes instead");
    let id = app.rule(deny).await.json["id"].as_str().unwrap().to_owned();
    app.allow_all().await;
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let denied = session.call("echo", json!({"text": "x", "nonce": "one"})).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    let text = denied["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(&id) && text.contains("no echoing") && text.contains("use the notes instead"), "{text}");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap_or_default(), "");
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["decision"]["rule_id"]), (&json!("denied"), &json!(id)), "{row}");
    assert_eq!(row["decision"]["by"], "rule");
}

#[actix_rt::test]
async fn an_edit_of_the_rules_holds_for_the_next_call() {
    let app = App::start().await;
    let allow = app.allow_all().await.json["id"].as_str().unwrap().to_owned();
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for round in 0..5 {
        let called = session.call("echo", json!({"text": "x"})).await;
        assert!(called["result"]["isError"].is_null() || called["result"]["isError"] == false, "{round}: {called}");
        let patched = app.operator().patch(&format!("/api/v1/rules/{allow}"), json!({"action": "deny"})).await;
        assert_eq!(patched.status, 200, "{patched:?}");
        assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["isError"], true, "{round}");
        app.operator().patch(&format!("/api/v1/rules/{allow}"), json!({"action": "allow"})).await;
    }
}

#[actix_rt::test]
async fn a_server_made_anew_under_the_name_of_a_deleted_one_is_not_allowed_what_that_one_was() {
    let app = App::start().await;
    let named = json!({"action": "allow", "servers": ["n"], "methods": ["*"]});
    let rule = app.rule(named).await.json["id"].as_str().unwrap().to_owned();
    app.operator().put("/api/v1/rules/default", json!({"action": "deny"})).await;
    let agent = app.agent("ann").await;
    for is_denied in [false, true] {
        app.nasty("n", &["both"]).await;
        let told = modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).await.reply();
        assert_eq!(told["result"]["isError"] == true, is_denied, "{told}");
        assert_eq!(app.operator().delete("/api/v1/servers/n").await.status, 204);
    }
    assert_eq!(app.operator().get(&format!("/api/v1/rules/{rule}")).await.json["enabled"], false);
}

#[actix_rt::test]
async fn a_list_hides_what_would_be_denied_in_both_eras() {
    let app = App::start().await;
    app.rule(rule("deny", "gr*")).await;
    app.allow_all().await;
    app.nasty("n", &["both"]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let legacy = session.request("tools/list", json!({})).await.reply();
    let modern = modern(&agent, "n", "tools/list", json!({})).await.reply();
    for list in [&legacy, &modern] {
        let names: Vec<_> = list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert!(names.contains(&&json!("echo")) && !names.contains(&&json!("grow")), "{names:?}");
    }
    assert_eq!(modern["result"]["cacheScope"], "private");
}

#[actix_rt::test]
async fn other_methods_are_gated_too() {
    let app = App::start().await;
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["*"],
        "methods": ["resources/*", "vendor/*", "tools/list"]}))
        .await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for (method, params) in
        [("resources/read", json!({"uri": "x://y"})), ("vendor/x", json!({})), ("tools/list", json!({}))]
    {
        let denied = session.request(method, params).await.reply();
        assert_eq!(denied["error"]["code"], -32003, "{method}: {denied}");
    }
    assert!(app.invocations().await.iter().all(|row| row["state"] == "denied"));
}

#[actix_rt::test]
async fn a_rule_for_one_agent_leaves_another_alone() {
    let app = App::start().await;
    app.rule(
        json!({"action": "deny", "agents": ["ann*"], "servers": ["*"], "tools": ["*"], "methods": ["tools/call"]}),
    )
    .await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    for (name, is_denied) in [("ann", true), ("bob", false)] {
        let session = Session::open(&app.agent(name).await, "n", "2025-11-25", json!({})).await;
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert_eq!(answer["result"]["isError"] == true, is_denied, "{name}: {answer}");
    }
}

#[actix_rt::test]
async fn without_a_matching_rule_the_default_decides_and_it_is_ask_at_first() {
    let app = Settings::default().with("ATRYUM_GATE__APPROVAL_TIMEOUT_SECONDS", "1").start().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let expired = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(expired["result"]["isError"], true);
    assert!(expired["result"]["content"][0]["text"].as_str().unwrap().contains("nobody answered"), "{expired}");
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["decision"]["action"]), (&json!("expired"), &json!("ask")), "{row}");
    let put = app.operator().put("/api/v1/rules/default", json!({"action": "deny"})).await;
    assert_eq!(put.status, 200, "{put:?}");
    let denied = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(denied["result"]["isError"], true);
    assert_eq!(app.invocations().await[0]["decision"]["by"], "default");
}
