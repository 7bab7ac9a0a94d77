//! What the user's documentation promises of servers, step by step, as programs see it: each test is one of its procedures.

use serde_json::{Value, json};

use crate::support::app::{App, repo};
use crate::support::connecting::{begin, come_back, connect, server, wanted};
use crate::support::guarded::Guarded;
use crate::support::http::{Answer, Session};
use crate::support::program::{Program, node};
use crate::support::remote::Remote;

async fn app() -> App {
    let app = App::start().await;
    app.allow_all().await;
    app
}

async fn save(app: &App, name: &str, edit: Value) -> Value {
    let saved = app.operator().patch(&format!("/api/v1/servers/{name}"), edit).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    saved.json
}

async fn test(app: &App, name: &str) -> Value {
    app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await.json
}

/// The two columns of the list: connection and auth.
fn columns(server: &Value) -> (&str, &str) {
    let word = |of: &str| server[of]["status"].as_str().expect("a status");
    (word("connection"), word("credentials"))
}

async fn listed(app: &App, query: &str) -> Vec<Value> {
    app.operator().get(&format!("/api/v1/servers{query}")).await.json["items"].as_array().expect("items").clone()
}

async fn initialize(app: &App, name: &str) -> Answer {
    let agent = app.agent(&format!("agent-{}", uuid::Uuid::new_v4().simple())).await;
    let agent = agent.header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
    agent
        .post(&format!("/mcp/{name}"), json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}))
        .await
}

async fn session(app: &App, name: &str) -> Session {
    let agent = app.agent(&format!("agent-{}", uuid::Uuid::new_v4().simple())).await;
    Session::open(&agent, name, "2025-11-25", json!({})).await
}

async fn echoes(app: &App, name: &str) {
    let answer = session(app, name).await.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
}

#[actix_rt::test]
async fn a_local_server_is_added_by_its_command_and_is_ready_after_a_test() {
    let app = app().await;
    let script = repo("tests/clients/node_modules/@coo-quack/calc-mcp/dist/index.js");
    let created = app
        .server_from(json!({
            "name": "calc", "mode": "stdio", "command": node(), "args": [script], "env": {}, "enabled": true,
        }))
        .await;
    assert_eq!(created.json["endpoint_url"], format!("{}/mcp/calc", app.url), "{created:?}");
    let tested = test(&app, "calc").await;
    assert_eq!((&tested["ok"], &tested["connection"]["status"]), (&json!(true), &json!("ready")), "{tested}");
    assert_eq!(columns(&server(&app, "calc").await), ("ready", "ready"), "there is nothing else to do");
    let sum = session(&app, "calc").await.call("math", json!({"expression": "2+3"})).await;
    assert!(sum["result"]["content"][0]["text"].as_str().expect("a text").contains('5'), "{sum}");
}

#[actix_rt::test]
async fn a_remote_server_with_a_bearer_token_is_ready_after_a_test_and_agents_never_need_the_token() {
    let (app, remote) = (app().await, Remote::start());
    remote.guard("Bearer", &["static-token"]);
    let fields =
        json!({"name": "api", "mode": "http", "base_url": remote.url, "auth": {"bearer_token": "static-token"}});
    let created = app.server_from(fields).await;
    assert_eq!(created.json["timeout_seconds"], 30, "unless another is given: {created:?}");
    assert_eq!(created.json["auth"]["bearer_token_set"], true, "{created:?}");
    assert!(!created.text.contains("static-token"), "{created:?}");
    assert_eq!(test(&app, "api").await["ok"], true);
    assert_eq!(columns(&server(&app, "api").await), ("ready", "ready"));
    echoes(&app, "api").await;

    // The same for a server that exists and had none.
    app.server_from(json!({"name": "later", "mode": "http", "base_url": remote.url, "timeout_seconds": 5})).await;
    assert_eq!(test(&app, "later").await["ok"], false);
    save(&app, "later", json!({"auth": {"bearer_token": "static-token"}})).await;
    assert_eq!(test(&app, "later").await["ok"], true);
}

#[actix_rt::test]
async fn a_server_that_wants_oauth_is_added_without_a_token_then_connected_and_ready_without_a_test() {
    let (app, guarded) = (app().await, Guarded::start().await);
    let fields = json!({"name": "saas", "mode": "http", "base_url": guarded.mcp(), "auth": {"bearer_token": ""}});
    let created = app.server_from(fields).await.json;
    assert_eq!(created["credentials"]["action"], Value::Null, "Connect is for servers that are saved: {created}");
    let shown = wanted(&app, "saas", "connect").await;
    assert_eq!(shown["credentials"]["status"], "missing", "{shown}");

    let begun = begin(&app.operator(), "saas").await;
    assert!(begun.authorize_url.starts_with(&guarded.issuer()), "{}", begun.authorize_url);
    let page = come_back(&app, &guarded.agree(&begun.authorize_url).await, "").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(begun.outcome(&app, "saas").await["status"], "succeeded");
    assert_eq!(columns(&server(&app, "saas").await), ("ready", "ready"), "both, and nobody clicked Test");
    assert_eq!(listed(&app, "?q=saas").await[0]["credentials"]["status"], "ready");
    echoes(&app, "saas").await;

    guarded.control(json!({"revoke": true})).await;
    assert!(initialize(&app, "saas").await.reply()["error"].is_object());
    let shown = wanted(&app, "saas", "reconnect").await;
    assert_eq!(shown["credentials"]["status"], "action_required", "{shown}");
    connect(&app, "saas", &guarded).await;
    echoes(&app, "saas").await;
}

#[actix_rt::test]
async fn a_client_that_was_registered_by_hand_is_typed_before_connect() {
    let (app, guarded) = (app().await, Guarded::start().await);
    let oauth = json!({"client_id": "typed", "client_secret": "typed-secret"});
    let created = app.server_from(json!({"name": "chat", "base_url": guarded.mcp(), "auth": {"oauth": oauth}})).await;
    assert!(!created.text.contains("typed-secret"), "{created:?}");
    let shown = &created.json["auth"];
    assert_eq!((&shown["type"], &shown["oauth"]["client_id"]), (&json!("oauth"), &json!("typed")), "{shown}");
    let kept = (&shown["oauth"]["client_secret_set"], &shown["oauth"]["use_default_scopes"]);
    assert_eq!(kept, (&json!(true), &json!(true)), "{shown}");
    assert_eq!((&shown["oauth"]["authorize_url"], &shown["oauth"]["token_url"]), (&Value::Null, &Value::Null));
    wanted(&app, "chat", "connect").await;
    connect(&app, "chat", &guarded).await;
    let shown = server(&app, "chat").await;
    assert_eq!(shown["auth"]["oauth"]["registration"], "manual", "{shown}");
    assert_eq!(guarded.counts().await.registrations, 0, "it is who it was said to be");
    echoes(&app, "chat").await;

    // A blank secret keeps what is stored; scopes of one's own are asked for, and nothing else.
    let edit = json!({"auth": {"oauth": {"client_secret": "", "use_default_scopes": false, "scopes": ["read"]}}});
    let saved = save(&app, "chat", edit).await;
    assert_eq!(saved["auth"]["oauth"]["client_secret_set"], true, "{saved}");
    assert_eq!(
        (&saved["auth"]["oauth"]["use_default_scopes"], &saved["auth"]["oauth"]["scopes"]),
        (&json!(false), &json!(["read"]))
    );
    let begun = begin(&app.operator(), "chat").await;
    assert_eq!((begun.query("client_id").as_deref(), begun.query("scope").as_deref()), (Some("typed"), Some("read")));
    come_back(&app, &guarded.agree(&begun.authorize_url).await, "").await;
    assert_eq!(begun.outcome(&app, "chat").await["status"], "succeeded");
    echoes(&app, "chat").await;
}

#[actix_rt::test]
async fn a_provider_that_publishes_nothing_is_used_by_its_typed_addresses() {
    let (app, guarded) = (app().await, Guarded::start().await);
    let hidden = Remote::start();
    hidden.guard("Bearer", &["nobody has it"]);
    let oauth = json!({
        "client_id": "typed", "client_secret": "typed-secret", "use_default_scopes": false, "scopes": ["read"],
        "authorize_url": format!("{}/auth", guarded.issuer()), "token_url": format!("{}/token", guarded.issuer()),
    });
    app.server_from(json!({"name": "chat", "base_url": hidden.url, "auth": {"oauth": oauth}})).await;
    let shown = wanted(&app, "chat", "connect").await;
    assert_eq!(shown["auth"]["oauth"]["token_url"], oauth["token_url"], "{shown}");
    let begun = begin(&app.operator(), "chat").await;
    assert!(begun.authorize_url.starts_with(oauth["authorize_url"].as_str().unwrap()), "{}", begun.authorize_url);
    assert_eq!(begun.query("client_id").as_deref(), Some("typed"));
    assert!(begun.query("code_challenge").is_some());
}

#[actix_rt::test]
async fn a_local_server_is_edited_and_keeps_its_name() {
    let app = app().await;
    app.nasty("old", &["env"]).await;
    let renamed = app.operator().patch("/api/v1/servers/old", json!({"name": "new"})).await;
    assert_eq!((renamed.status, &renamed.json["code"]), (409, &json!("immutable")), "{renamed:?}");
    let program = repo("tests/fixture-stdio/nasty.py");
    let edit = json!({"command": crate::support::app::python(), "args": [program], "env": {"EDITED": "yes"}});
    let saved = save(&app, "old", edit).await;
    assert_eq!((&saved["args"], &saved["env_names"]), (&json!([program]), &json!(["EDITED"])), "{saved}");
    assert_eq!(test(&app, "old").await["ok"], true);
    echoes(&app, "old").await;
}

#[actix_rt::test]
async fn a_remote_server_is_edited_and_an_empty_token_clears_the_stored_one() {
    let (app, one, two) = (app().await, Remote::start(), Remote::start());
    one.guard("Bearer", &["first", "second"]);
    two.guard("Bearer", &["third"]);
    app.server_from(json!({"name": "api", "base_url": one.url, "auth": {"bearer_token": "first"}})).await;
    assert_eq!(test(&app, "api").await["ok"], true);
    let saved = save(&app, "api", json!({"timeout_seconds": 7})).await;
    assert_eq!((&saved["timeout_seconds"], &saved["auth"]["bearer_token_set"]), (&json!(7), &json!(true)), "{saved}");
    save(&app, "api", json!({"auth": {"bearer_token": "second"}})).await;
    assert_eq!(test(&app, "api").await["ok"], true);
    let saved = save(&app, "api", json!({"base_url": two.url})).await;
    assert_eq!(saved["credentials"]["status"], "missing", "a token does not follow its server elsewhere: {saved}");
    save(&app, "api", json!({"auth": {"bearer_token": "third"}})).await;
    assert_eq!(test(&app, "api").await["ok"], true);
    echoes(&app, "api").await;
    let saved = save(&app, "api", json!({"auth": {"bearer_token": ""}})).await;
    assert_eq!(saved["auth"]["bearer_token_set"], false, "{saved}");
    assert_eq!(test(&app, "api").await["ok"], false);
}

#[actix_rt::test]
async fn a_server_that_was_connected_is_edited_and_stays_connected_until_its_address_changes() {
    let (app, guarded, elsewhere) = (app().await, Guarded::start().await, Guarded::start().await);
    app.server_from(json!({"name": "saas", "base_url": guarded.mcp()})).await;
    wanted(&app, "saas", "connect").await;
    connect(&app, "saas", &guarded).await;
    let saved = save(&app, "saas", json!({"timeout_seconds": 7})).await;
    assert_eq!(saved["auth"]["type"], "oauth", "{saved}");
    echoes(&app, "saas").await;
    assert_eq!(columns(&server(&app, "saas").await), ("ready", "ready"));
    save(&app, "saas", json!({"base_url": elsewhere.mcp()})).await;
    let shown = wanted(&app, "saas", "connect").await;
    assert!(shown["credentials"]["reason"].is_string(), "it says what became of the login: {shown}");
    connect(&app, "saas", &elsewhere).await;
    echoes(&app, "saas").await;
    assert_eq!(elsewhere.counts().await.registrations, 1, "and is a client of its own there");
}

#[actix_rt::test]
async fn a_disabled_server_stays_in_the_list_and_is_reached_by_nobody() {
    let app = app().await;
    app.nasty("local", &[]).await;
    echoes(&app, "local").await;
    let saved = save(&app, "local", json!({"enabled": false})).await;
    assert_eq!(columns(&saved).0, "disabled", "{saved}");
    assert_eq!((listed(&app, "?enabled=true").await.len(), listed(&app, "").await.len()), (0, 1));
    assert!(initialize(&app, "local").await.reply()["result"].is_null());
    save(&app, "local", json!({"enabled": true})).await;
    echoes(&app, "local").await;
}

#[actix_rt::test]
async fn a_disabled_server_that_was_connected_is_still_connected_when_it_is_back() {
    let (app, guarded) = (app().await, Guarded::start().await);
    app.server_from(json!({"name": "saas", "base_url": guarded.mcp()})).await;
    wanted(&app, "saas", "connect").await;
    connect(&app, "saas", &guarded).await;
    assert_eq!(columns(&save(&app, "saas", json!({"enabled": false})).await).0, "disabled");
    assert!(initialize(&app, "saas").await.reply()["result"].is_null());
    save(&app, "saas", json!({"enabled": true})).await;
    echoes(&app, "saas").await;
    assert_eq!(guarded.counts().await.exchanges, 1);
}

#[actix_rt::test]
async fn a_removed_server_is_gone_with_all_that_was_held_for_it() {
    let (app, guarded, everything) = (app().await, Guarded::start().await, Program::everything("streamableHttp").await);
    for (name, base_url) in [("saas", guarded.mcp()), ("free", everything.url("/mcp"))] {
        app.server_from(json!({"name": name, "base_url": base_url})).await;
    }
    wanted(&app, "saas", "connect").await;
    connect(&app, "saas", &guarded).await;
    for name in ["saas", "free"] {
        let removed = app.operator().delete(&format!("/api/v1/servers/{name}")).await;
        assert_eq!(removed.status, 204, "{removed:?}");
        assert_eq!(app.operator().get(&format!("/api/v1/servers/{name}")).await.status, 404);
        assert_eq!(initialize(&app, name).await.status, 404);
    }
    assert!(listed(&app, "").await.is_empty());
    app.server_from(json!({"name": "saas", "base_url": guarded.mcp()})).await;
    let shown = wanted(&app, "saas", "connect").await;
    assert_eq!(shown["auth"]["type"], "none", "nothing of the one before is left: {shown}");
}
