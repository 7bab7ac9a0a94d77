//! What is edited at one gateway holds at the other.

use std::time::Instant;

use atryum::audit::verify_database;
use atryum::store::audit::Archive;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::Client;
use crate::support::muted::Muted;
use crate::support::postgres::create_database;
use crate::support::replicas::{session, settings, two};

async fn rule(app: &App, action: &str) -> String {
    let rule = json!({"action": action, "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["*"]});
    app.rule_first(rule).await.json["id"].as_str().unwrap().to_owned()
}

/// From each edit of the rules at `one` until a call at `other` is decided by it.
async fn rules_hold(one: &App, other: &App) -> Vec<std::time::Duration> {
    one.nasty("n", &[]).await;
    let session = session(other, &one.agent_key("ann").await, "n").await;
    one.operator().put("/api/v1/settings", json!({"default_action": "deny"})).await;
    let decides = async |app: &App| app.anonymous().get("/readyz").await.json["checks"][3]["detail"].clone();
    eventually("the default holds at the other", async || (decides(one).await == decides(other).await).then_some(()))
        .await;
    let mut took = Vec::new();
    for action in ["allow", "deny", "allow", "deny"] {
        rule(one, action).await;
        let edited = Instant::now();
        eventually("the rule holds at the other", async || {
            let answer = session.call("echo", json!({"text": "x"})).await;
            ((answer["result"]["isError"] == true) == (action == "deny")).then_some(())
        })
        .await;
        took.push(edited.elapsed());
    }
    took
}

#[actix_rt::test]
async fn a_rule_holds_at_every_gateway() {
    let (one, other) = two(&create_database().await).await;
    println!("rules hold at the other gateway after {:?}", rules_hold(&one, &other).await);
}

#[actix_rt::test]
async fn a_rule_holds_at_every_gateway_though_no_notification_arrives() {
    let url = create_database().await;
    let muted = Muted::start(&url);
    let (one, other) = (settings(&url).start().await, settings(&muted.url).start().await);
    println!("rules hold at the other gateway, no notification, after {:?}", rules_hold(&one, &other).await);
    assert!(muted.swallowed() > 0);
}

#[actix_rt::test]
async fn a_key_that_is_revoked_at_one_gateway_ends_what_was_begun_with_it_at_the_other() {
    let (one, other) = two(&create_database().await).await;
    one.nasty("n", &[]).await;
    let key = one.agent_key("ann").await;
    let session = session(&other, &key, "n").await;
    let mut waiting = session.open_call("echo", json!({"text": "x"}), None).await;
    one.pending_approval().await;
    let agent = one.operator().get("/api/v1/agents/ann").await;
    let id = agent.json["keys"][0]["id"].as_str().unwrap_or_else(|| panic!("{agent:?}")).to_owned();
    let revoked = one.operator().delete(&format!("/api/v1/agents/ann/keys/{id}")).await;
    assert!(revoked.status < 300, "{revoked:?}");
    assert!(waiting.message().await.is_none(), "its stream ends");
    let refused = Client::new(&other.url).bearer(&key).post("/mcp/n", json!({})).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    eventually("its call is ended", async || {
        one.invocations().await.iter().all(|row| row["state"] == "cancelled").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_server_that_is_edited_at_one_gateway_is_the_edited_one_at_the_other() {
    let (one, other) = two(&create_database().await).await;
    one.allow_all().await;
    one.nasty("n", &[]).await;
    let key = one.agent_key("ann").await;
    assert_eq!(session(&other, &key, "n").await.call("echo", json!({"text": "x"})).await["result"]["isError"], false);
    let disabled = one.operator().patch("/api/v1/servers/n", json!({"enabled": false})).await;
    assert_eq!(disabled.status, 200, "{disabled:?}");
    let agent = Client::new(&other.url).bearer(&key);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    eventually("it is disabled there", async || {
        (agent.post("/mcp/n", hello.clone()).await.status != 200).then_some(())
    })
    .await;
    assert_eq!(one.operator().delete("/api/v1/servers/n").await.status, 204);
    eventually("it is gone there", async || {
        (other.operator().get("/api/v1/servers").await.json["items"] == json!([])).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn gateways_that_start_at_once_on_an_empty_database_serve_and_their_chains_hold() {
    let url = create_database().await;
    let apps = join_all((0..3).map(|_| settings(&url).start())).await;
    for (number, app) in apps.iter().enumerate() {
        app.agent_key(&format!("agent-{number}")).await;
        let ready = app.anonymous().get("/readyz").await;
        assert_eq!(ready.status, 200, "{ready:?}");
        let signed = app.operator().post("/api/v1/audit/checkpoint", json!({})).await;
        assert_eq!(signed.status, 200, "{signed:?}");
    }
    let archive = Archive::open(&url).await.unwrap();
    assert_eq!(archive.chains().await.unwrap(), [1, 2, 3]);
    let report = verify_database(&archive, None, Vec::new()).await.unwrap();
    assert_eq!((&report.findings, report.checkpoints >= 3), (&Vec::new(), true), "{report:?}");
    // what one exports is the record of all
    let export = apps[1].operator().get("/api/v1/audit/export?format=jsonl").await;
    for chain in 1..=3 {
        assert!(export.text.contains(&format!("\"type\":\"checkpoint\",\"chain\":{chain},")), "{}", export.text);
    }
}

#[actix_rt::test]
async fn an_operator_who_logged_in_at_one_gateway_is_known_at_the_other() {
    let (one, other) = two(&create_database().await).await;
    let link = one.operator().post("/api/v1/login-links", json!({})).await;
    assert_eq!(link.status, 201, "{link:?}");
    let url = link.json["url"].as_str().unwrap();
    let code = url.split_once("#code=").expect("a code").1;
    // the link is spent where it was not made
    let login = other.anonymous().post("/api/v1/login", json!({ "code": code })).await;
    assert!(login.status < 300, "{login:?}");
    let again = one.anonymous().post("/api/v1/login", json!({ "code": code })).await;
    assert_eq!(again.status, 401, "{again:?}");
}
