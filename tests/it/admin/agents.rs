//! `/api/v1/agents`

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Client;

/// 404 for an agent that is known, as there is no server; 401 for one that is not.
async fn knock(app: &App, key: &str) -> u16 {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    Client::new(&app.url).bearer(key).post("/mcp/none", message).await.status
}

#[actix_rt::test]
async fn a_key_is_shown_once_and_known_from_then_on() {
    let app = App::start().await;
    let created = app.operator().post("/api/v1/agents", json!({"name": "ann", "servers": ["git*"]})).await;
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/agents/ann")), "{created:?}");
    let key = created.json["key"].as_str().expect("a key");
    assert!(key.starts_with("atr_"), "{key}");
    let read = app.operator().get("/api/v1/agents/ann").await;
    assert_eq!((&read.json["servers"], &read.json["expires_at"]), (&json!(["git*"]), &json!(null)));
    let prefix = read.json["keys"][0]["prefix"].as_str().expect("a prefix");
    assert!(key.starts_with(prefix) && prefix.len() < 16, "{prefix}");
    for text in [read.text.clone(), app.operator().get("/api/v1/agents").await.text, app.log()] {
        assert!(!text.contains(key), "{text}");
    }
    assert_eq!(knock(&app, key).await, 403, "known, and not for this server");
}

#[actix_rt::test]
async fn a_new_key_takes_the_place_of_an_old_one_without_a_gap() {
    let app = App::start().await;
    let old = app.agent_key("ann").await;
    let made = app.operator().post("/api/v1/agents/ann/keys", json!({})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let new = made.json["key"].as_str().expect("a key").to_owned();
    assert_ne!(old, new);
    assert_eq!((knock(&app, &old).await, knock(&app, &new).await), (404, 404), "both hold for now");
    let keys = app.operator().get("/api/v1/agents/ann").await.json["keys"].clone();
    let first = format!("/api/v1/agents/ann/keys/{}", keys[0]["id"].as_str().unwrap());
    assert_eq!(app.operator().delete(&first).await.status, 204);
    assert_eq!((knock(&app, &old).await, knock(&app, &new).await), (401, 404), "refused from the answer on");
    assert_eq!(app.operator().delete(&first).await.status, 204, "again changes nothing");
    let keys = app.operator().get("/api/v1/agents/ann").await.json["keys"].clone();
    assert!(keys[0]["revoked_at"].is_string() && keys[1]["revoked_at"].is_null(), "{keys}");
}

#[actix_rt::test]
async fn an_agent_that_is_deleted_or_has_expired_is_refused_at_once() {
    let app = App::start().await;
    let (ann, bob) = (app.agent_key("ann").await, app.agent_key("bob").await);
    assert_eq!(app.operator().delete("/api/v1/agents/ann").await.status, 204);
    assert_eq!((knock(&app, &ann).await, knock(&app, &bob).await), (401, 404));
    assert_eq!(app.operator().get("/api/v1/agents/ann").await.status, 404);
    let soon = json!({"expires_at": "2100-01-01T00:00:00Z"});
    let edited = app.operator().patch("/api/v1/agents/bob", soon).await;
    assert_eq!(edited.json["expires_at"], "2100-01-01T00:00:00.000Z", "{edited:?}");
    assert_eq!(knock(&app, &bob).await, 404);
    let cleared = app.operator().patch("/api/v1/agents/bob", json!({"expires_at": null})).await;
    assert_eq!((&cleared.json["expires_at"], &cleared.json["servers"]), (&json!(null), &json!(["*"])));
}

#[actix_rt::test]
async fn an_agent_that_makes_no_sense_is_refused() {
    let app = App::start().await;
    app.agent_key("ann").await;
    for (body, status, at) in [
        (json!({"name": "ann"}), 409, Value::Null),
        (json!({"name": "Ann"}), 422, json!("/name")),
        (json!({"name": "a/b"}), 422, json!("/name")),
        (json!({"name": "bob", "servers": []}), 422, json!("/servers")),
        (json!({"name": "bob", "servers": ["{a"]}), 422, json!("/servers")),
        (json!({"name": "bob", "expires_at": "2000-01-01T00:00:00Z"}), 422, json!("/expires_at")),
        (json!({"name": "bob", "expires_at": "soon"}), 422, json!("/expires_at")),
        (json!({"name": "bob", "key": "atr_mine"}), 422, json!("/key")),
    ] {
        let answer = app.operator().post("/api/v1/agents", body.clone()).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (status, &at), "{body}: {answer:?}");
    }
    let renamed = app.operator().patch("/api/v1/agents/ann", json!({"name": "bob"})).await;
    assert_eq!((renamed.status, &renamed.json["code"]), (409, &json!("immutable")));
    let stale = app.operator().header("if-match", "\"9\"").patch("/api/v1/agents/ann", json!({})).await;
    assert_eq!(stale.status, 412);
    for path in ["/api/v1/agents/none", "/api/v1/agents/none/keys/x", "/api/v1/agents/ann/keys/none"] {
        assert_eq!(app.operator().delete(path).await.status, 404, "{path}");
    }
    assert_eq!(app.operator().post("/api/v1/agents/none/keys", json!({})).await.status, 404);
}

#[actix_rt::test]
async fn agents_are_listed_by_name() {
    let app = App::start().await;
    for name in ["bob", "ann", "cid"] {
        app.agent_key(name).await;
    }
    let page = app.operator().get("/api/v1/agents?limit=2").await.json;
    let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann", "bob"]);
    let rest =
        app.operator().get(&format!("/api/v1/agents?cursor={}", page["next_cursor"].as_str().unwrap())).await.json;
    assert_eq!((&rest["items"][0]["name"], &rest["next_cursor"]), (&json!("cid"), &json!(null)));
}
