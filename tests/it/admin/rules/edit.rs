//! Rules: create, read, update, delete.

use serde_json::{Value, json};

use crate::support::app::App;

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
