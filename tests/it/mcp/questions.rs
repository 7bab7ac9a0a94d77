//! What a server asks an agent: sampling, elicitation, roots.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Session;

async fn asked_and_answered(tool: &str, method: &str, capabilities: Value, answer: Value) {
    let app = App::start().await;
    app.allow_all().await;
    // The server counts its own requests from 1, as the client does: they must not be mistaken for each other.
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", capabilities).await;
    let mut stream = session.open_call(tool, json!({}), None).await;
    let question = stream.message().await.expect("a question");
    assert_eq!(question["method"], method);
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": answer});
    assert_eq!(session.client.post("/mcp/n", reply).await.status, 202);
    let result = stream.message().await.expect("an answer");
    let text = result["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.contains("forty-two"), "{result}");
}

#[actix_rt::test]
async fn a_server_may_sample_from_the_agents_model() {
    let answer = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "forty-two"}});
    asked_and_answered("sample", "sampling/createMessage", json!({"sampling": {}}), answer).await;
}

#[actix_rt::test]
async fn a_server_may_ask_the_agents_person() {
    let answer = json!({"action": "accept", "content": {"name": "forty-two"}});
    asked_and_answered("elicit", "elicitation/create", json!({"elicitation": {}}), answer).await;
}

#[actix_rt::test]
async fn a_server_may_ask_for_the_agents_roots() {
    let answer = json!({"roots": [{"uri": "file:///forty-two", "name": "r"}]});
    asked_and_answered("roots", "roots/list", json!({"roots": {}}), answer).await;
}

#[actix_rt::test]
async fn two_agents_are_each_asked_by_their_own_process() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let capabilities = json!({"roots": {}});
    let ann = Session::open(&app.agent("ann").await, "n", "2025-11-25", capabilities.clone()).await;
    let bob = Session::open(&app.agent("bob").await, "n", "2025-11-25", capabilities).await;
    let mut of_ann = ann.open_call("roots", json!({}), None).await;
    let mut of_bob = bob.open_call("roots", json!({}), None).await;
    let (asked_ann, asked_bob) = (of_ann.message().await.unwrap(), of_bob.message().await.unwrap());
    let root = |who: &str| json!({"roots": [{"uri": format!("file:///{who}")}]});
    for (session, asked, who) in [(&bob, &asked_bob, "bob"), (&ann, &asked_ann, "ann")] {
        let reply = json!({"jsonrpc": "2.0", "id": asked["id"], "result": root(who)});
        assert_eq!(session.client.post("/mcp/n", reply).await.status, 202);
    }
    for (stream, who) in [(&mut of_ann, "ann"), (&mut of_bob, "bob")] {
        let result = stream.message().await.unwrap().to_string();
        assert!(result.contains(&format!("file:///{who}")), "{result}");
    }
}
