//! The whole way against a certified provider that guards a real MCP server, with a person who is a script: from a base URL
//! to calls, over the end of a token and the end of the grant, and back.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::app::{App, repo};
use crate::support::connecting::{begin, come_back, connect, server, wanted};
use crate::support::guarded::Guarded;
use crate::support::http::Session;
use crate::support::program::node;

/// Registers the guarded server as `g` with nothing but its address.
async fn registered(guarded: &Guarded) -> App {
    let app = App::start().await;
    app.allow_all().await;
    app.server_from(json!({"name": "g", "mode": "http", "base_url": guarded.mcp()})).await;
    app
}

async fn connected(guarded: &Guarded) -> App {
    let app = registered(guarded).await;
    wanted(&app, "g", "connect").await;
    connect(&app, "g", guarded).await;
    app
}

async fn session(app: &App) -> Session {
    Session::open(&app.agent("ann").await, "g", "2025-11-25", json!({})).await
}

fn said(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// The official SDK's client calls `echo` with its own hands.
async fn sdk_echoes(app: &App, key: &str) {
    let script = repo("tests/clients/ts1.mjs");
    let mut command = tokio::process::Command::new(node());
    command.arg(script).args([&format!("{}/mcp/g", app.url), key, "echo", r#"{"text":"é"}"#]);
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("it starts");
    let line = String::from_utf8_lossy(&ran.stdout).into_owned();
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} {ran:?}"));
    assert_eq!((&line["tools"], &line["result"]["content"]), (&json!(2), &said("é")), "{line}");
}

#[actix_rt::test]
async fn a_server_of_which_nothing_is_known_but_its_address_shows_connect() {
    let guarded = Guarded::start().await;
    let app = registered(&guarded).await;
    let server = wanted(&app, "g", "connect").await;
    assert_eq!(server["credentials"]["status"], "missing", "{server}");
    assert!(server["credentials"]["reason"].is_string(), "{server}");
    assert_ne!(server["connection"]["status"], "ready", "{server}");
    assert_eq!(server["auth"]["type"], "none", "{server}");
    let counts = guarded.counts().await;
    assert_eq!((counts.registrations, counts.authorizations), (0, 0), "nobody has clicked: {counts:?}");
}

#[actix_rt::test]
async fn a_person_agrees_once_and_agents_call_until_the_grant_ends() {
    let guarded = Guarded::start().await;
    let app = registered(&guarded).await;
    wanted(&app, "g", "connect").await;
    connect(&app, "g", &guarded).await;

    let shown = server(&app, "g").await;
    let oauth = &shown["auth"]["oauth"];
    assert_eq!((&shown["auth"]["type"], &oauth["registration"]), (&json!("oauth"), &json!("dynamic")), "{shown}");
    assert_eq!(oauth["issuer"], guarded.issuer(), "{shown}");
    assert!(oauth["granted_scopes"].as_array().expect("scopes").contains(&json!("read")), "{shown}");
    for member in ["client_id", "expires_at", "connected_by", "connected_at"] {
        assert!(oauth[member].is_string(), "{member}: {shown}");
    }
    let key = app.agent_key("sdk").await;
    sdk_echoes(&app, &key).await;
    let session = session(&app).await;
    assert_eq!(session.call("echo", json!({"text": "a"})).await["result"]["content"], said("a"));
    let counts = guarded.counts().await;
    assert_eq!((counts.calls, counts.exchanges, counts.refreshes), (2, 1, 0), "{counts:?}");

    guarded.control(json!({"expire": true})).await;
    assert_eq!(session.call("echo", json!({"text": "b"})).await["result"]["content"], said("b"));
    let counts = guarded.counts().await;
    assert_eq!((counts.calls, counts.refreshes, counts.refusals), (3, 1, 0), "{counts:?}");

    guarded.control(json!({"revoke": true})).await;
    let refused = session.call("echo", json!({"text": "c"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    let shown = wanted(&app, "g", "reconnect").await;
    assert_eq!(shown["credentials"]["status"], "action_required", "{shown}");
    let over = guarded.counts().await;
    assert_eq!((over.calls, over.refreshes, over.refusals), (3, 1, 1), "{over:?}");
    for _ in 0..20 {
        let refused = session.call("echo", json!({"text": "d"})).await;
        assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    }
    let later = guarded.counts().await;
    assert_eq!((later.calls, later.refusals), (3, 1), "nobody is asked in vain: {later:?}");

    connect(&app, "g", &guarded).await;
    assert_eq!(session.call("echo", json!({"text": "e"})).await["result"]["content"], said("e"));
    sdk_echoes(&app, &key).await;
    let counts = guarded.counts().await;
    assert_eq!((counts.exchanges, counts.registrations), (2, 1), "the client is still known: {counts:?}");
}

#[actix_rt::test]
async fn what_an_agent_is_told_leads_it_to_no_login_of_its_own() {
    let guarded = Guarded::start().await;
    let app = registered(&guarded).await;
    wanted(&app, "g", "connect").await;
    let agent = app.agent("ann").await.header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let answer = agent.post("/mcp/g", initialize).await;
    assert_ne!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), None, "{answer:?}");
    for word in ["resource_metadata", "oauth-protected-resource", "invalid_token", &guarded.issuer()] {
        assert!(!answer.text.contains(word), "{word}: {answer:?}");
    }
}

#[actix_rt::test]
async fn reconnecting_takes_nothing_away_while_calls_go_on() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let session = session(&app).await;
    let begun = begin(&app.operator(), "g").await;
    assert_eq!(begun.outcome(&app, "g").await["status"], "pending");
    assert_eq!(session.call("echo", json!({"text": "a"})).await["result"]["content"], said("a"));
    let back = guarded.agree(&begun.authorize_url).await;
    assert_eq!(session.call("echo", json!({"text": "b"})).await["result"]["content"], said("b"));
    let calls = async {
        for n in 0..20 {
            let text = n.to_string();
            assert_eq!(session.call("echo", json!({"text": text})).await["result"]["content"], said(&text));
        }
    };
    let (page, ()) = tokio::join!(come_back(&app, &back, ""), calls);
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(begun.outcome(&app, "g").await["status"], "succeeded");
    let counts = guarded.counts().await;
    assert_eq!((counts.calls, counts.exchanges), (22, 2), "{counts:?}");
}

#[actix_rt::test]
async fn a_person_who_says_no_is_quoted_and_what_worked_goes_on() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let begun = begin(&app.operator(), "g").await;
    let back = guarded.refuse(&begun.authorize_url).await;
    assert!(back.contains("error=access_denied"), "{back}");
    let page = come_back(&app, &back, "").await;
    assert!(page.text.contains("access_denied") || page.text.contains("The person said no"), "{page:?}");
    begun.failed(&app, "g", "The person said no").await;
    assert_eq!(server(&app, "g").await["credentials"]["status"], "ready");
    assert_eq!(session(&app).await.call("echo", json!({"text": "a"})).await["result"]["content"], said("a"));
}

#[actix_rt::test]
async fn scopes_that_one_tool_wants_are_a_persons_to_give() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let session = session(&app).await;
    assert_eq!(session.call("echo", json!({"text": "a"})).await["result"]["content"], said("a"));
    let refused = session.call("write", json!({"text": "b"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    let shown = wanted(&app, "g", "reconnect").await;
    assert!(shown["credentials"]["reason"].as_str().expect("a reason").contains("write"), "{shown}");
    let asked = guarded.counts().await;
    assert_eq!((asked.refreshes, asked.authorizations), (0, 1), "a refresh brings no scopes: {asked:?}");
    connect(&app, "g", &guarded).await;
    assert_eq!(session.call("write", json!({"text": "c"})).await["result"]["content"], said("c"));
    let scopes = server(&app, "g").await["auth"]["oauth"]["granted_scopes"].clone();
    assert!(
        ["read", "write"].iter().all(|scope| scopes.as_array().expect("scopes").contains(&json!(scope))),
        "{scopes}"
    );
}

#[actix_rt::test]
async fn a_client_that_the_provider_forgot_is_registered_anew_by_the_next_reconnect() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let session = session(&app).await;
    guarded.control(json!({"expire": true, "forget": true})).await;
    let refused = session.call("echo", json!({"text": "a"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    wanted(&app, "g", "reconnect").await;
    connect(&app, "g", &guarded).await;
    assert_eq!(session.call("echo", json!({"text": "b"})).await["result"]["content"], said("b"));
    assert_eq!(guarded.counts().await.registrations, 2);
}

#[actix_rt::test]
async fn a_credential_survives_a_restart_and_is_forgotten_when_it_is_deleted() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let app = app.kill_and_restart().await;
    let opened = session(&app).await;
    assert_eq!(opened.call("echo", json!({"text": "a"})).await["result"]["content"], said("a"));
    let forgotten = app.operator().delete("/api/v1/servers/g/credential").await;
    assert_eq!(forgotten.status, 204, "{forgotten:?}");
    wanted(&app, "g", "connect").await;
    let refused = opened.call("echo", json!({"text": "b"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    assert_eq!(guarded.counts().await.calls, 1);
    connect(&app, "g", &guarded).await;
}
