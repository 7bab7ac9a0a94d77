//! Agent and server of the modern era: questions and answers cross as they are.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::modern;

fn answered(tool: &str, state: &Value) -> Value {
    json!({
        "name": tool, "arguments": {"nonce": tool}, "requestState": state,
        "inputResponses": {"elicit": {"action": "accept", "content": {"name": "forty-two", "n": 1.50}}},
    })
}

fn declaring(mut params: Value, capabilities: &Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    params
}

#[actix_rt::test]
async fn a_question_and_its_answer_cross_untouched_and_the_retry_is_a_call_of_its_own() {
    let app = App::start().await;
    app.allow_all().await;
    let (ledger, spy) = (app.dir().join("ledger"), app.dir().join("spy"));
    app.nasty("n", &["modern", &format!("ledger={}", ledger.display()), &format!("spy={}", spy.display())]).await;
    let agent = app.agent("ann").await;
    let capabilities = json!({"elicitation": {"form": {}}, "extensions": {"example.com/x": {"a": 1}}});
    let call = declaring(json!({"name": "elicit", "arguments": {"nonce": "first"}}), &capabilities);
    let asked = modern(&agent, "n", "tools/call", call).await.reply();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(asked["result"]["requestState"], "asked-elicit");
    assert_eq!(asked["result"]["inputRequests"]["elicit"]["method"], "elicitation/create");
    let retry = declaring(answered("elicit", &asked["result"]["requestState"]), &capabilities);
    let result = modern(&agent, "n", "tools/call", retry).await.reply();
    assert_eq!(result["result"]["resultType"], "complete", "{result}");
    let seen = std::fs::read_to_string(&spy).unwrap();
    let retry = seen.lines().rfind(|line| line.contains("tools/call")).expect("the retry");
    assert!(
        retry.contains(r#""inputResponses":{"elicit":{"action":"accept""#) && retry.contains(r#""n":1.5"#),
        "{retry}"
    );
    let retry: Value = serde_json::from_str(retry).unwrap();
    assert_eq!(retry["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], capabilities);
    assert_eq!(retry["params"]["requestState"], "asked-elicit");
    // What a retry is made with is its own: another tool is decided on as such.
    app.rule_first(json!({
        "action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["sample"], "methods": ["*"],
    }))
    .await;
    let retry = declaring(answered("sample", &json!("asked-elicit")), &capabilities);
    let denied = modern(&agent, "n", "tools/call", retry).await.reply();
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap(), "first\nelicit\n");
    let rows = app.invocations().await;
    let ends: Vec<_> = rows.iter().map(|row| (row["tool"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(ends, [("sample", "denied"), ("elicit", "completed"), ("elicit", "completed")]);
}

#[actix_rt::test]
async fn a_server_that_asks_for_what_was_not_declared_is_left_to_its_agent() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["modern"]).await;
    let agent = app.agent("ann").await;
    let asked = modern(&agent, "n", "tools/call", json!({"name": "all"})).await.reply();
    assert_eq!(asked["result"]["inputRequests"].as_object().map(serde_json::Map::len), Some(3), "{asked}");
    let refused = modern(&agent, "n", "tools/call", json!({"name": "elicit"})).await;
    assert_eq!((refused.status, &refused.json["error"]["code"]), (400, &json!(-32021)), "{refused:?}");
}
