//! `/mcp/{name}/sse` and `/mcp/{name}/message`: the pair of endpoints of 2024-11-05.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::{Answer, Client, Open};

/// An agent on such a pair.
struct Pair {
    client: Client,
    endpoint: String,
    stream: Open,
}

impl Pair {
    async fn open(client: &Client) -> Self {
        let client = client.clone().header("accept", "text/event-stream");
        let mut stream = client.open("GET", "/mcp/n/sse", String::new()).await;
        assert_eq!(stream.status, 200);
        assert!(stream.headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"));
        let (event, endpoint) = stream.named_event().await.expect("an event");
        assert_eq!(event, "endpoint");
        Self { client, endpoint, stream }
    }

    async fn initialized(client: &Client, capabilities: Value) -> Self {
        let mut this = Self::open(client).await;
        let params = json!({"protocolVersion": "2024-11-05", "capabilities": capabilities,
            "clientInfo": {"name": "it", "version": "1"}});
        let result = this.request(0, "initialize", params).await;
        assert_eq!(result["result"]["protocolVersion"], "2024-11-05", "{result}");
        let told = this.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!((told.status, told.text.as_str()), (202, ""));
        this
    }

    async fn post(&self, message: Value) -> Answer {
        self.client.post(&self.endpoint, message).await
    }

    /// Sends a request and gives the next message of the stream.
    async fn request(&mut self, id: i64, method: &str, params: Value) -> Value {
        let accepted = self.post(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        self.stream.message().await.expect("an answer")
    }

    async fn call(&mut self, id: i64, tool: &str, arguments: Value) -> Value {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

async fn app_with(flags: &[&str]) -> App {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", flags).await;
    app
}

#[actix_rt::test]
async fn what_is_sent_to_the_endpoint_is_answered_on_the_stream() {
    for flags in [&[][..], &["modern"]] {
        let app = app_with(flags).await;
        let mut pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
        let listed = pair.request(1, "tools/list", json!({})).await;
        assert!(listed["result"]["tools"].is_array(), "{listed}");
        let called = pair.call(2, "echo", json!({"text": "hi"})).await;
        assert_eq!((&called["id"], &called["result"]["content"][0]["text"]), (&json!(2), &json!("hi")));
        let told = pair.call(3, "grow", json!({})).await;
        let also = pair.stream.message().await.expect("both");
        let methods = [&told["method"], &also["method"]];
        assert!(methods.contains(&&json!("notifications/tools/list_changed")), "{told} {also}");
        let rows = app.invocations().await;
        assert!(rows.iter().any(|row| row["tool"] == "echo" && row["state"] == "completed" && row["agent"] == "ann"));
    }
}

#[actix_rt::test]
async fn a_denied_tool_stays_denied_there_and_is_not_listed() {
    let app = app_with(&[]).await;
    app.rule_first(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]}))
        .await;
    let mut pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    let denied = pair.call(1, "echo", json!({"text": "hi"})).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    let listed = pair.request(2, "tools/list", json!({})).await["result"]["tools"].to_string();
    assert!(listed.contains("\"grow\"") && !listed.contains("\"echo\""), "{listed}");
    let rows = app.invocations().await;
    assert!(rows.iter().any(|row| row["tool"] == "echo" && row["state"] == "denied"), "{rows:?}");
}

#[actix_rt::test]
async fn a_call_that_needs_a_person_waits_there_too() {
    let app = app_with(&[]).await;
    app.rule_first(json!({"action": "ask", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]}))
        .await;
    let mut pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    let approve = async {
        let approval = app.pending_approval().await;
        let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
        assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
    };
    let (called, ()) = tokio::join!(pair.call(1, "echo", json!({"text": "hi"})), approve);
    assert_eq!(called["result"]["content"][0]["text"], "hi", "{called}");
}

#[actix_rt::test]
async fn a_server_asks_its_agent_over_the_stream_and_is_answered_at_the_endpoint() {
    let app = app_with(&[]).await;
    let mut pair = Pair::initialized(&app.agent("ann").await, json!({"roots": {}})).await;
    let question = pair.call(1, "roots", json!({})).await;
    assert_eq!(question["method"], "roots/list", "{question}");
    let answer = json!({"roots": [{"uri": "file:///forty-two", "name": "r"}]});
    assert_eq!(pair.post(json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).await.status, 202);
    let called = pair.stream.message().await.expect("the answer");
    assert!(called["result"]["content"][0]["text"].as_str().unwrap().contains("forty-two"), "{called}");
}

#[actix_rt::test]
async fn the_endpoint_is_for_its_agent_and_its_server_alone() {
    let app = app_with(&[]).await;
    app.nasty("other", &[]).await;
    let pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"});
    let bob = app.agent("bob").await;
    assert_eq!(bob.post(&pair.endpoint, message.clone()).await.status, 404);
    let unbegun = Pair::open(&pair.client).await;
    let params = json!({"protocolVersion": "2024-11-05", "capabilities": {}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    assert_eq!(bob.post(&unbegun.endpoint, initialize).await.status, 404, "a session on another agent's stream");
    let other = pair.endpoint.replace("/mcp/n/", "/mcp/other/");
    assert_eq!(pair.client.post(&other, message.clone()).await.status, 404);
    assert_eq!(pair.client.post("/mcp/n/message?session_id=guess", message.clone()).await.status, 404);
    assert_eq!(pair.client.post("/mcp/n/message", message.clone()).await.status, 400);
    assert_eq!(app.anonymous().post(&pair.endpoint, message.clone()).await.status, 401);
    assert_eq!(app.operator().get("/mcp/n/sse").await.status, 401, "an operator's token is no agent's key");
    assert_eq!(pair.client.get("/mcp/nowhere/sse").await.status, 404);
    let word = pair.endpoint.split_once('=').expect("a word").1.to_owned();
    let by_header = pair.client.clone().header("accept", "*/*").header("mcp-session-id", &word);
    assert_eq!(by_header.post("/mcp/n", message).await.status, 404, "the word is no session's id");
}

#[actix_rt::test]
async fn the_end_of_the_stream_ends_the_session_and_its_process() {
    let app = app_with(&[]).await;
    let mut pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    pair.call(1, "echo", json!({})).await;
    assert!(!crate::upstream::descendants(app.pid).is_empty());
    let Pair { client, endpoint, stream } = pair;
    drop(stream);
    crate::upstream::no_process_is_left(app.pid).await;
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    assert_eq!(client.post(&endpoint, message).await.status, 404);
}

#[actix_rt::test]
async fn a_question_to_a_person_is_withdrawn_when_the_stream_ends() {
    let app = app_with(&[]).await;
    app.rule_first(json!({"action": "ask", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]}))
        .await;
    let pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}});
    assert_eq!(pair.post(call).await.status, 202);
    app.pending_approval().await;
    drop(pair);
    eventually("the question is withdrawn", async || {
        app.invocations().await.iter().any(|row| row["tool"] == "echo" && row["state"] == "cancelled").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn what_does_not_belong_there_is_refused_in_words() {
    let app = app_with(&[]).await;
    let agent = app.agent("ann").await;
    let mut pair = Pair::open(&agent).await;
    let early = pair.request(1, "tools/list", json!({})).await;
    assert!(early["error"]["message"].as_str().unwrap().contains("begin with initialize"), "{early}");
    let repeated = pair.client.clone().header("content-type", "application/json");
    let refused = repeated.send("POST", &pair.endpoint, r#"{"jsonrpc":"2.0","id":1,"id":2}"#.into()).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let text = pair.client.clone().header("content-type", "text/plain");
    assert_eq!(text.send("POST", &pair.endpoint, "{}".into()).await.status, 415);
    let mut pair = Pair::initialized(&agent, json!({})).await;
    let again = pair.request(1, "initialize", json!({"protocolVersion": "2024-11-05", "capabilities": {}})).await;
    assert!(again["error"]["message"].as_str().unwrap().contains("has begun"), "{again}");
    let modern = agent.header("accept", "text/event-stream").header("mcp-protocol-version", "2026-07-28");
    assert_eq!(modern.get("/mcp/n/sse").await.status, 405);
}

#[actix_rt::test]
async fn a_stop_lets_the_answer_out_and_then_ends_the_stream() {
    let mut app = app_with(&[]).await;
    let mut pair = Pair::initialized(&app.agent("ann").await, json!({})).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 1}, "_meta": {"progressToken": 1}}});
    assert_eq!(pair.post(call).await.status, 202);
    assert_eq!(pair.stream.message().await.expect("it runs")["method"], "notifications/progress");
    let (exit, last) = tokio::join!(app.terminate(), async {
        let mut last = None;
        while let Some(message) = pair.stream.message().await {
            last = Some(message);
        }
        last.expect("an answer")
    });
    assert_eq!((exit, &last["id"]), (Some(0), &json!(1)), "{last}");
    assert!(last["result"].is_object(), "{last}");
}
