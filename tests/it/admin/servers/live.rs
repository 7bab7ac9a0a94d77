//! What is asked of a server that runs.

use serde_json::{Value, json};

use crate::support::app::{App, repo};
use crate::support::http::Session;

#[actix_rt::test]
async fn a_test_shakes_hands_and_counts_what_is_offered() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let tested = app.operator().post("/api/v1/servers/n/test", json!({})).await;
    assert_eq!((tested.status, &tested.json["ok"]), (200, &json!(true)), "{tested:?}");
    assert!(tested.json["tools"].as_u64().unwrap() > 5, "{tested:?}");
    assert_eq!(tested.json["steps"][0]["name"], "handshake", "{tested:?}");
    assert_eq!(
        (&tested.json["connection"]["status"], &tested.json["credentials"]["status"]),
        (&json!("ready"), &json!("ready"))
    );
    let server = app.operator().get("/api/v1/servers/n").await;
    assert_eq!(server.json["connection"]["status"], "ready", "{server:?}");
    assert!(server.json["connection"]["checked_at"].as_str().is_some_and(|time| time.ends_with('Z')));
}

#[actix_rt::test]
async fn a_test_of_what_does_not_start_says_at_which_step_and_why() {
    let app = App::start().await;
    app.server("n", "/nowhere/to/be/found", &[]).await;
    let tested = app.operator().post("/api/v1/servers/n/test", json!({})).await;
    assert_eq!((tested.status, &tested.json["ok"]), (200, &json!(false)), "{tested:?}");
    let step = tested.json["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(step["ok"], false, "{step}");
    assert!(step["detail"].as_str().unwrap().contains("/nowhere/to/be/found"), "{step}");
}

#[actix_rt::test]
async fn a_definition_is_tried_before_it_is_saved_and_nothing_is_kept() {
    let app = App::start().await;
    let script = repo("tests/fixture-stdio/nasty.py");
    let draft = json!({"name": "draft", "command": "python3", "args": [script], "env": {"TOKEN": "t"}});
    let tested = app.operator().post("/api/v1/servers/test", draft).await;
    assert_eq!((tested.status, &tested.json["ok"]), (200, &json!(true)), "{tested:?}");
    let failed = app.operator().post("/api/v1/servers/test", json!({"name": "draft", "command": "/nowhere"})).await;
    assert_eq!((failed.status, &failed.json["ok"]), (200, &json!(false)), "{failed:?}");
    let wrong = app.operator().post("/api/v1/servers/test", json!({"name": "draft", "command": ""})).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([]));
}

#[actix_rt::test]
async fn a_server_called_test_is_a_server_like_any_other() {
    let app = App::start().await;
    app.nasty("test", &[]).await;
    assert_eq!(app.operator().get("/api/v1/servers/test").await.json["name"], "test");
    assert_eq!(app.operator().patch("/api/v1/servers/test", json!({"enabled": true})).await.status, 200);
    assert_eq!(app.operator().post("/api/v1/servers/test/test", json!({})).await.json["ok"], true);
    assert_eq!(app.operator().delete("/api/v1/servers/test").await.status, 204);
}

#[actix_rt::test]
async fn tools_are_listed_as_the_server_sent_them_with_what_an_agent_would_get() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let denied = app.rule(json!({"action": "deny", "agents": ["ann"], "tools": ["grow"]})).await;
    app.rule(json!({"action": "allow", "tools": ["echo"]})).await;
    let listed = app.operator().get("/api/v1/servers/n/tools?agent=ann").await;
    let tool = |name: &str| -> Value {
        let items = listed.json["items"].as_array().expect("items");
        items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {listed:?}")).clone()
    };
    assert_eq!((&tool("grow")["decision"], &tool("grow")["rule_id"]), (&json!("deny"), &denied.json["id"]));
    assert_eq!(tool("echo")["decision"], "allow");
    assert_eq!((&tool("slow")["decision"], &tool("slow")["rule_id"]), (&json!("ask"), &json!(null)));
    assert_eq!(tool("echo")["tool"]["name"], "echo");
    assert!(tool("echo")["tool"]["inputSchema"].is_object());
    let without = app.operator().get("/api/v1/servers/n/tools").await;
    assert!(without.json["items"].as_array().unwrap().iter().all(|item| item["decision"].is_null()));
}

#[actix_rt::test]
async fn the_log_of_a_server_is_its_last_words_on_stderr() {
    let app = App::start().await;
    app.nasty("n", &["exit=3"]).await;
    app.operator().post("/api/v1/servers/n/test", json!({})).await;
    let logs = app.operator().get("/api/v1/servers/n/logs?tail=2").await;
    let lines = logs.json["lines"].as_array().expect("lines");
    assert!(!lines.is_empty() && lines.len() <= 2, "{logs:?}");
    for query in ["?tail=0", "?tail=10001", "?tail=x", "?lines=3"] {
        assert_eq!(app.operator().get(&format!("/api/v1/servers/n/logs{query}")).await.status, 400, "{query}");
    }
}

#[actix_rt::test]
async fn a_restart_ends_the_processes_and_the_next_call_starts_one() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    Session::open(&agent, "n", "2025-11-25", json!({})).await;
    assert_eq!(app.operator().send("POST", "/api/v1/servers/n/restart", String::new()).await.status, 204);
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let called = session.call("echo", json!({"text": "again"})).await;
    assert_eq!(called["result"]["content"][0]["text"], "again", "{called}");
}
