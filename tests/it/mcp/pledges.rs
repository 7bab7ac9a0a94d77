//! Tasks of the gateway's own: a call that waits for a person is answered with one, where the agent knows tasks.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::support::app::{App, Settings, repo};
use crate::support::eventually;
use crate::support::http::{Answer, Client, modern, modern_request};
use crate::support::program::node;

/// A gateway where a person is asked about everything, and a server that writes down what it is made to do.
async fn started(settings: Settings, flags: &[&str]) -> App {
    let app = settings.start().await;
    let ledger = format!("ledger={}", app.dir().join("ledger").display());
    app.nasty("n", &[flags, &[&ledger]].concat()).await;
    app
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

/// A request of an agent that knows tasks and can be asked things.
async fn send(agent: &Client, method: &str, mut params: Value) -> Answer {
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}});
    modern(agent, "n", method, params).await
}

async fn ask(agent: &Client, method: &str, params: Value) -> Value {
    send(agent, method, params).await.reply()
}

/// Calls a tool, and has to get a task.
async fn pledged(agent: &Client, tool: &str, arguments: Value) -> Value {
    let made = ask(agent, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    assert_eq!(
        (&made["result"]["resultType"], &made["result"]["status"]),
        (&json!("task"), &json!("working")),
        "{made}"
    );
    made["result"].clone()
}

async fn get(agent: &Client, id: &Value) -> Value {
    ask(agent, "tasks/get", json!({"taskId": id})).await
}

/// The task when it has come so far.
async fn until(agent: &Client, id: &Value, status: &str) -> Value {
    eventually("the task is as it should be", async || {
        let told = get(agent, id).await;
        (told["result"]["status"] == status).then(|| told["result"].clone())
    })
    .await
}

async fn answer(app: &App, approval: &Value, verb: &str, more: Value) -> Value {
    let mut body = json!({"digest": approval["digest"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/api/v1/approvals/{}/{verb}", approval["id"].as_str().unwrap());
    let answered = app.operator().post(&path, body).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    answered.json
}

async fn approve(app: &App) -> Value {
    let approval = app.pending_approval().await;
    answer(app, &approval, "approve", json!({})).await
}

fn one() -> Value {
    json!({"text": "x", "nonce": "one"})
}

fn text(told: &Value) -> &str {
    told["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

#[actix_rt::test]
async fn a_call_that_waits_for_a_person_is_a_task_at_once_and_its_result_is_kept_in_it() {
    for flags in [&["modern"] as &[&str], &[]] {
        let app = started(Settings::default(), flags).await;
        let agent = app.agent("ann").await;
        let discovered = ask(&agent, "server/discover", json!({})).await;
        let extensions = &discovered["result"]["capabilities"]["extensions"];
        assert!(extensions["io.modelcontextprotocol/tasks"].is_object(), "{discovered}");
        let made = pledged(&agent, "echo", one()).await;
        let approval = app.pending_approval().await;
        let link = format!("{}/ui/#approval={}", app.url, approval["id"].as_str().unwrap());
        assert_eq!(made["statusMessage"], format!("Waiting for approval — {link}"));
        assert!(made["ttlMs"].as_i64().unwrap() > 19 * 60_000 && made["pollIntervalMs"].is_i64(), "{made}");
        let told = get(&agent, &made["taskId"]).await["result"].clone();
        assert_eq!((&told["resultType"], &told["status"]), (&json!("complete"), &json!("working")), "{told}");
        assert_eq!(told["statusMessage"], made["statusMessage"]);
        assert_eq!(ledger(&app), "");
        assert!(approval["left_at"].is_null(), "somebody waits: {approval}");
        approve(&app).await;
        let done = until(&agent, &made["taskId"], "completed").await;
        assert_eq!((text(&done), &done["result"]["resultType"]), ("x", &json!("complete")), "{done}");
        assert_eq!(get(&agent, &made["taskId"]).await["result"], done, "it is kept");
        assert_eq!(ledger(&app), "one\n");
        let rows = app.invocations().await;
        let row = rows.iter().find(|row| row["method"] == "tools/call").expect("its row");
        assert_eq!((&row["state"], &row["decision"]["approval_id"]), (&json!("completed"), &approval["id"]), "{row}");
        assert!(rows.iter().all(|row| row["method"] != "tasks/get"), "what is asked about it reaches no server");
    }
}

#[actix_rt::test]
async fn an_agent_that_does_not_know_tasks_waits_as_ever() {
    let app = started(Settings::default().with("ATRYUM_GATE__WAITS", "*=0"), &["modern"]).await;
    let agent = app.agent("ann").await;
    let told = modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": one()})).await.reply();
    assert_eq!(told["result"]["structuredContent"]["status"], "pending_approval", "{told}");
    approve(&app).await;
    let ran = ask(&agent, "tools/call", json!({"name": "echo", "arguments": one()})).await;
    assert_eq!(ran["result"]["resultType"], "complete", "what is answered already needs no task: {ran}");
}

#[actix_rt::test]
async fn a_task_is_its_agents_and_needs_the_extension() {
    let app = started(Settings::default(), &["modern", "tasks"]).await;
    let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
    let id = pledged(&ann, "echo", one()).await["taskId"].clone();
    assert!(id.as_str().unwrap().len() > 64, "{id}");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let foreign = send(&bob, method, json!({"taskId": id, "inputResponses": {}})).await;
        let unknown = send(&bob, method, json!({"taskId": "atryum-0", "inputResponses": {}})).await;
        assert_eq!((foreign.status, foreign.reply()), (unknown.status, unknown.reply()), "{method}");
        let undeclared = modern(&ann, "n", method, json!({"taskId": id})).await;
        assert_eq!((undeclared.status, &undeclared.reply()["error"]["code"]), (400, &json!(-32021)), "{method}");
    }
    app.allow_all().await;
    for method in ["tasks/get", "tasks/cancel"] {
        let refused = ask(&bob, method, json!({"taskId": id})).await;
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["message"]),
            (&json!(-32602), &json!("Task not found"))
        );
    }
    assert_eq!(get(&ann, &id).await["result"]["status"], "working", "nobody cancelled it");
    app.nasty("m", &["modern"]).await;
    let params = json!({"taskId": id, "_meta": {"io.modelcontextprotocol/clientCapabilities":
        {"extensions": {"io.modelcontextprotocol/tasks": {}}}}});
    let elsewhere = modern(&ann, "m", "tasks/get", params).await.reply();
    assert_eq!(elsewhere["error"]["code"], -32602, "it belongs to the server, too: {elsewhere}");
}

#[actix_rt::test]
async fn a_denial_is_a_result_that_says_so_and_so_is_silence() {
    let settings = Settings::default().with("ATRYUM_GATE__APPROVAL_TIMEOUT_SECONDS", "2");
    let app = started(settings, &["modern"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "echo", one()).await["taskId"].clone();
    let approval = app.pending_approval().await;
    answer(&app, &approval, "deny", json!({"reason": "use the sandbox"})).await;
    let denied = until(&agent, &id, "completed").await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    assert!(text(&denied).contains("use the sandbox"), "{denied}");
    let id = pledged(&agent, "echo", json!({"nonce": "two"})).await["taskId"].clone();
    let expired = until(&agent, &id, "completed").await;
    assert!(expired["result"]["isError"] == true && text(&expired).contains("nobody answered"), "{expired}");
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn a_cancelled_task_runs_nothing_and_leaves_its_question() {
    let app = started(Settings::default(), &["modern"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "echo", one()).await["taskId"].clone();
    let cancelled = ask(&agent, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(cancelled["result"], json!({"resultType": "complete"}), "{cancelled}");
    assert_eq!(get(&agent, &id).await["result"]["status"], "cancelled");
    eventually("the call is over", async || (app.invocations().await[0]["state"] == "cancelled").then_some(())).await;
    eventually("nobody waits", async || app.pending_approval().await["left_at"].is_string().then_some(())).await;
    approve(&app).await;
    assert_eq!(ledger(&app), "");
    let ran = ask(&agent, "tools/call", json!({"name": "echo", "arguments": one()})).await;
    assert_eq!(text(&ran), "x", "as for an agent that left: the answer holds for the same call {ran}");
    assert_eq!(get(&agent, &id).await["result"]["status"], "cancelled");
}

#[actix_rt::test]
async fn a_task_that_is_cancelled_while_its_call_runs_tells_the_server() {
    let app = started(Settings::default(), &["modern"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "slow", json!({"seconds": 30, "nonce": "one"})).await["taskId"].clone();
    approve(&app).await;
    eventually("it runs", async || (ledger(&app) == "one\n").then_some(())).await;
    assert_eq!(get(&agent, &id).await["result"]["statusMessage"], "Approved");
    ask(&agent, "tasks/cancel", json!({"taskId": id})).await;
    eventually("the server heard of it", async || {
        app.operator().get("/api/v1/servers/n/logs").await.text.contains("cancelled").then_some(())
    })
    .await;
    assert_eq!(get(&agent, &id).await["result"]["status"], "cancelled");
    eventually("its row says what is known", async || {
        (app.invocations().await.iter().any(|row| row["state"] == "unknown")).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn what_is_looked_at_before_any_approved_call_is_looked_at_before_this_one() {
    let app = started(Settings::default(), &["modern"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "echo", one()).await["taskId"].clone();
    app.rule_first(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]}))
        .await;
    approve(&app).await;
    let denied = until(&agent, &id, "completed").await;
    assert!(denied["result"]["isError"] == true && text(&denied).contains("the rules deny it"), "{denied}");
    let id = pledged(&agent, "raw", json!({"nonce": "two"})).await["taskId"].clone();
    let edited = app.operator().patch("/api/v1/servers/n", json!({"env": {"X": "y"}})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    approve(&app).await;
    let outdated = until(&agent, &id, "completed").await;
    assert!(text(&outdated).contains("the server was edited"), "{outdated}");
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn an_approved_task_is_made_with_what_the_person_made_of_it() {
    let app = started(Settings::default(), &["modern"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "echo", one()).await["taskId"].clone();
    let approval = app.pending_approval().await;
    answer(&app, &approval, "approve", json!({"arguments_text": "{\"text\":\"y\",\"nonce\":\"edited\"}"})).await;
    assert_eq!(text(&until(&agent, &id, "completed").await), "y");
    assert_eq!(ledger(&app), "edited\n");
}

#[actix_rt::test]
async fn a_server_that_fails_fails_the_task() {
    let app = started(Settings::default(), &["modern", "die=0"]).await;
    let agent = app.agent("ann").await;
    let id = pledged(&agent, "echo", one()).await["taskId"].clone();
    approve(&app).await;
    let failed = until(&agent, &id, "failed").await;
    assert_eq!(failed["error"]["data"]["retry"], "no", "{failed}");
    assert_eq!(failed["statusMessage"], failed["error"]["message"]);
    let id = pledged(&agent, "none", json!({})).await["taskId"].clone();
    assert!(id.is_string());
}

#[actix_rt::test]
async fn two_identical_calls_are_two_tasks_with_one_question_and_one_of_them_runs() {
    let app = started(Settings::default(), &["modern"]).await;
    let agent = app.agent("ann").await;
    let ids = [pledged(&agent, "echo", one()).await, pledged(&agent, "echo", one()).await];
    approve(&app).await;
    let mut told = Vec::new();
    for id in ids {
        told.push(text(&until(&agent, &id["taskId"], "completed").await).to_owned());
    }
    assert!(told[0].contains("has used that") && told[1] == "x", "{told:?}");
    assert_eq!(ledger(&app), "one\n");
}

#[actix_rt::test]
async fn a_task_survives_a_kill_while_it_waits_and_is_made_once_when_it_is_approved() {
    for flags in [&["modern"] as &[&str], &[]] {
        let app = started(Settings::default(), flags).await;
        let key = app.agent_key("ann").await;
        let agent = Client::new(&app.url).bearer(&key);
        let id = pledged(&agent, "echo", one()).await["taskId"].clone();
        let app = app.kill_and_restart().await;
        let agent = Client::new(&app.url).bearer(&key);
        let told = get(&agent, &id).await["result"].clone();
        assert_eq!(told["status"], "working", "{told}");
        assert!(told["statusMessage"].as_str().unwrap().contains("/ui/#approval="), "{told}");
        approve(&app).await;
        assert_eq!(text(&until(&agent, &id, "completed").await), "x");
        let app = app.kill_and_restart().await;
        let agent = Client::new(&app.url).bearer(&key);
        assert_eq!(text(&get(&agent, &id).await["result"]), "x", "what came of it survives, too");
        assert_eq!(ledger(&app), "one\n");
    }
}

#[actix_rt::test]
async fn a_task_that_was_answered_while_nobody_carried_it_is_made_when_its_agent_asks() {
    let app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let agent = Client::new(&app.url).bearer(&key);
    let ids = [pledged(&agent, "echo", one()).await, pledged(&agent, "echo", json!({"nonce": "two"})).await];
    let app = app.kill_and_restart().await;
    let waiting = app.operator().get("/api/v1/approvals?status=pending").await.json["items"].clone();
    answer(&app, &waiting[1], "approve", json!({})).await;
    answer(&app, &waiting[0], "deny", json!({"reason": "not this"})).await;
    assert_eq!(ledger(&app), "", "its agent has not come back");
    let agent = Client::new(&app.url).bearer(&key);
    let many = futures_util::future::join_all((0..8).map(|_| get(&agent, &ids[0]["taskId"]))).await;
    assert!(many.iter().all(|told| told["error"].is_null()), "{many:?}");
    assert_eq!(text(&until(&agent, &ids[0]["taskId"], "completed").await), "x");
    let denied = until(&agent, &ids[1]["taskId"], "completed").await;
    assert!(text(&denied).contains("not this"), "{denied}");
    assert_eq!(ledger(&app), "one\n");
}

#[actix_rt::test]
async fn a_task_whose_call_was_cut_off_by_a_kill_is_not_made_again() {
    let app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let agent = Client::new(&app.url).bearer(&key);
    let id = pledged(&agent, "slow", json!({"seconds": 30, "nonce": "one"})).await["taskId"].clone();
    approve(&app).await;
    eventually("it runs", async || (ledger(&app) == "one\n").then_some(())).await;
    let app = app.kill_and_restart().await;
    let agent = Client::new(&app.url).bearer(&key);
    let failed = until(&agent, &id, "failed").await;
    assert_eq!(failed["error"]["data"]["retry"], "no", "{failed}");
    assert_eq!(ledger(&app), "one\n");
}

#[actix_rt::test]
async fn a_gentle_stop_leaves_the_task_to_the_next_gateway() {
    let mut app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let id = pledged(&Client::new(&app.url).bearer(&key), "echo", one()).await["taskId"].clone();
    assert_eq!(app.terminate().await, Some(0));
    let app = app.kill_and_restart().await;
    let agent = Client::new(&app.url).bearer(&key);
    assert_eq!(get(&agent, &id).await["result"]["status"], "working");
    approve(&app).await;
    assert_eq!(text(&until(&agent, &id, "completed").await), "x");
}

#[actix_rt::test]
async fn a_task_of_an_edited_server_is_told_so_after_a_restart() {
    let app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let id = pledged(&Client::new(&app.url).bearer(&key), "echo", one()).await["taskId"].clone();
    let app = app.kill_and_restart().await;
    app.operator().patch("/api/v1/servers/n", json!({"env": {"X": "y"}})).await;
    approve(&app).await;
    let agent = Client::new(&app.url).bearer(&key);
    let outdated = until(&agent, &id, "completed").await;
    assert!(text(&outdated).contains("the server was edited"), "{outdated}");
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn what_the_server_asks_meanwhile_is_asked_by_the_task_and_each_round_is_a_call_of_its_own() {
    for flags in [&["modern"] as &[&str], &[]] {
        let app = started(Settings::default(), flags).await;
        let agent = app.agent("ann").await;
        let id = pledged(&agent, "rounds", json!({"n": 2, "nonce": "r"})).await["taskId"].clone();
        approve(&app).await;
        let mut keys = Vec::new();
        for name in ["Ada", "Bob"] {
            let asks = until(&agent, &id, "input_required").await;
            let (key, asked) = asks["inputRequests"].as_object().unwrap().iter().next().unwrap();
            assert_eq!(asked["method"], "elicitation/create", "{asks}");
            assert!(!keys.contains(key), "a key is never used again");
            keys.push(key.clone());
            let nothing = ask(&agent, "tasks/update", json!({"taskId": id, "inputResponses": {"other": {}}})).await;
            assert_eq!(nothing["result"], json!({"resultType": "complete"}), "{nothing}");
            let answers = json!({key: {"action": "accept", "content": {"name": name}}});
            let given = ask(&agent, "tasks/update", json!({"taskId": id, "inputResponses": answers})).await;
            assert_eq!(given["result"], json!({"resultType": "complete"}), "{given}");
            assert_eq!(get(&agent, &id).await["result"]["status"], "working");
            approve(&app).await;
        }
        let done = until(&agent, &id, "completed").await;
        assert!(text(&done).contains("Ada") && text(&done).contains("Bob"), "{done}");
    }
}

#[actix_rt::test]
async fn a_task_that_the_server_makes_of_the_approved_call_is_asked_after_behind_the_agents_own() {
    let app = started(Settings::default(), &["modern", "tasks"]).await;
    let key = app.agent_key("ann").await;
    let agent = Client::new(&app.url).bearer(&key);
    app.rule(
        json!({"action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["tasks/update"]}),
    )
    .await;
    let id = pledged(&agent, "job", json!({"seconds": 0.5})).await["taskId"].clone();
    approve(&app).await;
    let done = until(&agent, &id, "completed").await;
    assert_eq!((&done["taskId"], text(&done)), (&id, "task-1 is done"), "{done}");
    let second = pledged(&agent, "job", json!({"seconds": 60})).await["taskId"].clone();
    approve(&app).await;
    eventually("the server has it", async || {
        let rows = app.invocations().await;
        (rows.iter().filter(|row| row["method"] == "tools/call" && row["state"] == "completed").count() == 2)
            .then_some(())
    })
    .await;
    ask(&agent, "tasks/cancel", json!({"taskId": second})).await;
    assert_eq!(until(&agent, &second, "cancelled").await["taskId"], second);
    let of_server = ask(&agent, "tasks/get", json!({"taskId": "task-1"})).await;
    assert_eq!(of_server["result"]["status"], "completed", "it is the agent's by either name: {of_server}");
}

#[actix_rt::test]
async fn an_agent_with_many_tasks_waits_for_more_as_others_do_and_so_does_what_is_not_written_down() {
    let settings = Settings::default()
        .with("ATRYUM_GATE__WAITS", "*=0")
        .with("ATRYUM_GATE__APPROVALS_PER_AGENT", "100")
        .with("ATRYUM_JOURNAL__REDACT", "* raw arguments /secret");
    let app = started(settings, &["modern"]).await;
    let agent = app.agent("ann").await;
    for n in 0..64 {
        pledged(&agent, "echo", json!({"nonce": n.to_string()})).await;
    }
    for (tool, arguments) in [("echo", one()), ("raw", json!({"secret": "s"}))] {
        let client = if tool == "raw" { app.agent("bob").await } else { agent.clone() };
        let told = ask(&client, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert_eq!(told["result"]["structuredContent"]["status"], "pending_approval", "{told}");
    }
}

#[actix_rt::test]
async fn an_agent_that_listens_hears_of_its_tasks_alone() {
    for flags in [&["modern", "tasks"] as &[&str], &["tasks"]] {
        let app = started(Settings::default(), flags).await;
        app.rule(json!({"action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["subscriptions/*"]}))
            .await;
        let (ann, bob) = (app.agent("ann").await, app.agent("bob").await);
        let id = pledged(&ann, "echo", one()).await["taskId"].clone();
        let listen = async |agent: &Client| {
            let mut params = json!({"notifications": {"taskIds": [id]}, "_meta":
                {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}});
            let (client, body) = modern_request(agent, "subscriptions/listen", &mut params);
            let mut stream = client.open("POST", "/mcp/n", body).await;
            let granted = stream.message().await.expect("an acknowledgement")["params"]["notifications"].clone();
            (stream, granted)
        };
        let (mut of_ann, granted) = listen(&ann).await;
        assert_eq!(granted, json!({"taskIds": [id]}));
        assert_eq!(listen(&bob).await.1, json!({}), "it is not bob's");
        let undeclared = modern(&ann, "n", "subscriptions/listen", json!({"notifications": {"taskIds": [id]}})).await;
        assert_eq!((undeclared.status, &undeclared.reply()["error"]["code"]), (400, &json!(-32021)));
        approve(&app).await;
        let told = of_ann.message().await.expect("its end");
        assert_eq!((&told["method"], &told["params"]["status"]), (&json!("notifications/tasks"), &json!("completed")));
        assert_eq!((&told["params"]["taskId"], text(&told["params"])), (&id, "x"), "{told}");
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1, "{told}");
        let (mut late, _) = listen(&ann).await;
        assert_eq!(late.message().await.expect("what is known")["params"]["status"], "completed");
    }
}

/// The official client for tasks, started; it prints a line of JSON for each thing that it learns.
fn official(app: &App, key: &str, arguments: &[&str]) -> Lines<BufReader<ChildStdout>> {
    let (flags, rest): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    let mut client = Command::new(node())
        .arg(repo("tests/clients/tasks.mjs"))
        .args(flags)
        .args([format!("{}/mcp/n", app.url.replace("127.0.0.1", "localhost")), key.to_owned()])
        .args(rest)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let lines = BufReader::new(client.stdout.take().expect("its output")).lines();
    tokio::spawn(async move { client.wait().await });
    lines
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = lines.next_line().await.expect("its output").expect("a line");
    serde_json::from_str(&line).expect("JSON")
}

/// The last line.
async fn last(mut lines: Lines<BufReader<ChildStdout>>) -> Value {
    let mut last = Value::Null;
    while let Some(line) = lines.next_line().await.expect("its output") {
        last = serde_json::from_str(&line).expect("JSON");
    }
    last
}

#[actix_rt::test]
async fn the_official_client_for_tasks_gets_its_outcome() {
    let app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let mut client = official(&app, &key, &["echo", &one().to_string()]);
    let first = next(&mut client).await;
    assert!(
        first["status"] == "working" && first["message"].as_str().unwrap().contains("Waiting for approval"),
        "{first}"
    );
    approve(&app).await;
    let done = last(client).await;
    assert_eq!((&done["kind"], &done["status"], text(&done)), (&json!("task"), &json!("completed"), "x"), "{done}");

    let mut client = official(&app, &key, &["echo", &json!({"nonce": "two"}).to_string()]);
    next(&mut client).await;
    answer(&app, &app.pending_approval().await, "deny", json!({"reason": "not this"})).await;
    let denied = last(client).await;
    assert!(denied["result"]["isError"] == true && text(&denied).contains("not this"), "{denied}");

    let cancelled = last(official(&app, &key, &["--cancel", "echo", &json!({"nonce": "three"}).to_string()])).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");

    let client = official(&app, &key, &["elicit", &json!({"nonce": "four"}).to_string()]);
    let waiting = async || {
        eventually("a question", async || {
            let list = app.operator().get("/api/v1/approvals?status=pending").await.json;
            list["items"].as_array().unwrap().iter().find(|one| one["tool"] == "elicit").cloned()
        })
        .await
    };
    answer(&app, &waiting().await, "approve", json!({})).await;
    answer(&app, &waiting().await, "approve", json!({})).await;
    let asked = last(client).await;
    assert!(asked["status"] == "completed" && text(&asked).contains("Ada"), "it was asked in between: {asked}");
    assert_eq!(ledger(&app), "one\nfour\nfour\n", "the second is the round with the answer");
}

#[actix_rt::test]
async fn the_official_client_goes_on_with_its_task_after_a_kill() {
    let app = started(Settings::default(), &["modern"]).await;
    let key = app.agent_key("ann").await;
    let handed = last(official(&app, &key, &["--hand-off", "echo", &one().to_string()])).await;
    let app = app.kill_and_restart().await;
    let client = official(&app, &key, &["--resume", &handed["reference"].to_string()]);
    approve(&app).await;
    let done = last(client).await;
    assert_eq!((&done["status"], text(&done)), (&json!("completed"), "x"), "{done}");
    assert_eq!(ledger(&app), "one\n");
}
