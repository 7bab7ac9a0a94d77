//! What the gateway counts, and who may see it.

use serde_json::json;

use crate::support::app::{ADMIN_TOKEN, App, Settings};
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
