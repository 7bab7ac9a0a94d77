//! Calls that wait for a person.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::{Session, modern_request};

async fn waiting() -> (App, Session) {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &["both", &format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    (app, session)
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

#[actix_rt::test]
async fn an_approved_call_runs_once_and_the_agent_hears_that_it_waits() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), Some(json!("p"))).await;
    let progress = stream.message().await.expect("progress");
    assert!(progress["params"]["message"].as_str().unwrap().contains("Waiting for approval"), "{progress}");
    let approval = app.pending_approval().await;
    assert_eq!(ledger(&app), "", "nothing runs undecided");
    let (id, digest) = (approval["id"].as_str().unwrap(), approval["digest"].clone());
    let path = format!("/api/v1/approvals/{id}/approve");
    let wrong = app.operator().post(&path, json!({"digest": "sha256:00"})).await;
    assert_eq!(wrong.status, 409, "{wrong:?}");
    let approved = app.operator().post(&path, json!({"digest": digest})).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    let answer = stream.message().await.expect("the answer");
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    assert_eq!(ledger(&app), "one\n");
    let again = app.operator().post(&path, json!({"digest": digest})).await;
    assert_eq!(again.status, 409, "{again:?}");
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["decision"]["by"]), (&json!("completed"), &json!("person")), "{row}");
    assert_eq!(row["decision"]["approval_id"], id);
}

#[actix_rt::test]
async fn a_denied_approval_gives_its_reason_to_the_model_and_runs_nothing() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/deny", approval["id"].as_str().unwrap());
    let denied =
        app.operator().post(&path, json!({"digest": approval["digest"], "reason": "use the sandbox account"})).await;
    assert_eq!(denied.status, 200, "{denied:?}");
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("use the sandbox account"), "{answer}");
    assert_eq!(ledger(&app), "");
    assert_eq!(app.invocations().await[0]["state"], "denied");
}

#[actix_rt::test]
async fn rules_that_came_to_deny_it_meanwhile_win_over_a_persons_yes() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]})).await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn a_yes_for_a_server_that_was_edited_meanwhile_runs_nothing() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let edited = app.operator().patch("/api/v1/servers/n", json!({"cwd": "/"})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    let answer = stream.message().await.expect("an answer");
    assert!(answer.to_string().contains("the server was edited"), "{answer}");
    assert_eq!(ledger(&app), "");
    assert_eq!(app.invocations().await[0]["state"], "denied");
}

#[actix_rt::test]
async fn an_agent_that_cancels_withdraws_its_question() {
    let (app, session) = waiting().await;
    let id = session.next_id();
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "x", "nonce": "one"}}});
    let client = session.client.clone().header("content-type", "application/json");
    let mut stream = client.open("POST", "/mcp/n", call.to_string()).await;
    let approval = app.pending_approval().await;
    session.notify("notifications/cancelled", json!({"requestId": id})).await;
    assert!(stream.message().await.is_none());
    is_cancelled(&app, &approval).await;
}

#[actix_rt::test]
async fn a_modern_agent_that_hangs_up_withdraws_its_question() {
    let (app, session) = waiting().await;
    let agent = app.agent("bob").await;
    let mut params = json!({"name": "echo", "arguments": {"text": "x", "nonce": "one"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let stream = client.open("POST", "/mcp/n", body).await;
    let approval = app.pending_approval().await;
    drop(stream);
    is_cancelled(&app, &approval).await;
    drop(session);
}

#[actix_rt::test]
async fn an_agent_that_loses_its_stream_and_does_not_come_back_withdraws_its_question() {
    let (app, session) = waiting().await;
    let stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    drop(stream);
    is_cancelled(&app, &approval).await;
}

async fn is_cancelled(app: &App, approval: &Value) {
    let id = approval["id"].as_str().unwrap();
    eventually("the question is withdrawn", async || {
        let read = app.operator().get(&format!("/api/v1/approvals/{id}")).await;
        (read.json["status"] == "cancelled").then_some(())
    })
    .await;
    let late =
        app.operator().post(&format!("/api/v1/approvals/{id}/approve"), json!({"digest": approval["digest"]})).await;
    assert_eq!(late.status, 409, "{late:?}");
    assert_eq!(ledger(app), "");
    assert_eq!(app.invocations().await[0]["state"], "cancelled");
}

#[actix_rt::test]
async fn a_hundred_answers_at_once_have_one_winner() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let id = approval["id"].as_str().unwrap();
    let answers = (0..100).map(|n| {
        let word = if n % 2 == 0 { "approve" } else { "deny" };
        let (operator, body) = (app.operator(), json!({"digest": approval["digest"]}));
        let path = format!("/api/v1/approvals/{id}/{word}");
        async move { operator.post(&path, body).await.status }
    });
    let statuses = futures_util::future::join_all(answers).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let answer = stream.message().await.expect("an answer");
    let ran = ledger(&app) == "one\n";
    assert_eq!(answer["result"]["isError"] != true, ran, "{answer}");
}
