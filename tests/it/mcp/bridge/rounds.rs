//! A legacy agent is asked what a modern server wants to know.

use serde_json::{Value, json};

use super::{answer_to, everything};
use crate::support::app::{App, Settings, repo};
use crate::support::eventually;
use crate::support::http::{Open, Session};

async fn reply(session: &Session, question: &Value, member: &str, value: Value) {
    let message = json!({"jsonrpc": "2.0", "id": question["id"], member: value});
    assert_eq!(session.client.post(&session.path, message).await.status, 202);
}

async fn answer(session: &Session, question: &Value) {
    reply(session, question, "result", answer_to(question)).await;
}

async fn next(stream: &mut Open) -> Value {
    stream.message().await.expect("one more message")
}

/// The messages that the server was sent with this method.
fn sent(app: &App, method: &str) -> Vec<Value> {
    let lines = std::fs::read_to_string(app.dir().join("spy")).expect("what the server saw");
    let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a message"));
    messages.filter(|message| message["method"] == method).collect()
}

/// A gateway with a modern server `n` whose input is written down.
async fn spied(settings: Settings) -> App {
    let app = settings.start().await;
    app.nasty("n", &["modern", &format!("spy={}", app.dir().join("spy").display())]).await;
    app
}

async fn start() -> App {
    let app = spied(Settings::default()).await;
    app.allow_all().await;
    app
}

#[actix_rt::test]
async fn each_kind_of_question_is_put_to_the_agent_and_answered_in_one_more_round() {
    let app = start().await;
    let agent = app.agent("ann").await;
    for version in ["2025-11-25", "2025-06-18"] {
        let session = Session::open(&agent, "n", version, everything()).await;
        for (tool, method) in
            [("elicit", "elicitation/create"), ("sample", "sampling/createMessage"), ("roots", "roots/list")]
        {
            let mut stream = session.open_call(tool, json!({"nonce": "x"}), None).await;
            let question = next(&mut stream).await;
            assert_eq!(question["method"], method, "{question}");
            answer(&session, &question).await;
            let result = next(&mut stream).await;
            assert!(result["result"]["content"][0]["text"].to_string().contains("forty-two"), "{result}");
            assert!(stream.message().await.is_none());
        }
    }
    let calls = sent(&app, "tools/call");
    assert_eq!(calls.len(), 12, "each call takes two rounds");
    let (first, second) = (&calls[0], &calls[1]);
    assert_ne!(first["id"], second["id"]);
    let declared = &first["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*declared, json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}));
    assert!(first["params"].get("requestState").is_none() && first["params"].get("inputResponses").is_none());
    assert_eq!(second["params"]["requestState"], "asked-elicit");
    let answers = json!({"elicit": {"action": "accept", "content": {"name": "forty-two"}}});
    assert_eq!(second["params"]["inputResponses"], answers);
    assert_eq!(second["params"]["arguments"], json!({"nonce": "x"}));
    let rows = app.invocations().await;
    assert_eq!(rows.iter().filter(|row| row["state"] == "completed").count(), 6, "one row for each call: {rows:?}");
}

#[actix_rt::test]
async fn several_questions_are_asked_at_once_and_answered_in_any_order() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("all", json!({}), Some(json!("p"))).await;
    let questions = [next(&mut stream).await, next(&mut stream).await, next(&mut stream).await];
    for question in questions.iter().rev() {
        answer(&session, question).await;
    }
    let result = next(&mut stream).await;
    let text = result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    let answers: Value = serde_json::from_str(text).unwrap();
    for (key, method) in
        [("elicit", "elicitation/create"), ("sample", "sampling/createMessage"), ("roots", "roots/list")]
    {
        assert_eq!(answers[key], answer_to(&json!({"method": method})), "each answer stands under its own key");
    }
}

#[actix_rt::test]
async fn a_server_may_ask_round_after_round_but_not_for_ever() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("rounds", json!({"n": 3}), None).await;
    for _ in 0..3 {
        let question = next(&mut stream).await;
        answer(&session, &question).await;
    }
    let result = next(&mut stream).await;
    assert_eq!(result["result"]["content"][0]["text"].as_str().unwrap().matches("forty-two").count(), 3, "{result}");
    let again = session.call("again", json!({"n": 4})).await;
    assert_eq!(again["result"]["content"][0]["text"], "[null, null, null, null]", "nobody was asked: {again}");
    let endless = session.call("again", json!({"n": 100})).await;
    let said = endless["error"]["message"].as_str().unwrap_or_else(|| panic!("{endless}"));
    assert!(said.contains("asked 10 times"), "{said}");
    assert_eq!(endless["error"]["data"]["code"], "unanswered");
    assert_eq!(app.invocations().await[0]["state"], "failed");
}

#[actix_rt::test]
async fn what_the_agent_never_declared_is_not_asked() {
    let app = start().await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({"elicitation": {}, "roots": {}})).await;
    // The server minds what was declared…
    let refused = session.call("sample", json!({})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("capability"), "{refused}");
    // …and one that does not is not obeyed.
    for (tool, method) in [("page", "elicitation/create"), ("all", "sampling/createMessage")] {
        let refused = session.call(tool, json!({})).await;
        let said = refused["error"]["message"].as_str().unwrap_or_else(|| panic!("{refused}"));
        assert!(said.contains(method) && said.contains("can't be asked"), "{said}");
    }
}

#[actix_rt::test]
async fn a_page_to_visit_has_an_id_for_agents_that_know_it_by_one() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("page", json!({}), None).await;
    let question = next(&mut stream).await;
    assert_eq!(question["params"]["url"], "https://example.com/login");
    assert!(question["params"]["elicitationId"].as_str().is_some_and(|id| id.len() > 8), "{question}");
    reply(&session, &question, "result", json!({"action": "accept"})).await;
    let result = next(&mut stream).await;
    assert!(result["result"]["content"][0]["text"].as_str().unwrap().contains("accept"), "{result}");
}

#[actix_rt::test]
async fn an_agent_that_answers_with_an_error_has_closed_the_form_or_failed_the_call() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let error = json!({"code": -1, "message": "no model today"});
    let mut stream = session.open_call("elicit", json!({}), None).await;
    let question = next(&mut stream).await;
    reply(&session, &question, "error", error.clone()).await;
    let result = next(&mut stream).await;
    assert_eq!(result["result"]["content"][0]["text"], r#"{"action": "cancel"}"#, "{result}");
    let mut stream = session.open_call("sample", json!({}), None).await;
    let question = next(&mut stream).await;
    reply(&session, &question, "error", error).await;
    let result = next(&mut stream).await;
    assert!(result["error"]["message"].as_str().unwrap().contains("no model today"), "{result}");
}

#[actix_rt::test]
async fn an_agent_that_takes_a_single_message_is_told_why_it_was_not_asked() {
    let app = start().await;
    let mut session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    session.client = session.client.header("accept", "application/json");
    let refused = session.call("elicit", json!({})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("text/event-stream"), "{refused}");
}

#[actix_rt::test]
async fn an_agent_that_cancels_ends_the_wait_and_its_question_is_taken_back() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("elicit", json!({}), None).await;
    let question = next(&mut stream).await;
    session.notify("notifications/cancelled", json!({"requestId": 1})).await;
    let taken_back = next(&mut stream).await;
    assert_eq!(taken_back["method"], "notifications/cancelled");
    assert_eq!(taken_back["params"]["requestId"], question["id"]);
    assert!(stream.message().await.is_none());
    // Too late: nobody waits for it, and the session goes on.
    answer(&session, &question).await;
    assert_eq!(session.call("echo", json!({"text": "hi"})).await["result"]["content"][0]["text"], "hi");
    assert_eq!(sent(&app, "tools/call").len(), 2, "the first round, and the echo");
}

#[actix_rt::test]
async fn an_agent_that_does_not_answer_does_not_hold_its_call_for_ever() {
    let limits = Settings::default()
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1")
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_MAX_SECONDS", "1");
    let app = spied(limits).await;
    app.allow_all().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("elicit", json!({}), None).await;
    let question = next(&mut stream).await;
    assert_eq!(next(&mut stream).await["params"]["requestId"], question["id"]);
    let result = next(&mut stream).await;
    assert_eq!(result["error"]["data"]["code"], "unanswered", "{result}");
}

#[actix_rt::test]
async fn another_agents_answer_is_no_answer() {
    let app = start().await;
    let ann = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let bob = Session::open(&app.agent("bob").await, "n", "2025-11-25", everything()).await;
    let mut stream = ann.open_call("elicit", json!({}), None).await;
    let question = next(&mut stream).await;
    reply(&bob, &question, "result", json!({"action": "accept", "content": {"name": "mallory"}})).await;
    answer(&ann, &question).await;
    let result = next(&mut stream).await.to_string();
    assert!(result.contains("forty-two") && !result.contains("mallory"), "{result}");
}

#[actix_rt::test]
async fn a_rule_that_came_between_two_rounds_wins() {
    let app = start().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("elicit", json!({}), None).await;
    let question = next(&mut stream).await;
    app.rule_first(json!({
        "action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["elicit"], "methods": ["*"],
        "guidance": "not on Sundays",
    }))
    .await;
    answer(&session, &question).await;
    let result = next(&mut stream).await;
    assert_eq!(result["result"]["isError"], true, "{result}");
    let said = result["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("not on Sundays") && !said.contains("Nothing was sent"), "{said}");
    assert_eq!(sent(&app, "tools/call").len(), 1, "the server did not get the answer");
    let row = app.invocations().await.remove(0);
    assert_eq!(row["state"], "failed", "{row}");
}

#[actix_rt::test]
async fn the_official_server_gets_its_sealed_state_back_as_it_gave_it() {
    let app = App::start().await;
    app.allow_all().await;
    let upstream = repo("target/fixture/debug/conformance-upstream");
    app.server("n", upstream.to_str().unwrap(), &["--era", "modern", "stdio"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    for (tool, questions, said) in [
        ("test_input_required_result_request_state", 1, "state-ok"),
        ("test_input_required_result_multiple_inputs", 3, "state-ok, 3 answers"),
    ] {
        let mut stream = session.open_call(tool, json!({}), None).await;
        for _ in 0..questions {
            let question = next(&mut stream).await;
            answer(&session, &question).await;
        }
        let result = next(&mut stream).await;
        let text = result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
        assert!(text.starts_with(said), "{text}");
    }
    eventually("its rows are complete", async || {
        app.invocations().await.iter().all(|row| row["state"] == "completed").then_some(())
    })
    .await;
}

/// What a person has put in place of the agent's arguments is what runs, so it is what the rules are asked about.
#[actix_rt::test]
async fn a_further_round_of_an_edited_call_is_decided_by_what_went_out() {
    let app = spied(Settings::default()).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("elicit", json!({"nonce": "agent's"}), None).await;
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    let body = json!({"digest": approval["digest"], "arguments": {"nonce": "person's"}});
    assert_eq!(app.operator().post(&path, body).await.status, 200);
    let question = next(&mut stream).await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    app.rule(json!({"action": "deny", "when": "args.nonce == \"person's\""})).await;
    answer(&session, &question).await;
    let told = next(&mut stream).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert_eq!(sent(&app, "tools/call").len(), 1, "the second round was not sent");
}
