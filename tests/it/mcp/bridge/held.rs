//! A modern agent is asked what a legacy server wants to know: the call is held while the agent finds the answer.

use serde_json::{Value, json};

use super::{answer_to, everything};
use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Client, Open, modern, modern_request};

/// The parameters of a call, by an agent that can be asked anything.
fn call(tool: &str, arguments: Value) -> Value {
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": everything()});
    json!({"name": tool, "arguments": arguments, "_meta": meta})
}

/// The same call with answers to all that was asked.
fn with_answers(mut params: Value, asked: &Value) -> Value {
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    for (key, question) in asked["result"]["inputRequests"].as_object().expect("questions") {
        params["inputResponses"][key] = answer_to(question);
    }
    params["requestState"] = asked["result"]["requestState"].clone();
    params
}

async fn make(agent: &Client, params: &Value) -> Value {
    modern(agent, "n", "tools/call", params.clone()).await.reply()
}

async fn open(agent: &Client, mut params: Value) -> Open {
    let (client, body) = modern_request(agent, "tools/call", &mut params);
    client.open("POST", "/mcp/n", body).await
}

fn text(result: &Value) -> &str {
    result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))
}

/// All that the server was sent.
fn seen(app: &App) -> Vec<Value> {
    let lines = std::fs::read_to_string(app.dir().join("spy")).unwrap_or_default();
    lines.lines().map(|line| serde_json::from_str(line).expect("a message")).collect()
}

fn sent(app: &App, method: &str) -> Vec<Value> {
    seen(app).into_iter().filter(|message| message["method"] == method).collect()
}

/// The server's question was closed and its call was cancelled: it waits for nothing.
async fn nothing_hangs(app: &App) {
    eventually("the server was told that nobody waits", async || {
        let is_closed = seen(app).iter().any(|message| message["result"]["action"] == "cancel");
        (is_closed && !sent(app, "notifications/cancelled").is_empty()).then_some(())
    })
    .await;
}

async fn start_with(settings: Settings) -> (App, Client) {
    let app = settings.start().await;
    app.allow_all().await;
    app.nasty("n", &[&format!("spy={}", app.dir().join("spy").display())]).await;
    let agent = app.agent("ann").await;
    (app, agent)
}

async fn start() -> (App, Client) {
    start_with(Settings::default()).await
}

#[actix_rt::test]
async fn each_kind_of_question_becomes_the_answer_and_the_retry_brings_the_call_to_its_end() {
    let (app, agent) = start().await;
    for (tool, method) in
        [("elicit", "elicitation/create"), ("sample", "sampling/createMessage"), ("roots", "roots/list")]
    {
        let params = call(tool, json!({"nonce": "x"}));
        let asked = make(&agent, &params).await;
        let questions = asked["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{asked}"));
        assert_eq!(questions.values().map(|question| &question["method"]).collect::<Vec<_>>(), [method]);
        let result = make(&agent, &with_answers(params, &asked)).await;
        assert_eq!(result["result"]["resultType"], "complete", "{result}");
        assert!(text(&result).contains("forty-two"), "{result}");
    }
    assert_eq!(sent(&app, "tools/call").len(), 3, "the server sees each call once");
    let call = &sent(&app, "tools/call")[0]["params"];
    assert_eq!(*call, json!({"name": "elicit", "arguments": {"nonce": "x"}}));
    let opened = sent(&app, "initialize").remove(0);
    let declared = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
    assert_eq!(opened["params"]["capabilities"], declared, "as far as it can be carried");
    let rows = app.invocations().await;
    assert_eq!(rows.iter().filter(|row| row["state"] == "completed").count(), 6, "{rows:?}");
    let first = rows.last().expect("a row")["id"].as_str().expect("an id").to_owned();
    let first = app.operator().get(&format!("/api/v1/invocations/{first}")).await;
    assert!(first.text.contains("input_required"), "{first:?}");
}

#[actix_rt::test]
async fn questions_asked_in_one_breath_are_put_together_and_what_is_not_answered_is_asked_again() {
    let (_app, agent) = start().await;
    let params = call("all", json!({}));
    let asked = make(&agent, &params).await;
    let mut some = with_answers(params.clone(), &asked);
    let answers = some["inputResponses"].as_object_mut().expect("answers");
    assert_eq!(answers.len(), 3, "{asked}");
    let (left_out, _) = answers.iter().next().map(|(key, value)| (key.clone(), value.clone())).unwrap();
    answers[&left_out] = json!({"nothing": "that fits"});
    let again = make(&agent, &some).await;
    let questions = again["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{again}"));
    assert_eq!(questions.keys().collect::<Vec<_>>(), [&left_out]);
    assert_ne!(again["result"]["requestState"], asked["result"]["requestState"]);
    let result = make(&agent, &with_answers(params, &again)).await;
    assert_eq!(text(&result).matches("forty-two").count(), 3, "{result}");
}

#[actix_rt::test]
async fn a_server_may_ask_round_after_round_and_each_state_is_good_once() {
    let (_app, agent) = start().await;
    let params = call("rounds", json!({"n": 3}));
    let mut next = make(&agent, &params).await;
    for _ in 0..3 {
        let retry = with_answers(params.clone(), &next);
        next = make(&agent, &retry).await;
        let again = make(&agent, &retry).await;
        assert_eq!(again["error"]["code"], -32602, "it was used: {again}");
    }
    assert_eq!(text(&next).matches("forty-two").count(), 3, "{next}");
}

#[actix_rt::test]
async fn a_state_is_for_the_agent_the_server_and_the_call_that_it_was_given_to() {
    let (app, agent) = start().await;
    app.nasty("other", &[]).await;
    let params = call("elicit", json!({"nonce": "x"}));
    let retry = with_answers(params.clone(), &make(&agent, &params).await);
    let mut tampered = retry.clone();
    tampered["requestState"] = json!(format!("{}x", retry["requestState"].as_str().unwrap()));
    let mut other_arguments = retry.clone();
    other_arguments["arguments"]["nonce"] = json!("y");
    let mut other_tool = retry.clone();
    other_tool["name"] = json!("sample");
    for wrong in [tampered, other_arguments, other_tool] {
        let refused = make(&agent, &wrong).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let bob = app.agent("bob").await;
    assert_eq!(make(&bob, &retry).await["error"]["code"], -32602, "it is ann's");
    let elsewhere = modern(&agent, "other", "tools/call", retry.clone()).await.reply();
    assert_eq!(elsewhere["error"]["code"], -32602, "{elsewhere}");
    assert!(text(&make(&agent, &retry).await).contains("forty-two"), "it is still good for its own");
    assert_eq!(sent(&app, "tools/call").len(), 1);
}

#[actix_rt::test]
async fn a_rule_that_came_before_the_retry_wins() {
    let (app, agent) = start().await;
    let params = call("elicit", json!({}));
    let retry = with_answers(params.clone(), &make(&agent, &params).await);
    app.rule_first(json!({
        "action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["elicit"], "methods": ["*"],
    }))
    .await;
    let denied = make(&agent, &retry).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    nothing_hangs(&app).await;
    assert!(!seen(&app).iter().any(|message| message["result"]["action"] == "accept"));
    assert_eq!(app.invocations().await[0]["state"], "denied");
}

#[actix_rt::test]
async fn a_call_whose_retry_never_comes_is_given_up() {
    let limits = Settings::default()
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1")
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_MAX_SECONDS", "2");
    let (app, agent) = start_with(limits).await;
    let params = call("elicit", json!({}));
    let retry = with_answers(params.clone(), &make(&agent, &params).await);
    nothing_hangs(&app).await;
    let expired = make(&agent, &retry).await;
    assert_eq!(expired["error"]["code"], -32602, "{expired}");
    // The process is as good as before.
    assert_eq!(text(&make(&agent, &call("echo", json!({"text": "hi"}))).await), "hi");
    assert_eq!(sent(&app, "initialize").len(), 1);
}

#[actix_rt::test]
async fn a_person_may_take_longer_than_a_server_may_be_silent() {
    let limits = Settings::default().with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1");
    let (_app, agent) = start_with(limits).await;
    let params = call("elicit", json!({}));
    let retry = with_answers(params.clone(), &make(&agent, &params).await);
    actix_rt::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(text(&make(&agent, &retry).await).contains("forty-two"));
}

#[actix_rt::test]
async fn the_retry_is_heard_over_its_own_stream_and_leaving_it_cancels_the_call() {
    let (app, agent) = start().await;
    let mut params = call("elicit", json!({"seconds": 60}));
    params["_meta"]["progressToken"] = json!("first");
    let mut retry = with_answers(params.clone(), &make(&agent, &params).await);
    retry["_meta"]["progressToken"] = json!(2);
    let mut stream = open(&agent, retry).await;
    let progress = stream.message().await.expect("progress");
    assert_eq!(progress["method"], "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], 2);
    drop(stream);
    eventually("the server was told", async || (!sent(&app, "notifications/cancelled").is_empty()).then_some(())).await;
    eventually("the row has its end", async || {
        let rows = app.invocations().await;
        (rows[0]["state"] == "unknown" && rows[1]["state"] == "completed").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn what_was_not_declared_is_not_asked() {
    let (app, agent) = start().await;
    let declaring = |tool: &str, capabilities: Value| {
        let mut params = call(tool, json!({}));
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        params
    };
    let refused = make(&agent, &declaring("elicit", json!({}))).await;
    assert!(text(&refused).contains("did not declare"), "{refused}");
    let refused = make(&agent, &declaring("page", json!({"elicitation": {}}))).await;
    assert!(text(&refused).contains("-32601"), "the server was refused: {refused}");
    let asked = make(&agent, &declaring("page", json!({"elicitation": {"url": {}}}))).await;
    let question = asked["result"]["inputRequests"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(question["params"]["mode"], "url", "{question}");
    assert!(question["params"].get("elicitationId").is_none(), "{question}");
    let declared: Vec<_> =
        sent(&app, "initialize").into_iter().map(|message| message["params"]["capabilities"].clone()).collect();
    for capabilities in [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"url": {}}})] {
        assert!(declared.contains(&capabilities), "{declared:?}");
    }
}

#[actix_rt::test]
async fn an_agent_that_declares_another_thing_gets_its_process_though_all_are_taken() {
    let (app, agent) = start_with(Settings::default().with("ATRYUM_UPSTREAM__MAX_PROCESSES", "1")).await;
    for capabilities in [json!({}), json!({"roots": {}}), json!({"sampling": {}})] {
        let mut params = call("echo", json!({"text": "hi"}));
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        assert_eq!(text(&make(&agent, &params).await), "hi");
    }
    assert_eq!(sent(&app, "initialize").len(), 3);
}

#[actix_rt::test]
async fn while_one_call_is_held_others_run_and_may_ask_as_well() {
    let (app, agent) = start().await;
    let first = call("elicit", json!({}));
    let retry = with_answers(first.clone(), &make(&agent, &first).await);
    assert_eq!(text(&make(&agent, &call("echo", json!({"text": "hi"}))).await), "hi");
    let second = call("roots", json!({}));
    let asked = make(&agent, &second).await;
    assert_eq!(asked["result"]["inputRequests"].as_object().map(serde_json::Map::len), Some(1), "{asked}");
    assert!(text(&make(&agent, &with_answers(second, &asked)).await).contains("file:///forty-two"));
    assert!(text(&make(&agent, &retry).await).contains("accept"));
    assert_eq!(sent(&app, "initialize").len(), 1, "over one connection");
}

#[actix_rt::test]
async fn a_page_that_must_be_visited_first_is_asked_for_and_the_call_is_made_again() {
    let (app, agent) = start().await;
    let params = call("login", json!({}));
    let asked = make(&agent, &params).await;
    let question = &asked["result"]["inputRequests"]["visit-1"];
    assert_eq!(question["params"]["url"], "https://example.com/login", "{asked}");
    assert!(asked["result"].get("requestState").is_none());
    let mut retry = params.clone();
    retry["inputResponses"] = json!({"visit-1": {"action": "accept"}});
    assert_eq!(text(&make(&agent, &retry).await), "logged in");
    assert_eq!(sent(&app, "tools/call")[1]["params"], json!({"name": "login", "arguments": {}}));
}

#[actix_rt::test]
async fn a_gateway_that_stops_leaves_no_server_waiting() {
    let (mut app, agent) = start().await;
    let asked = make(&agent, &call("elicit", json!({}))).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(app.terminate().await, Some(0));
    nothing_hangs(&app).await;
}
