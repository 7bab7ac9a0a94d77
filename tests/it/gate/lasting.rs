//! Questions that outlive the calls that asked them.

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Session, modern};

/// Agents here wait for no time at all, unless a test says otherwise.
async fn impatient(flags: &[&str]) -> (App, Session) {
    started(Settings::default().with("ATRYUM_GATE__WAITS", "*=0"), flags).await
}

async fn started(settings: Settings, flags: &[&str]) -> (App, Session) {
    let app = settings.start().await;
    let ledger = format!("ledger={}", app.dir().join("ledger").display());
    app.nasty("n", &[flags, &["both", &ledger]].concat()).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    (app, session)
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

async fn answer(app: &App, approval: &Value, verb: &str, more: Value) -> Value {
    let mut body = json!({"digest": approval["digest"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answered =
        app.operator().post(&format!("/api/v1/approvals/{}/{verb}", approval["id"].as_str().unwrap()), body).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    answered.json
}

fn one() -> Value {
    json!({"text": "x", "nonce": "one"})
}

fn is_pending(result: &Value) -> bool {
    result["result"]["structuredContent"]["status"] == "pending_approval" && result["result"]["isError"] != true
}

#[actix_rt::test]
async fn when_its_patience_ends_an_agent_is_told_how_to_come_back_and_then_gets_its_outcome() {
    let (app, session) = impatient(&[]).await;
    let told = session.call("echo", one()).await;
    let approval = app.pending_approval().await;
    assert!(is_pending(&told), "{told}");
    let facts = &told["result"]["structuredContent"];
    assert_eq!(facts["approval_id"], approval["id"]);
    assert_eq!(facts["url"], format!("{}/ui/#approval={}", app.url, approval["id"].as_str().unwrap()));
    let words = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(words.contains(approval["id"].as_str().unwrap()) && words.contains("same arguments"), "{words}");
    assert!(is_pending(&session.call("echo", one()).await), "it still waits");
    answer(&app, &approval, "approve", json!({})).await;
    assert_eq!(ledger(&app), "", "nothing runs while its agent is gone");
    let outcome = session.call("echo", one()).await;
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "{outcome}");
    assert_eq!(ledger(&app), "one\n");
    let read = app.operator().get(&format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap())).await.json;
    let rows = app.invocations().await;
    assert_eq!((&read["used_by"], read["used_at"].is_string()), (&rows[0]["id"], true), "{read}");
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states[..3], ["completed", "cancelled", "cancelled"], "each call has its own row");
    assert!(rows[..3].iter().all(|row| row["decision"]["approval_id"] == approval["id"]), "and all one approval");
    assert!(is_pending(&session.call("echo", one()).await), "a yes is good once");
    assert_eq!(ledger(&app), "one\n");
}

#[actix_rt::test]
async fn a_denial_is_told_to_the_same_call_made_again_and_asks_nobody_anew() {
    let (app, session) = impatient(&[]).await;
    session.call("echo", one()).await;
    let approval = app.pending_approval().await;
    answer(&app, &approval, "deny", json!({"reason": "use the sandbox"})).await;
    for _ in 0..2 {
        let told = session.call("echo", one()).await;
        assert_eq!(told["result"]["isError"], true, "{told}");
        assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("use the sandbox"), "{told}");
    }
    assert_eq!(app.operator().get("/api/v1/approvals").await.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn calls_that_ask_the_same_are_one_question_and_a_yes_runs_one_of_them() {
    let (app, session) = started(Settings::default(), &[]).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(session.open_call("echo", one(), None).await);
    }
    eventually("all wait", async || {
        let rows = app.invocations().await;
        (rows.iter().filter(|row| row["state"] == "pending").count() == 5).then_some(())
    })
    .await;
    let list = app.operator().get("/api/v1/approvals?status=pending").await.json;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    answer(&app, &list["items"][0], "approve", json!({})).await;
    let mut told = Vec::new();
    for stream in &mut streams {
        told.push(stream.message().await.expect("an answer"));
    }
    let (ran, others): (Vec<_>, Vec<_>) = told.iter().partition(|told| told["result"]["isError"] == false);
    assert_eq!(ran.len(), 1, "{told:?}");
    for other in others {
        assert!(other["result"]["content"][0]["text"].as_str().unwrap().contains("has used that"), "{other}");
    }
    assert_eq!(ledger(&app), "one\n");
}

#[actix_rt::test]
async fn an_agent_has_so_many_questions_at_a_time_and_is_told_what_to_do() {
    let settings = Settings::default().with("ATRYUM_GATE__WAITS", "*=0").with("ATRYUM_GATE__APPROVALS_PER_AGENT", "2");
    let (app, session) = started(settings, &[]).await;
    let ask = async |n: usize| session.call("echo", json!({"text": "x", "nonce": format!("{n}")})).await;
    assert!(is_pending(&ask(0).await) && is_pending(&ask(1).await));
    let told = ask(2).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("2 questions of yours wait"), "{told}");
    assert_eq!(app.invocations().await[0]["state"], "refused");
    assert!(is_pending(&ask(1).await), "what it has asked, it may ask after");
    let other = Session::open(&app.agent("bob").await, "n", "2025-11-25", json!({})).await;
    assert!(is_pending(&other.call("echo", one()).await), "it is for each agent");
    answer(&app, &app.pending_approval().await, "deny", json!({})).await;
    let list = app.operator().get("/api/v1/approvals?status=pending").await.json;
    for approval in list["items"].as_array().unwrap() {
        answer(&app, approval, "deny", json!({})).await;
    }
    assert!(is_pending(&ask(2).await));
}

#[actix_rt::test]
async fn a_question_survives_a_kill_and_its_answer_too() {
    let (mut app, session) = impatient(&[]).await;
    session.call("echo", one()).await;
    session.call("echo", json!({"text": "x", "nonce": "two"})).await;
    let waiting = {
        let call = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"nonce": "three"}}});
        session.client.post("/mcp/n", call).await;
        app.operator().get("/api/v1/approvals?status=pending").await.json
    };
    let items = waiting["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 3);
    // One is answered before the kill, one after it, and one has no answer.
    answer(&app, &items[0], "approve", json!({})).await;
    let key = session.client.header_value("authorization").unwrap().trim_start_matches("Bearer ").to_owned();
    app.kill();
    let app = app.kill_and_restart().await;
    answer(&app, &items[1], "approve", json!({})).await;
    let session = Session::open(&app.anonymous().bearer(&key), "n", "2025-11-25", json!({})).await;
    let call = async |nonce: &str, text: bool| {
        let arguments = if text { json!({"text": "x", "nonce": nonce}) } else { json!({"nonce": nonce}) };
        session.call("echo", arguments).await
    };
    assert_eq!(call("three", false).await["result"]["isError"], false);
    assert_eq!(call("two", true).await["result"]["content"][0]["text"], "x");
    assert!(is_pending(&call("one", true).await));
    assert_eq!(ledger(&app), "three\ntwo\n");
    let terminal = ["completed", "cancelled"];
    for row in app.invocations().await {
        assert!(terminal.contains(&row["state"].as_str().unwrap()), "{row}");
    }
}

#[actix_rt::test]
async fn a_tool_that_promises_a_form_is_answered_without_breaking_the_promise() {
    let (_app, session) = impatient(&["promises"]).await;
    let told = session.call("echo", one()).await;
    assert_eq!((&told["result"]["isError"], &told["result"]["structuredContent"]), (&json!(true), &Value::Null));
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("Approval pending"), "{told}");
}

#[actix_rt::test]
async fn a_modern_agent_finds_its_answer_like_another() {
    let (app, session) = impatient(&[]).await;
    let agent = app.agent("bob").await;
    let call = async || modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": one()})).await.reply();
    let told = call().await;
    assert!(is_pending(&told) && told["result"]["resultType"] == "complete", "{told}");
    answer(&app, &app.pending_approval().await, "approve", json!({})).await;
    let outcome = call().await;
    assert_eq!(outcome["result"]["content"][0]["text"], "x", "{outcome}");
    drop(session);
}

#[actix_rt::test]
async fn what_is_no_tool_is_answered_by_an_error_that_says_how_to_come_back() {
    let (app, session) = impatient(&[]).await;
    let told = session.request("resources/read", json!({"uri": "x://1"})).await.reply();
    let approval = app.pending_approval().await;
    let data = &told["error"]["data"];
    assert_eq!((&data["code"], &data["retry"]), (&json!("approval_pending"), &json!("safe")), "{told}");
    assert_eq!(data["approval_id"], approval["id"]);
}

#[actix_rt::test]
async fn an_agent_made_later_under_the_same_name_inherits_no_yes() {
    let (app, session) = impatient(&[]).await;
    session.call("echo", one()).await;
    answer(&app, &app.pending_approval().await, "approve", json!({})).await;
    assert_eq!(app.operator().delete("/api/v1/agents/ann").await.status, 204);
    let other = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    assert!(is_pending(&other.call("echo", one()).await));
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn a_yes_lapses_when_nobody_comes_for_it() {
    let settings =
        Settings::default().with("ATRYUM_GATE__WAITS", "*=0").with("ATRYUM_GATE__APPROVAL_HOLDS_SECONDS", "1");
    let (app, session) = started(settings, &[]).await;
    session.call("echo", one()).await;
    let approved = answer(&app, &app.pending_approval().await, "approve", json!({})).await;
    let until = chrono::DateTime::parse_from_rfc3339(approved["holds_until"].as_str().unwrap()).unwrap();
    let left = until.timestamp_millis() - chrono::Utc::now().timestamp_millis() + 5;
    actix_rt::time::sleep(std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
    assert!(is_pending(&session.call("echo", one()).await));
    assert_eq!(ledger(&app), "");
}
