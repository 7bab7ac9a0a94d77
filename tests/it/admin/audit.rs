//! `/api/v1/audit`

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::database::run_sql;
use crate::support::http::Session;

async fn list(app: &App, query: &str) -> Vec<Value> {
    let answer = app.operator().get(&format!("/api/v1/audit{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    answer.json["items"].as_array().expect("items").clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().rev().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn what_operators_and_agents_do_is_told_with_their_names() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    app.allow_all().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    session.call("echo", json!({"text": "hi"})).await;
    let events = list(&app, "?actor=operator:admin-token").await;
    assert_eq!(kinds(&events), ["server.created", "rule.created", "agent.created"]);
    let calls = list(&app, "?kind=call.").await;
    assert_eq!(kinds(&calls), ["call.dispatched", "call.completed"]);
    let began = &calls[1];
    assert_eq!((&began["actor"], &began["data"]["tool"]), (&json!("agent:ann"), &json!("echo")));
    let row = app.invocations().await.remove(0);
    assert_eq!(began["data"]["arguments_digest"], row["arguments_digest"]);
    assert_eq!(began["subject"], format!("invocation:{}", row["id"].as_str().unwrap()));
    assert_eq!(kinds(&list(&app, "?subject=server:n").await), ["server.created", "tools.pinned"]);
    let of_the_call = list(&app, &format!("?subject={}", began["subject"].as_str().unwrap())).await;
    assert_eq!(kinds(&of_the_call), ["call.dispatched", "call.completed"]);
    assert_eq!(list(&app, "?until=2000-01-01T00:00:00Z").await, Vec::<Value>::new());
    assert_eq!(app.operator().get("/api/v1/audit?kinds=call.").await.status, 400);
    assert_eq!(app.anonymous().get("/api/v1/audit").await.status, 401);
}

#[actix_rt::test]
async fn logins_are_told_and_their_secrets_are_not() {
    let app = App::start().await;
    let link = app.operator().post("/api/v1/login-links", json!({})).await;
    let url = link.json["url"].as_str().unwrap();
    let code = url.split("#code=").nth(1).unwrap();
    let session = app.anonymous().post("/api/v1/login", json!({ "code": code })).await;
    assert_eq!(session.status, 200);
    let events = list(&app, "?kind=login").await;
    assert_eq!(events, Vec::<Value>::new(), "a kind is whole or ends in a dot");
    let events = list(&app, "").await;
    let told = kinds(&events);
    assert!(told.ends_with(&["login_link.made", "login_link.used", "login.began"]), "{told:?}");
    assert_eq!(events[0]["actor"], "operator:administrator");
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(code) && !text.contains(session.json["csrf_token"].as_str().unwrap()));
}

#[actix_rt::test]
async fn the_record_is_exported_with_its_signatures_and_that_is_told() {
    let app = App::start().await;
    app.allow_all().await;
    let signed = app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
    assert_eq!((signed.status, &signed.json["checkpoint"]["key"]), (200, &signed.json["public_key"]));
    let exported = app.operator().get("/api/v1/audit/export").await;
    assert_eq!(exported.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = exported.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = lines.iter().position(|line| line["type"] == "event").unwrap();
    assert!(first > 0 && lines[..first].iter().all(|line| line["type"] == "checkpoint"), "{}", exported.text);
    assert_eq!((&lines[first]["seq"], &lines[first]["subject"]), (&json!(1), &json!("setting:vault_seed")));
    assert_eq!(lines[first + 1]["kind"], "gateway.started");
    assert_eq!(lines.last().unwrap()["kind"], "audit.exported");
    let table = app.operator().get("/api/v1/audit/export?format=csv&kind=rule.").await;
    assert_eq!(table.text.matches("\r\n").count(), 2, "{}", table.text);
    assert!(table.text.contains("\"rule.created\",\"operator:admin-token\""), "{}", table.text);
    let told = list(&app, "?kind=audit.exported").await;
    assert_eq!(told[0]["data"]["filter"]["kind"], "rule.", "{told:?}");
    app.operator().get("/api/v1/invocations/export").await;
    assert_eq!(list(&app, "").await[0]["kind"], "invocations.exported");
}

#[actix_rt::test]
async fn a_test_and_a_restart_of_a_server_are_told_before_they_are_done() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let draft = json!({
        "name": "draft", "mode": "stdio", "command": "/nowhere/canary", "args": ["--port", "1"],
        "env": {"TOKEN": "canary-in-a-secret"},
    });
    let tried = app.operator().post("/api/v1/servers/test", draft).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    assert_eq!(app.operator().post("/api/v1/servers/n/test", json!({})).await.status, 200);
    assert_eq!(app.operator().post("/api/v1/servers/n/restart", json!({})).await.status, 204);
    let events = list(&app, "?actor=operator:admin-token").await;
    let expected = ["server.created", "server.draft_tested", "server.tested", "server.restarted"];
    assert_eq!(kinds(&events), expected);
    let data = &events[2]["data"];
    assert_eq!((&data["command"], &data["env"]), (&json!("/nowhere/canary"), &json!(["TOKEN"])));
    assert!(!serde_json::to_string(&events).unwrap().contains("canary-in-a-secret"));
    // while nothing can be told nothing is done: the table is away
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    run_sql(&url, "ALTER TABLE audit_event RENAME TO elsewhere").await;
    let marker = app.dir().join("ran");
    let draft = json!({"name": "draft", "mode": "stdio", "command": "/usr/bin/touch", "args": [marker]});
    let refused = app.operator().post("/api/v1/servers/test", draft).await;
    assert!(refused.status >= 500 && !marker.exists(), "{refused:?}");
}
