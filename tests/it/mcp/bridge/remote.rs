//! Questions across the eras, when the server is reached over HTTP.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{answer_to, everything};
use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::{Client, Session, modern};
use crate::support::program::Program;
use crate::support::remote::Remote;

/// A gateway with the official server, of one era, as `n`.
async fn start(era: &str) -> (App, Program, Client) {
    let (app, program) = (App::start().await, Program::conformance(era).await);
    app.allow_all().await;
    app.server_from(json!({"name": "n", "mode": "http", "base_url": program.url("/mcp")})).await;
    let agent = app.agent("ann").await;
    (app, program, agent)
}

#[actix_rt::test]
async fn a_legacy_agent_is_asked_by_a_modern_server() {
    let (_app, _program, agent) = start("modern").await;
    let session = Session::open(&agent, "n", "2025-11-25", everything()).await;
    let mut stream = session.open_call("test_input_required_result_multiple_inputs", json!({}), None).await;
    for _ in 0..3 {
        let question = stream.message().await.expect("a question");
        let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": answer_to(&question)});
        assert_eq!(session.client.post(&session.path, reply).await.status, 202);
    }
    let result = stream.message().await.expect("an answer");
    assert_eq!(result["result"]["content"][0]["text"], "state-ok, 3 answers", "{result}");
}

/// Makes one call, answering whatever is asked on the way; the result, and how often the agent was asked.
async fn call(agent: &Client, tool: &str, arguments: Value) -> (Value, usize) {
    let mut params = json!({"name": tool, "arguments": arguments});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = everything();
    for rounds in 0.. {
        let answer = modern(agent, "n", "tools/call", params.clone()).await.reply();
        if answer["result"]["resultType"] != "input_required" {
            return (answer, rounds);
        }
        params["requestState"] = answer["result"]["requestState"].clone();
        params["inputResponses"] = json!({});
        for (key, question) in answer["result"]["inputRequests"].as_object().expect("questions") {
            let mut said = answer_to(question);
            // What comes back tells which question it answers.
            said["content"]["name"] = question["params"]["message"].clone();
            params["inputResponses"][key] = said;
        }
    }
    unreachable!("it answers or asks")
}

#[actix_rt::test]
async fn a_modern_agent_is_asked_by_a_legacy_server_about_each_call_of_its_own() {
    let (app, _program, agent) = start("legacy").await;
    let names: Vec<_> = (0..8).map(|number| format!("call {number}")).collect();
    let calls = names.iter().map(|name| call(&agent, "test_elicitation", json!({"message": name})));
    for ((result, rounds), name) in join_all(calls).await.iter().zip(&names) {
        assert_eq!(*rounds, 1, "{result}");
        let text = result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
        assert!(text.contains(&format!("\"name\":\"{name}\"")), "{text}");
    }
    let rows = app.invocations().await;
    assert_eq!(rows.iter().filter(|row| row["state"] == "completed").count(), 16, "{rows:?}");
}

#[actix_rt::test]
async fn a_call_that_finds_its_session_lost_can_be_asked_about_in_the_new_one() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let agent = app.agent("ann").await;
    assert_eq!(call(&agent, "echo", json!({"text": "hi"})).await.1, 0);
    remote.lose_sessions();
    let (result, rounds) = call(&agent, "ask", json!({})).await;
    assert_eq!(rounds, 1, "{result}");
    assert!(result["result"]["content"][0]["text"].is_string(), "{result}");
    assert_eq!(remote.sessions().len(), 1);
}

#[actix_rt::test]
async fn a_question_whose_retry_never_comes_is_closed() {
    let limits = Settings::default()
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1")
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_MAX_SECONDS", "2");
    let (app, remote) = (limits.start().await, Remote::start());
    app.allow_all().await;
    app.remote("n", &remote.url).await;
    let agent = app.agent("ann").await;
    let mut params = json!({"name": "ask"});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = everything();
    let asked = modern(&agent, "n", "tools/call", params).await.reply();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    eventually("the server was told", async || {
        remote.ledger().iter().any(|request| request.json["result"]["action"] == "cancel").then_some(())
    })
    .await;
    assert_eq!(call(&agent, "echo", json!({"text": "hi"})).await.0["result"]["content"][0]["text"], "hi");
}
