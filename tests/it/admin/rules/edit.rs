//! Rules: create, read, update, delete.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::app::{ADMIN_TOKEN, App};
use crate::support::eventually;
use crate::support::http::modern;

/// What the rules say to a call of one tool.
pub async fn decision(app: &App, tool: &str) -> Value {
    let call = json!({"agent": "ann", "server": "calc", "tool": tool, "arguments": {}});
    app.operator().post("/api/v1/rules/test", call).await.json["decision"].clone()
}

#[actix_rt::test]
async fn a_rule_decides_from_the_moment_of_its_answer() {
    let app = App::start().await;
    assert_eq!(decision(&app, "add").await, "ask");
    let created = app.operator().post("/api/v1/rules", json!({"action": "allow", "tools": ["a*"]})).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(decision(&app, "add").await, "allow");
    let path = created.header("location").expect("a location").to_owned();
    assert_eq!(created.header("etag"), Some("\"1\""));
    let rule = app.operator().get(&path).await.json;
    assert_eq!(rule, created.json);
    assert_eq!((&rule["position"], &rule["enabled"], &rule["agents"]), (&json!(1), &json!(true), &json!(["*"])));
    assert_eq!((&rule["servers"], &rule["methods"]), (&json!(["*"]), &json!(["tools/call"])));
    let edited = app.operator().patch(&path, json!({"action": "deny", "guidance": "use sub instead"})).await;
    assert_eq!((edited.status, &edited.json["tools"]), (200, &json!(["a*"])), "{edited:?}");
    assert_eq!(decision(&app, "add").await, "deny");
    app.operator().patch(&path, json!({"enabled": false})).await;
    assert_eq!(decision(&app, "add").await, "ask", "a rule that is turned off says nothing");
    app.operator().patch(&path, json!({"enabled": null})).await;
    assert_eq!(decision(&app, "add").await, "deny");
    assert_eq!(app.operator().delete(&path).await.status, 204);
    assert_eq!(decision(&app, "add").await, "ask");
    assert_eq!(app.operator().get(&path).await.status, 404);
    assert_eq!(app.operator().delete(&path).await.status, 404);
}

#[actix_rt::test]
async fn a_rule_that_can_not_be_meant_is_refused_and_changes_nothing() {
    let app = App::start().await;
    let rule = app.rule(json!({"action": "allow", "tools": ["a*"]})).await.json;
    let path = format!("/api/v1/rules/{}", rule["id"].as_str().unwrap());
    for (body, pointer) in [
        (json!({"action": "permit"}), "/action"),
        (json!({"action": "ALLOW"}), "/action"),
        (json!({"action": "allow", "tools": []}), "/tools"),
        (json!({"action": "allow", "agents": ["{a"]}), "/agents"),
        (json!({"action": "allow", "servers": [""]}), "/servers"),
        (json!({"action": "allow", "methods": [7]}), "/methods/0"),
        (json!({"action": "allow", "when": "args.a <"}), "/when"),
        (json!({"action": "allow", "when": "arg.a < 1"}), "/when"),
        (json!({"action": "allow", "when": ""}), "/when"),
        (json!({"action": "allow", "shadow": "yes"}), "/shadow"),
        (json!({"action": "allow", "expires_at": "soon"}), "/expires_at"),
        (json!({"action": "allow", "hits": 3}), "/hits"),
    ] {
        let created = app.operator().post("/api/v1/rules", body.clone()).await;
        assert_eq!(
            (created.status, &created.json["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{body}: {created:?}"
        );
        let edited = app.operator().patch(&path, body.clone()).await;
        assert_eq!((edited.status, &edited.json["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}: {edited:?}");
    }
    assert_eq!(app.operator().patch(&path, json!({"action": null})).await.status, 422);
    assert_eq!(app.operator().post("/api/v1/rules", json!({})).await.json["errors"][0]["pointer"], "/action");
    assert_eq!(app.operator().get(&path).await.json, rule);
}

#[actix_rt::test]
async fn an_edit_from_what_is_no_longer_there_is_refused() {
    let app = App::start().await;
    let rule = app.rule(json!({"action": "allow"})).await.json;
    let path = format!("/api/v1/rules/{}", rule["id"].as_str().unwrap());
    let client = app.operator().header("if-match", "\"1\"");
    assert_eq!(client.patch(&path, json!({"action": "deny"})).await.status, 200);
    assert_eq!(client.patch(&path, json!({"action": "allow"})).await.status, 412);
    assert_eq!(app.operator().get(&path).await.json["action"], "deny");
}

#[actix_rt::test]
async fn condition_end_and_shadow_are_set_and_cleared() {
    let app = App::start().await;
    let rule = json!({"action": "deny", "when": "args.a == 1", "shadow": true, "expires_at": "2999-01-01T00:00:00Z"});
    let created = app.operator().post("/api/v1/rules", rule).await;
    assert_eq!(created.status, 201, "{created:?}");
    let shown = |rule: &Value| [&rule["when"], &rule["shadow"], &rule["expires_at"]].map(Clone::clone);
    assert_eq!(shown(&created.json), [json!("args.a == 1"), json!(true), json!("2999-01-01T00:00:00.000Z")]);
    assert_eq!((&created.json["hits"], &created.json["last_hit_at"]), (&json!(0), &json!(null)));
    let path = created.header("location").expect("a location").to_owned();
    let edited = app.operator().patch(&path, json!({"when": "args.a == 2"})).await;
    assert_eq!(shown(&edited.json)[..2], [json!("args.a == 2"), json!(true)], "{edited:?}");
    let cleared = app.operator().patch(&path, json!({"when": null, "shadow": null, "expires_at": null})).await;
    assert_eq!(shown(&cleared.json), [json!(null), json!(false), json!(null)], "{cleared:?}");
    assert_eq!(decision(&app, "add").await, "deny");
}

/// The database is held up, so that the edit is under way when its operator goes.
#[actix_rt::test]
async fn an_edit_whose_operator_hangs_up_meanwhile_is_stored_and_in_force() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["both"]).await;
    let agent = app.agent("ann").await;
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    let mut options = ConnectOptions::new(url);
    let other = Database::connect(options.max_connections(1).to_owned()).await.expect("a connection");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the database is free");
    let first = app.operator().get("/api/v1/rules").await.json["items"][0]["id"].clone();
    let rule = json!({"action": "deny", "before": first}).to_string();
    let request = format!(
        "POST /api/v1/rules HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{rule}",
        app.url.strip_prefix("http://").unwrap(),
        rule.len()
    );
    let mut gone = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.expect("it listens");
    gone.write_all(request.as_bytes()).await.expect("it is taken");
    let answered = tokio::time::timeout(Duration::from_millis(500), gone.readable()).await;
    assert!(answered.is_err(), "it waits for the database");
    drop(gone);
    for _ in 0..20 {
        app.operator().get("/api/v1/rules").await;
    }
    other.execute_unprepared("ROLLBACK").await.expect("the database is freed");
    eventually("the rule denies", async || {
        let told = modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).await.reply();
        (told["result"]["isError"] == true).then_some(())
    })
    .await;
    let told = app.operator().get("/api/v1/audit?kind=rule.created&limit=1").await.json;
    assert_eq!(told["items"][0]["actor"], "operator:admin-token", "{told}");
}
