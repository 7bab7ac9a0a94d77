//! What the gateway counts, and who may see it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::app::{ADMIN_TOKEN, App, Settings};
use crate::support::eventually;
use crate::support::http::Session;

#[actix_rt::test]
async fn this_machine_and_operators_may_read_the_metrics() {
    let app = Settings::default().with("ATRYUM_PUBLIC_URL", "https://gateway.example.com").start().await;
    let answer = app.anonymous().get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    for name in ["atryum_build_info", "atryum_sessions", "atryum_approvals_pending", "process_open_fds"] {
        assert!(answer.text.contains(&format!("# HELP {name} ")), "{name} is missing");
    }
    let through_proxy = app.anonymous().header("host", "gateway.example.com");
    assert_eq!(through_proxy.get("/metrics").await.status, 401);
    assert_eq!(app.anonymous().header("x-forwarded-for", "127.0.0.1").get("/metrics").await.status, 401);
    assert_eq!(through_proxy.bearer(ADMIN_TOKEN).get("/metrics").await.status, 200);
}

#[actix_rt::test]
async fn the_operations_page_names_every_metric_and_no_other() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    app.allow_all().await;
    Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await.call("echo", json!({})).await;
    let page = include_str!("../../../docs/operations.md");
    let told: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `atryum_")?.split('`').next()).collect();
    // A family of metrics without a value yet has no line in what is given out; its name is in the source.
    let source = include_str!("../../../src/metrics.rs");
    let known: BTreeSet<&str> = source.split("\"atryum_").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(told, known);
    let text = app.anonymous().get("/metrics").await.text;
    let given = text.lines().filter_map(|line| line.strip_prefix("# HELP atryum_")?.split(' ').next());
    assert!(given.clone().count() > 15);
    assert_eq!(given.filter(|name| !told.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[actix_rt::test]
async fn questions_are_counted_while_they_wait_and_by_their_end() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("echo", json!({"text": "x"}), None).await;
    let approval = app.pending_approval().await;
    let value = async |name: &str| -> f64 {
        let text = app.anonymous().get("/metrics").await.text;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("atryum_approvals_pending").await, 1.0);
    eventually("the oldest question is seen", async || {
        (value("atryum_approval_oldest_pending_seconds").await > 0.0).then_some(())
    })
    .await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    stream.message().await.expect("an answer");
    assert_eq!(value("atryum_approvals_pending").await, 0.0);
    assert_eq!(value("atryum_approvals_total{outcome=\"approved\"}").await, 1.0);
    assert_eq!(value("atryum_approval_wait_seconds_count{outcome=\"approved\"}").await, 1.0);
    assert!(value("atryum_approval_wait_seconds_bucket{outcome=\"approved\",le=\"2\"}").await <= 1.0);
    assert_eq!(value("atryum_rule_evaluations_total{action=\"ask\"}").await, 1.0);
    assert_eq!(value("atryum_audit_write_failures_total").await, 0.0);
}

#[actix_rt::test]
async fn a_call_is_counted_by_server_decision_and_outcome_and_by_nothing_that_the_agent_chose() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    app.rule(json!({"action": "deny", "tools": ["grow"]})).await;
    app.allow_all().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    session.call("echo", json!({"text": "hi"})).await;
    session.call("grow", json!({})).await;
    session.call("a-tool-that-the-agent-made-up", json!({})).await;
    let text = app.anonymous().get("/metrics").await.text;
    let has = |line: &str| assert!(text.contains(line), "{line} is missing in\n{text}");
    has("atryum_tool_calls_total{decision=\"allow\",outcome=\"ok\",server=\"n\"} 1");
    has("atryum_tool_calls_total{decision=\"deny\",outcome=\"denied\",server=\"n\"} 1");
    has("atryum_sessions 1");
    has("atryum_server_up{server=\"n\"} 1");
    assert!(!text.contains("made-up") && !text.contains("ann") && !text.contains("echo"), "{text}");
}
