//! What servers tell unasked, and what agents subscribe to, within an era and across.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::{Client, Open, Session, modern, modern_request};
use crate::support::program::Program;

/// A gateway in front of a server with resources; what the server is told is in the file.
async fn app_with(flags: &[&str]) -> (App, std::path::PathBuf) {
    let app = App::start().await;
    app.allow_all().await;
    let spy = app.dir().join("spy");
    let spying = format!("spy={}", spy.display());
    let flags: Vec<_> = flags.iter().copied().chain(["resources", &spying]).collect();
    app.nasty("n", &flags).await;
    (app, spy)
}

/// How often the server was told to do that with that resource.
fn told(spy: &std::path::Path, method: &str, uri: &str) -> usize {
    let text = std::fs::read_to_string(spy).unwrap_or_default();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter(|message| message["method"] == method && message["params"]["uri"] == uri).count()
}

async fn listen(agent: &Client, id: &str, notifications: Value) -> (Open, Value) {
    let mut params = json!({ "notifications": notifications });
    let (client, body) = modern_request(agent, "subscriptions/listen", &mut params);
    let body = body.replacen("\"id\":1", &format!("\"id\":\"{id}\""), 1);
    let mut stream = client.open("POST", "/mcp/n", body).await;
    let first = stream.message().await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{first}");
    let granted = first["params"]["notifications"].clone();
    (stream, granted)
}

async fn touch(agent: &Client, uri: &str) {
    let touched = modern(agent, "n", "tools/call", json!({"name": "touch", "arguments": {"uri": uri}})).await.reply();
    assert!(touched["result"]["content"].is_array(), "{touched}");
}

async fn hears_of(stream: &mut Open, id: &str, uri: &str) {
    let told = stream.message().await.expect("an update");
    assert_eq!((&told["method"], &told["params"]["uri"]), (&json!("notifications/resources/updated"), &json!(uri)));
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{told}");
}

#[actix_rt::test]
async fn a_modern_agent_hears_of_what_it_subscribed_to_and_of_nothing_else() {
    for flags in [&[][..], &["modern"]] {
        let (app, _) = app_with(flags).await;
        let agent = app.agent("ann").await;
        let (mut one, granted) = listen(&agent, "one", json!({"resourceSubscriptions": ["x://1", "x://both"]})).await;
        assert_eq!(granted, json!({"resourceSubscriptions": ["x://1", "x://both"]}), "{flags:?}");
        let (mut two, _) = listen(&agent, "two", json!({"resourceSubscriptions": ["x://2", "x://both"]})).await;
        touch(&agent, "x://2").await;
        touch(&agent, "x://1").await;
        touch(&agent, "x://both").await;
        hears_of(&mut one, "one", "x://1").await;
        hears_of(&mut one, "one", "x://both").await;
        hears_of(&mut two, "two", "x://2").await;
        hears_of(&mut two, "two", "x://both").await;
    }
}

#[actix_rt::test]
async fn only_what_the_rules_let_through_and_the_server_grants_is_acknowledged() {
    for flags in [&[][..], &["modern"]] {
        let (app, spy) = app_with(flags).await;
        let secret = json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["x://secret*"],
            "methods": ["resources/subscribe"]});
        app.rule_first(secret).await;
        let agent = app.agent("ann").await;
        let wanted = json!({"toolsListChanged": true, "promptsListChanged": true,
            "resourceSubscriptions": ["x://1", "x://secret", "x://refused"]});
        let (mut stream, granted) = listen(&agent, "l", wanted).await;
        assert_eq!(granted, json!({"toolsListChanged": true, "resourceSubscriptions": ["x://1"]}), "{flags:?}");
        touch(&agent, "x://secret").await;
        touch(&agent, "x://1").await;
        hears_of(&mut stream, "l", "x://1").await;
        let asked = std::fs::read_to_string(&spy).unwrap();
        let asked = asked.lines().filter(|line| !line.contains("tools/call")).collect::<String>();
        assert!(!asked.contains("x://secret"), "the server was asked for what is denied: {asked}");
        let rows = app.invocations().await;
        let denied: Vec<_> = rows.iter().filter(|row| row["state"] == "denied").map(|row| &row["tool"]).collect();
        assert_eq!(denied, ["x://secret"], "{rows:?}");
    }
}

#[actix_rt::test]
async fn a_subscription_that_needs_a_person_waits_for_one() {
    for flags in [&[][..], &["modern"]] {
        let (app, _) = app_with(flags).await;
        app.rule_first(json!({"action": "ask", "agents": ["*"], "servers": ["*"], "tools": ["x://1"],
            "methods": ["resources/subscribe"]}))
            .await;
        let agent = app.agent("ann").await;
        let approve = async {
            let approval = app.pending_approval().await;
            assert_eq!(approval["tool"], "x://1", "{approval}");
            let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
            let body = json!({"digest": approval["digest"]});
            let approved = app.operator().post(&path, body).await;
            assert_eq!(approved.status, 200, "{approved:?}");
        };
        let wanted = json!({"resourceSubscriptions": ["x://1"]});
        let ((mut stream, granted), ()) = tokio::join!(listen(&agent, "l", wanted), approve);
        assert_eq!(granted, json!({"resourceSubscriptions": ["x://1"]}), "{flags:?}");
        touch(&agent, "x://1").await;
        hears_of(&mut stream, "l", "x://1").await;
    }
}

#[actix_rt::test]
async fn a_legacy_server_is_told_of_the_first_listener_and_of_the_last_one_that_leaves() {
    let (app, spy) = app_with(&[]).await;
    let agent = app.agent("ann").await;
    let wanted = || json!({"resourceSubscriptions": ["x://1"]});
    let (one, _) = listen(&agent, "one", wanted()).await;
    let (mut two, _) = listen(&agent, "two", wanted()).await;
    assert_eq!(told(&spy, "resources/subscribe", "x://1"), 1);
    drop(one);
    touch(&agent, "x://1").await;
    hears_of(&mut two, "two", "x://1").await;
    assert_eq!(told(&spy, "resources/unsubscribe", "x://1"), 0);
    drop(two);
    eventually("the server is told that nobody listens", async || {
        (told(&spy, "resources/unsubscribe", "x://1") == 1).then_some(())
    })
    .await;
    let (_three, granted) = listen(&agent, "three", wanted()).await;
    assert_eq!((granted, told(&spy, "resources/subscribe", "x://1")), (wanted(), 2));
}

#[actix_rt::test]
async fn another_agents_subscriptions_are_its_own() {
    let (app, _) = app_with(&[]).await;
    let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
    let (mut of_ann, _) = listen(&ann, "a", json!({"resourceSubscriptions": ["x://1"]})).await;
    let (mut of_bob, _) = listen(&bob, "b", json!({"resourceSubscriptions": ["x://1", "x://2"]})).await;
    touch(&bob, "x://2").await;
    touch(&ann, "x://1").await;
    hears_of(&mut of_bob, "b", "x://2").await;
    hears_of(&mut of_ann, "a", "x://1").await;
}

#[actix_rt::test]
async fn who_wants_to_hear_of_too_much_is_told_the_bound() {
    let (app, _) = app_with(&[]).await;
    let uris: Vec<_> = (0..257).map(|n| format!("x://{n}")).collect();
    let params = json!({"notifications": {"resourceSubscriptions": uris}});
    let refused = modern(&app.agent("ann").await, "n", "subscriptions/listen", params).await.reply();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("256"), "{refused}");
}

/// A legacy agent's session and its standing stream.
async fn in_session(app: &App, agent: &str) -> (Session, Open) {
    let session = Session::open(&app.agent(agent).await, "n", "2025-11-25", json!({})).await;
    let standing = session.client.open("GET", "/mcp/n", String::new()).await;
    assert_eq!(standing.status, 200);
    (session, standing)
}

async fn is_told_of(standing: &mut Open, uri: &str) {
    let told = standing.message().await.expect("an update");
    assert_eq!((&told["method"], &told["params"]), (&json!("notifications/resources/updated"), &json!({"uri": uri})));
}

/// How many listenings the server was asked for, less those that were taken back.
fn listenings(spy: &std::path::Path) -> (usize, usize) {
    let text = std::fs::read_to_string(spy).unwrap_or_default();
    let messages: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let asked: Vec<_> = messages.iter().filter(|message| message["method"] == "subscriptions/listen").collect();
    let is_cancelled = |id: &Value| {
        messages
            .iter()
            .any(|message| message["method"] == "notifications/cancelled" && message["params"]["requestId"] == *id)
    };
    (asked.len(), asked.iter().filter(|message| !is_cancelled(&message["id"])).count())
}

#[actix_rt::test]
async fn a_legacy_agent_hears_what_a_modern_server_tells() {
    let (app, _) = app_with(&["modern"]).await;
    let (session, mut standing) = in_session(&app, "ann").await;
    let capabilities = &session.initialized["result"]["capabilities"];
    assert_eq!(
        (&capabilities["tools"]["listChanged"], &capabilities["resources"]["subscribe"]),
        (&json!(true), &json!(true))
    );
    session.call("grow", json!({})).await;
    let told = standing.message().await.expect("a change");
    assert_eq!(told, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
}

#[actix_rt::test]
async fn a_legacy_agent_subscribes_at_a_modern_server_by_one_listening() {
    let (app, spy) = app_with(&["modern"]).await;
    let (session, mut standing) = in_session(&app, "ann").await;
    for uri in ["x://1", "x://2"] {
        let subscribed = session.request("resources/subscribe", json!({"uri": uri})).await.reply();
        assert_eq!(subscribed["result"], json!({}), "{subscribed}");
    }
    session.call("touch", json!({"uri": "x://3"})).await;
    session.call("touch", json!({"uri": "x://2"})).await;
    is_told_of(&mut standing, "x://2").await;
    let (asked, open) = listenings(&spy);
    assert_eq!((asked, open), (3, 1), "one for the lists, and a new one with each subscription");
    let unsubscribed = session.request("resources/unsubscribe", json!({"uri": "x://2"})).await.reply();
    assert_eq!(unsubscribed["result"], json!({}), "{unsubscribed}");
    session.call("touch", json!({"uri": "x://2"})).await;
    session.call("touch", json!({"uri": "x://1"})).await;
    is_told_of(&mut standing, "x://1").await;
    let rows = app.invocations().await;
    let of = |method: &str| rows.iter().filter(|row| row["method"] == method && row["state"] == "completed").count();
    assert_eq!((of("resources/subscribe"), of("resources/unsubscribe"), of("subscriptions/listen")), (2, 1, 0));
    assert_eq!(session.client.delete("/mcp/n").await.status, 204);
}

#[actix_rt::test]
async fn what_a_legacy_agent_may_not_subscribe_to_is_not_listened_for() {
    let (app, spy) = app_with(&["modern"]).await;
    app.rule_first(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["x://secret"],
        "methods": ["resources/subscribe"]}))
        .await;
    let (session, mut standing) = in_session(&app, "ann").await;
    let denied = session.request("resources/subscribe", json!({"uri": "x://secret"})).await.reply();
    assert_eq!(denied["error"]["code"], -32003, "{denied}");
    assert!(!std::fs::read_to_string(&spy).unwrap().contains("x://secret"));
    let refused = session.request("resources/subscribe", json!({"uri": "x://refused"})).await.reply();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(session.request("resources/subscribe", json!({"uri": "x://1"})).await.reply()["result"], json!({}));
    session.call("touch", json!({"uri": "x://1"})).await;
    is_told_of(&mut standing, "x://1").await;
    assert_eq!(listenings(&spy).1, 1, "what was refused left nothing open");
}

#[actix_rt::test]
async fn a_listening_that_the_server_ended_is_begun_again_and_what_may_have_been_missed_is_told() {
    let (app, spy) = app_with(&["modern"]).await;
    let (session, mut standing) = in_session(&app, "ann").await;
    assert_eq!(session.request("resources/subscribe", json!({"uri": "x://1"})).await.reply()["result"], json!({}));
    session.call("hangup", json!({})).await;
    assert_eq!(standing.message().await.expect("a change")["method"], "notifications/tools/list_changed");
    is_told_of(&mut standing, "x://1").await;
    session.call("touch", json!({"uri": "x://1"})).await;
    is_told_of(&mut standing, "x://1").await;
    assert_eq!(listenings(&spy).0, 3);
}

#[actix_rt::test]
async fn subscriptions_outlive_the_server_that_they_were_made_at() {
    for flags in [&[][..], &["modern"]] {
        let (app, _) = app_with(flags).await;
        let (session, mut standing) = in_session(&app, "ann").await;
        assert_eq!(session.request("resources/subscribe", json!({"uri": "x://1"})).await.reply()["result"], json!({}));
        assert_eq!(app.operator().post("/api/v1/servers/n/restart", json!({})).await.status, 204);
        session.call("echo", json!({})).await;
        assert_eq!(standing.message().await.expect("a change")["method"], "notifications/tools/list_changed");
        // The listening is begun beside the call.
        let told = async {
            loop {
                session.call("touch", json!({"uri": "x://1"})).await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = told => {}
            () = is_told_of(&mut standing, "x://1") => {}
        }
    }
}

const WATCHED: &str = "test://watched-resource";

/// A gateway in front of a remote server of that era.
async fn app_with_remote(era: &str) -> (App, Program) {
    let (app, remote) = (App::start().await, Program::conformance(era).await);
    app.allow_all().await;
    app.remote("n", &remote.url("/mcp")).await;
    (app, remote)
}

#[actix_rt::test]
async fn a_modern_agent_subscribes_at_a_remote_server_of_either_era() {
    for era in ["modern", "legacy"] {
        let (app, _remote) = app_with_remote(era).await;
        let agent = app.agent("ann").await;
        let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [WATCHED]});
        let (mut stream, granted) = listen(&agent, "l", wanted.clone()).await;
        assert_eq!(granted, wanted, "{era}");
        let trigger = async |tool: &str| {
            let called = modern(&agent, "n", "tools/call", json!({"name": tool, "arguments": {}})).await.reply();
            assert!(called["result"]["content"].is_array(), "{called}");
        };
        trigger("test_trigger_resource_update").await;
        hears_of(&mut stream, "l", WATCHED).await;
        trigger("test_trigger_tool_change").await;
        let told = stream.message().await.expect("a change");
        assert_eq!(told["method"], "notifications/tools/list_changed", "{era}: {told}");
    }
}

#[actix_rt::test]
async fn a_legacy_agent_subscribes_at_a_remote_server_of_either_era() {
    for era in ["modern", "legacy"] {
        let (app, _remote) = app_with_remote(era).await;
        let (session, mut standing) = in_session(&app, "ann").await;
        let subscribed = session.request("resources/subscribe", json!({"uri": WATCHED})).await.reply();
        assert_eq!(subscribed["result"], json!({}), "{era}: {subscribed}");
        session.call("test_trigger_resource_update", json!({})).await;
        is_told_of(&mut standing, WATCHED).await;
        session.call("test_trigger_tool_change", json!({})).await;
        let told = standing.message().await.expect("a change");
        assert_eq!(told["method"], "notifications/tools/list_changed", "{era}: {told}");
        let unsubscribed = session.request("resources/unsubscribe", json!({"uri": WATCHED})).await.reply();
        assert_eq!(unsubscribed["result"], json!({}), "{era}: {unsubscribed}");
        session.call("test_trigger_resource_update", json!({})).await;
        session.call("test_trigger_tool_change", json!({})).await;
        let told = standing.message().await.expect("a change");
        assert_eq!(told["method"], "notifications/tools/list_changed", "{era}: {told}");
    }
}
