//! Sessions with remote servers: what goes with each request, and what becomes of a session that is lost.

use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Client, Session, modern};
use crate::support::remote::{Fault, Manner, On, Remote, Request};

async fn opened(app: &App, remote: &Remote) -> Session {
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await
}

/// The one in which the call arrived last. The gateway's own sessions, for a listing or a look, are others.
fn session_of(remote: &Remote, text: &str) -> String {
    let calls = remote.seen("tools/call");
    let call = calls.iter().rev().find(|call| call.json["params"]["arguments"]["text"] == text).expect("the call");
    call.header("mcp-session-id").expect("a session").to_owned()
}

#[actix_rt::test]
async fn session_and_revision_go_with_everything_after_the_handshake() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    let standing = session.client.open("GET", "/mcp/n", String::new()).await;
    assert_eq!(standing.status, 200);
    session.call("echo", json!({"text": "x"})).await;
    eventually("a standing stream", async || (!remote.seen("GET").is_empty()).then_some(())).await;
    drop(standing);
    assert_eq!(session.client.delete("/mcp/n").await.status, 204);
    let id = session_of(&remote, "x");
    eventually("the session is ended there", async || (!remote.seen("DELETE").is_empty()).then_some(())).await;
    let ledger = remote.ledger();
    let first = ledger.iter().find(|request| request.is("initialize")).expect("a handshake");
    assert!(first.header("mcp-session-id").is_none() && first.header("mcp-protocol-version").is_none(), "{first:?}");
    let later: Vec<_> =
        ledger.iter().filter(|request| !request.is("initialize") && !request.is("server/discover")).collect();
    assert!(later.iter().any(|request| request.is("notifications/initialized")), "{later:?}");
    for request in later {
        assert!(request.header("mcp-session-id").is_some(), "{request:?}");
        assert_eq!(request.header("mcp-protocol-version"), Some("2025-11-25"), "{request:?}");
    }
    assert!(remote.seen("DELETE").iter().any(|end| end.header("mcp-session-id") == Some(&id)), "the agent's own");
}

#[actix_rt::test]
async fn every_request_says_what_it_takes_and_what_it_is() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    session.call("echo", json!({"text": "x"})).await;
    for request in remote.ledger() {
        let accept = request.header("accept").unwrap_or_default();
        if request.method == "POST" {
            assert!(accept.contains("application/json") && accept.contains("text/event-stream"), "{request:?}");
            assert_eq!(request.header("content-type"), Some("application/json"), "{request:?}");
            assert_eq!(request.json["jsonrpc"], "2.0", "one message and no more: {request:?}");
        }
        if request.method == "GET" {
            assert!(accept.contains("text/event-stream"), "{request:?}");
        }
        let encoding = request.header("accept-encoding").unwrap_or("identity");
        assert_eq!(encoding, "identity", "{request:?}");
        assert_eq!(request.header("host"), Some(remote.address.as_str()), "{request:?}");
    }
}

async fn is_healed_after(lost_status: u16) {
    let (app, remote) = (App::start().await, Remote::with(Manner { lost_status, ..Manner::default() }));
    let session = opened(&app, &remote).await;
    session.call("echo", json!({"text": "before"})).await;
    remote.lose_sessions();
    let after = session.call("echo", json!({"text": "after"})).await;
    assert_eq!(after["result"]["content"][0]["text"], "after", "{lost_status}: {after}");
    assert_ne!(session_of(&remote, "before"), session_of(&remote, "after"));
    let arrived: Vec<_> = remote
        .seen("tools/call")
        .into_iter()
        .filter(|call| call.json["params"]["arguments"]["text"] == "after")
        .collect();
    let (old, new) = (session_of(&remote, "before"), arrived.last().expect("it arrived"));
    let at_the_new = arrived.iter().filter(|call| call.header("mcp-session-id") != Some(&old)).count();
    assert_eq!(at_the_new, 1, "once where it was taken: {arrived:?}");
    assert_ne!(new.header("mcp-session-id"), Some(old.as_str()));
    let rows = app.invocations().await;
    let rows: Vec<_> = rows.iter().filter(|row| row["tool"] == "echo").collect();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["state"] == "completed"), "{rows:?}");
}

#[actix_rt::test]
async fn a_session_that_the_server_lost_is_begun_anew_and_the_call_made_once() {
    is_healed_after(404).await;
}

#[actix_rt::test]
async fn a_server_that_says_400_to_a_lost_session_is_understood_too() {
    is_healed_after(400).await;
}

#[actix_rt::test]
async fn what_the_session_had_set_is_set_again_in_the_new_one() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    let level = session.request("logging/setLevel", json!({"level": "warning"})).await.reply();
    assert_eq!(level["result"], json!({}), "{level}");
    remote.lose_sessions();
    session.call("echo", json!({"text": "after"})).await;
    let new = session_of(&remote, "after");
    let set: Vec<Request> = remote.seen("logging/setLevel");
    let again = set.iter().find(|set| set.header("mcp-session-id") == Some(&new));
    assert_eq!(again.expect("set again").json["params"]["level"], "warning");
}

#[actix_rt::test]
async fn several_calls_that_find_the_session_lost_begin_one_new_session() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    session.call("echo", json!({"text": "before"})).await;
    let before = remote.seen("initialize").len();
    remote.lose_sessions();
    let texts: Vec<_> = (0..8).map(|n| format!("after {n}")).collect();
    let calls = texts.iter().map(|text| session.call("echo", json!({"text": text})));
    for (answer, text) in futures_util::future::join_all(calls).await.iter().zip(&texts) {
        assert_eq!(answer["result"]["content"][0]["text"], json!(text), "{answer}");
    }
    assert_eq!(remote.seen("initialize").len() - before, 1, "one for all");
}

#[actix_rt::test]
async fn a_server_that_loses_each_new_session_at_once_is_not_asked_for_ever() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    remote.fault(On::Method("tools/call"), Fault::status(404));
    let answer = session.call("echo", json!({"text": "never"})).await;
    assert!(answer["error"]["data"]["code"].is_string(), "{answer}");
    assert!(remote.times_called("never") <= 2, "{:?}", remote.seen("tools/call"));
    assert!(remote.seen("initialize").len() <= 4, "{}", remote.seen("initialize").len());
}

#[actix_rt::test]
async fn a_tool_that_speaks_of_a_lost_session_has_lost_none() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    let before = remote.seen("initialize").len();
    let answer = session.call("lost", json!({"text": "lost"})).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("Session not found"), "{answer}");
    assert_eq!((remote.times_called("lost"), remote.seen("initialize").len()), (1, before));
}

#[actix_rt::test]
async fn each_agents_session_is_one_of_its_own_at_the_server() {
    let (app, remote) = (App::start().await, Remote::start());
    let ann = opened(&app, &remote).await;
    let bob = Session::open(&app.agent("bob").await, "n", "2025-11-25", json!({})).await;
    ann.call("echo", json!({"text": "of ann"})).await;
    bob.call("echo", json!({"text": "of bob"})).await;
    assert_ne!(session_of(&remote, "of ann"), session_of(&remote, "of bob"));
    let id = ann.client.header_value("mcp-session-id").unwrap();
    assert_ne!(session_of(&remote, "of ann"), id, "the gateway's own ids are for agents");
}

#[actix_rt::test]
async fn a_server_without_sessions_is_called_without_one() {
    let (app, remote) = (App::start().await, Remote::with(Manner { is_sessionful: false, ..Manner::default() }));
    let session = opened(&app, &remote).await;
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    assert!(remote.ledger().iter().all(|request| request.header("mcp-session-id").is_none()));
}

/// Calls in either era, listens, and ends the session.
async fn all_kinds_of_requests(app: &App, agent: &Client, remote: &Remote) {
    let session = Session::open(agent, "n", "2025-11-25", json!({})).await;
    let standing = session.client.open("GET", "/mcp/n", String::new()).await;
    session.call("echo", json!({"text": "x"})).await;
    eventually("a standing stream", async || (!remote.seen("GET").is_empty()).then_some(())).await;
    drop(standing);
    session.client.delete("/mcp/n").await;
    eventually("the end", async || (!remote.seen("DELETE").is_empty()).then_some(())).await;
    modern(agent, "n", "tools/call", json!({"name": "echo", "arguments": {"text": "y"}})).await;
    let tested = app.operator().post("/api/v1/servers/n/test", json!({})).await;
    assert_eq!(tested.json["ok"], true, "{tested:?}");
}

#[actix_rt::test]
async fn the_bearer_token_goes_with_every_request_and_the_agents_key_with_none() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let auth = json!({"type": "bearer", "bearer_token": "upstream-token-canary"});
    app.server_from(json!({"name": "n", "mode": "http", "base_url": remote.url, "auth": auth})).await;
    let key = app.agent_key("ann").await;
    let agent = app.anonymous().bearer(&key).header("cookie", "a=agents-cookie").header("x-canary", "agents-header");
    all_kinds_of_requests(&app, &agent, &remote).await;
    for request in remote.ledger() {
        assert_eq!(request.header("authorization"), Some("Bearer upstream-token-canary"), "{request:?}");
        let text = format!("{request:?}");
        for secret in [key.as_str(), "agents-cookie", "agents-header", crate::support::app::ADMIN_TOKEN] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let shown = app.operator().get("/api/v1/servers/n").await;
    assert_eq!(shown.json["auth"]["bearer_token_set"], true, "{shown:?}");
    let logs = app.operator().get("/api/v1/servers/n/logs").await.text;
    for told in [shown.text, logs, app.log()] {
        assert!(!told.contains("upstream-token-canary"), "{told}");
    }
}

#[actix_rt::test]
async fn the_operators_headers_go_with_every_request() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let auth = json!({"type": "headers", "headers": {"X-Api-Key": "header-canary", "X-Team": "blue"}});
    app.server_from(json!({"name": "n", "mode": "http", "base_url": remote.url, "auth": auth})).await;
    let key = app.agent_key("ann").await;
    all_kinds_of_requests(&app, &app.anonymous().bearer(&key), &remote).await;
    for request in remote.ledger() {
        let sent = (request.header("x-api-key"), request.header("x-team"), request.header("authorization"));
        assert_eq!(sent, (Some("header-canary"), Some("blue"), None), "{request:?}");
        assert!(!format!("{request:?}").contains(&key), "{request:?}");
    }
    assert!(!app.log().contains("header-canary"), "{}", app.log());
}

#[actix_rt::test]
async fn proxies_of_the_environment_are_not_asked() {
    let (proxy, remote) = (Remote::start(), Remote::start());
    let mut settings = Settings::default();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        settings = settings.with(name, &format!("http://{}", proxy.address));
    }
    let app = settings.start().await;
    let session = opened(&app, &remote).await;
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    assert_eq!((proxy.connections(), remote.times_called("x")), (0, 1));
}

#[actix_rt::test]
async fn an_edited_address_is_where_the_next_call_goes_and_the_old_session_is_ended() {
    let (app, old, new) = (App::start().await, Remote::start(), Remote::start());
    let session = opened(&app, &old).await;
    session.call("echo", json!({"text": "old"})).await;
    let edited = app.operator().patch("/api/v1/servers/n", json!({"base_url": new.url})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let answer = session.call("echo", json!({"text": "new"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "new", "{answer}");
    assert_eq!((old.times_called("new"), new.times_called("new")), (0, 1));
    eventually("the old session is ended", async || old.sessions().is_empty().then_some(())).await;
}

#[actix_rt::test]
async fn a_server_that_was_modern_and_is_no_longer_is_found_out() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    eventually("it was looked at", async || (!remote.seen("DELETE").is_empty()).then_some(())).await;
    let unknown = r#"{"jsonrpc":"2.0","id":THE-ID,"error":{"code":-32601,"message":"Method not found"}}"#;
    let modern = r#"{"jsonrpc":"2.0","id":THE-ID,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],
        "capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}}"#;
    remote.fault_times(1, On::Method("initialize"), Fault::json(unknown));
    remote.fault_times(1, On::Method("server/discover"), Fault::json(modern));
    let agent = app.agent("ann").await;
    Session::open(&agent, "n", "2025-11-25", json!({})).await;
    remote.fault(On::Method("server/discover"), Fault::status(400));
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
}

#[actix_rt::test]
async fn a_server_that_takes_no_notifications_does_not_cost_a_connection_for_each() {
    let (app, remote) = (App::start().await, Remote::start());
    let session = opened(&app, &remote).await;
    remote.fault(On::Method("notifications/roots/list_changed"), Fault::hang());
    for _ in 0..200 {
        assert_eq!(session.notify("notifications/roots/list_changed", json!({})).await.status, 202);
    }
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    assert!(remote.connections() < 100, "{}", remote.connections());
}

#[actix_rt::test]
async fn a_server_that_says_404_to_who_listens_has_not_lost_the_session() {
    let (app, remote) = (App::start().await, Remote::start());
    remote.fault(On::Get, Fault::status(404));
    let session = opened(&app, &remote).await;
    for text in ["first", "second"] {
        session.call("echo", json!({ "text": text })).await;
        let id = session_of(&remote, text);
        let asked =
            async || remote.seen("GET").iter().any(|get| get.header("mcp-session-id") == Some(&id)).then_some(());
        eventually("it was listened to", asked).await;
    }
    assert_eq!(session_of(&remote, "first"), session_of(&remote, "second"));
}
