//! Tasks: calls that are answered by a promise, within an era and across, and whose they are.

use serde_json::{Value, json};

use crate::support::app::{App, python, repo};
use crate::support::eventually;
use crate::support::http::{Client, Session, modern, modern_request};

async fn app_with(flags: &[&str]) -> App {
    let app = App::start().await;
    app.allow_all().await;
    let flags: Vec<_> = flags.iter().copied().chain(["tasks"]).collect();
    app.nasty("n", &flags).await;
    app
}

/// One process for all agents.
async fn app_with_one_process() -> App {
    let app = App::start().await;
    app.allow_all().await;
    let args = [repo("tests/fixture-stdio/nasty.py").to_string_lossy().into_owned(), "tasks".into()];
    app.server_from(json!({"name": "n", "mode": "stdio", "command": python(), "args": args, "shared": true})).await;
    app
}

async fn open(app: &App, agent: &str) -> Session {
    Session::open(&app.agent(agent).await, "n", "2025-11-25", json!({})).await
}

/// Calls a tool as a task; its id.
async fn promised(session: &Session, tool: &str, seconds: f64, token: Option<&str>) -> String {
    let mut params = json!({"name": tool, "arguments": {"seconds": seconds}, "task": {"ttl": 60000}});
    if let Some(token) = token {
        params["_meta"] = json!({"progressToken": token});
    }
    let made = session.request("tools/call", params).await.reply();
    assert_eq!(made["result"]["task"]["status"], "working", "{made}");
    made["result"]["task"]["taskId"].as_str().expect("an id").to_owned()
}

/// What the extension of the modern revision asks of a client.
fn with_tasks(mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    params
}

async fn ask(agent: &Client, method: &str, params: Value) -> Value {
    modern(agent, "n", method, with_tasks(params)).await.reply()
}

#[actix_rt::test]
async fn a_legacy_task_is_made_asked_after_listed_and_fetched_and_its_call_is_recorded() {
    for app in [app_with(&[]).await, app_with_one_process().await] {
        let session = open(&app, "ann").await;
        assert!(session.initialized["result"]["capabilities"]["tasks"].is_object(), "{}", session.initialized);
        let id = promised(&session, "job", 0.2, None).await;
        let asked = session.request("tasks/get", json!({"taskId": id})).await.reply();
        assert_eq!(asked["result"]["taskId"], json!(id), "{asked}");
        let listed = session.request("tasks/list", json!({})).await.reply();
        assert_eq!(listed["result"]["tasks"].as_array().map(Vec::len), Some(1), "{listed}");
        let result = session.request("tasks/result", json!({"taskId": id})).await.reply();
        assert_eq!(result["result"]["content"][0]["text"], json!(format!("{id} is done")), "{result}");
        let rows = app.invocations().await;
        let call = rows.iter().find(|row| row["method"] == "tools/call").expect("its row");
        let row = app.operator().get(&format!("/api/v1/invocations/{}", call["id"].as_str().unwrap())).await;
        assert_eq!((&row.json["state"], &row.json["tool"]), (&json!("completed"), &json!("job")));
        assert!(row.json["outcome"]["result"].to_string().contains(&id), "the row tells of the task: {row:?}");
    }
}

#[actix_rt::test]
async fn a_task_of_another_agent_is_one_that_does_not_exist() {
    let app = app_with_one_process().await;
    let (ann, bob) = (open(&app, "ann").await, open(&app, "bob").await);
    let (of_ann, of_bob) = (promised(&ann, "job", 60.0, None).await, promised(&bob, "job", 60.0, None).await);
    assert_ne!(of_ann, of_bob, "they are of one process");
    let unknown = ann.request("tasks/get", json!({"taskId": "task-99"})).await.reply()["error"].clone();
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let refused = bob.request(method, json!({"taskId": of_ann})).await.reply();
        assert_eq!((&refused["error"]["code"], &refused["error"]), (&json!(-32602), &unknown), "{method}: {refused}");
    }
    let listed = bob.request("tasks/list", json!({})).await.reply();
    let listed: Vec<_> = listed["result"]["tasks"].as_array().unwrap().iter().map(|task| &task["taskId"]).collect();
    assert_eq!(listed, [&json!(of_bob)]);
    let asked = ann.request("tasks/get", json!({"taskId": of_ann})).await.reply();
    assert_eq!(asked["result"]["status"], "working", "it was not cancelled: {asked}");
    let cancelled = ann.request("tasks/cancel", json!({"taskId": of_ann})).await.reply();
    assert_eq!(cancelled["result"]["status"], "cancelled", "{cancelled}");
}

#[actix_rt::test]
async fn how_a_task_is_is_told_to_its_agent_alone() {
    let app = app_with_one_process().await;
    let (ann, bob) = (open(&app, "ann").await, open(&app, "bob").await);
    let mut of_ann = ann.client.open("GET", "/mcp/n", String::new()).await;
    let mut of_bob = bob.client.open("GET", "/mcp/n", String::new()).await;
    let id = promised(&ann, "job", 0.2, None).await;
    let told = of_ann.message().await.expect("its status");
    assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks/status"), &json!(id)));
    bob.call("grow", json!({})).await;
    let first = of_bob.message().await.expect("a change");
    assert_eq!(first["method"], "notifications/tools/list_changed", "{first}");
}

#[actix_rt::test]
async fn progress_goes_on_after_the_answer_under_the_calls_token_until_the_task_is_over() {
    for app in [app_with(&[]).await, app_with_one_process().await] {
        let session = open(&app, "ann").await;
        let mut standing = session.client.open("GET", "/mcp/n", String::new()).await;
        promised(&session, "job", 1.0, Some("mine")).await;
        let mut progress = Vec::new();
        loop {
            let told = standing.message().await.expect("news");
            if told["method"] == "notifications/tasks/status" {
                break;
            }
            assert_eq!(told["params"]["progressToken"], "mine", "{told}");
            progress.push(told["params"]["progress"].as_i64().unwrap());
        }
        assert_eq!(progress.last(), Some(&5), "{progress:?}");
    }
}

#[actix_rt::test]
async fn a_denied_call_makes_no_task() {
    let app = app_with(&[]).await;
    app.rule_first(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["job"], "methods": ["*"]}))
        .await;
    let session = open(&app, "ann").await;
    let params = json!({"name": "job", "arguments": {"seconds": 0}, "task": {}});
    let denied = session.request("tools/call", params).await.reply();
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    let listed = session.request("tasks/list", json!({})).await.reply();
    assert_eq!(listed["result"]["tasks"], json!([]), "{listed}");
}

#[actix_rt::test]
async fn a_modern_task_is_made_asked_after_and_told_of_to_its_agent_alone() {
    let app = app_with(&["modern"]).await;
    let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
    let call = json!({"name": "job", "arguments": {"seconds": 0.5}});
    let made = ask(&ann, "tools/call", call).await;
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].clone();
    let listen = async |agent: &Client| {
        let mut params = with_tasks(json!({"notifications": {"taskIds": [id]}}));
        let (client, body) = modern_request(agent, "subscriptions/listen", &mut params);
        let mut stream = client.open("POST", "/mcp/n", body).await;
        let granted = stream.message().await.expect("an acknowledgement")["params"]["notifications"].clone();
        (stream, granted)
    };
    let (mut of_ann, granted) = listen(&ann).await;
    assert_eq!(granted, json!({"taskIds": [id]}));
    let (_of_bob, granted) = listen(&bob).await;
    assert_eq!(granted, json!({}), "it is not bob's");
    let told = of_ann.message().await.expect("its end");
    assert_eq!((&told["method"], &told["params"]["status"]), (&json!("notifications/tasks"), &json!("completed")));
    let asked = ask(&ann, "tasks/get", json!({"taskId": id})).await;
    assert!(asked["result"]["result"]["content"].is_array(), "{asked}");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let refused = ask(&bob, method, json!({"taskId": id})).await;
        assert_eq!(refused["error"]["code"], -32602, "{method}: {refused}");
        let undeclared = modern(&ann, "n", method, json!({"taskId": id})).await;
        assert_eq!((undeclared.status, &undeclared.reply()["error"]["code"]), (400, &json!(-32021)), "{method}");
    }
}

#[actix_rt::test]
async fn the_tasks_of_a_real_implementation_cross_with_their_input() {
    let app = App::start().await;
    app.allow_all().await;
    let command = repo("target/fixture/debug/conformance-upstream");
    app.server("n", command.to_str().unwrap(), &["--era", "modern", "stdio"]).await;
    let agent = app.agent("ann").await;
    let mut params = with_tasks(json!({"name": "confirm_delete", "arguments": {"filename": "f"}}));
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["elicitation"] = json!({"form": {}});
    let made = modern(&agent, "n", "tools/call", params).await.reply();
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].clone();
    let until = async |status: &str| {
        eventually("the task is as it should be", async || {
            let asked = ask(&agent, "tasks/get", json!({"taskId": id})).await;
            (asked["result"]["status"] == status).then_some(asked)
        })
        .await
    };
    let waiting = until("input_required").await;
    let key = waiting["result"]["inputRequests"].as_object().expect("questions").keys().next().unwrap().clone();
    let answers = json!({key: {"action": "accept", "content": {"confirm": true}}});
    let updated = ask(&agent, "tasks/update", json!({"taskId": id, "inputResponses": answers})).await;
    assert!(updated["error"].is_null(), "{updated}");
    let done = until("completed").await;
    assert!(done["result"]["result"]["content"][0]["text"].as_str().unwrap().contains("deleted"), "{done}");
    assert!(app.invocations().await.iter().any(|row| row["method"] == "tasks/update" && row["state"] == "completed"));
}

#[actix_rt::test]
async fn input_for_a_task_needs_what_a_call_needs() {
    let app = App::start().await;
    app.nasty("n", &["modern", "tasks"]).await;
    app.rule(
        json!({"action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["job"], "methods": ["tools/call"]}),
    )
    .await;
    app.operator().put("/api/v1/rules/default", json!({"action": "deny"})).await;
    let agent = app.agent("ann").await;
    let made = ask(&agent, "tools/call", json!({"name": "job", "arguments": {"seconds": 60}})).await;
    let id = made["result"]["taskId"].clone();
    let denied = ask(&agent, "tasks/update", json!({"taskId": id, "inputResponses": {}})).await;
    assert_eq!(denied["error"]["code"], -32003, "{denied}");
    let asked = ask(&agent, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(asked["result"]["status"], "working", "looking is no effect: {asked}");
}

#[actix_rt::test]
async fn a_modern_agent_calls_what_a_legacy_server_only_does_as_a_task() {
    let app = app_with(&[]).await;
    let agent = app.agent("ann").await;
    let discovered = ask(&agent, "server/discover", json!({})).await;
    assert!(discovered["result"]["capabilities"]["tasks"].is_null(), "{discovered}");
    for tool in ["must", "job"] {
        let called = ask(&agent, "tools/call", json!({"name": tool, "arguments": {"seconds": 0.2}})).await;
        assert_eq!(called["result"]["resultType"], "complete", "{called}");
        assert!(called["result"]["content"][0]["text"].as_str().unwrap().contains("is done"), "{called}");
    }
    let named = ask(&agent, "tools/call", json!({"name": "job", "arguments": {"seconds": 0}, "task": {}})).await;
    assert_eq!(
        named["result"]["content"][0]["text"], "the job is done",
        "no task that it could not ask after: {named}"
    );
    let rows = app.invocations().await;
    assert!(rows.iter().all(|row| row["method"] == "tools/call" && row["state"] == "completed"), "{rows:?}");
}

#[actix_rt::test]
async fn a_modern_agent_that_leaves_cancels_the_task_behind_its_call() {
    let app = app_with(&[]).await;
    let agent = app.agent("ann").await;
    let mut params = json!({"name": "must", "arguments": {"seconds": 5}, "_meta": {"progressToken": "p"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let mut stream = client.open("POST", "/mcp/n", body).await;
    assert_eq!(stream.message().await.expect("progress of the task")["params"]["progressToken"], "p");
    drop(stream);
    eventually("the task is cancelled", async || {
        let logs = app.operator().get("/api/v1/servers/n/logs").await;
        logs.text.contains("cancelled task-1").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_legacy_agent_gets_no_task_of_a_modern_server() {
    let app = app_with(&["modern"]).await;
    let session = open(&app, "ann").await;
    let capabilities = &session.initialized["result"]["capabilities"];
    assert!(capabilities["tasks"].is_null() && capabilities["extensions"].is_null(), "{capabilities}");
    let params = json!({"name": "job", "arguments": {"seconds": 0}, "task": {}});
    let called = session.request("tools/call", params).await.reply();
    assert_eq!(called["result"]["content"][0]["text"], "the job is done", "{called}");
    let refused = session.request("tasks/get", json!({"taskId": "task-1"})).await.reply();
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}
