//! A yes is for what was shown. Whatever differs from it by a byte is another question.

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::http::{Client, Session};

/// How many in the suite; `ATRYUM_TEST_MUTATIONS=1000` for the whole.
const MUTATIONS: usize = 60;

/// Those that take a server's start each.
const SLOW_MUTATIONS: usize = 12;

fn count(otherwise: usize) -> usize {
    std::env::var("ATRYUM_TEST_MUTATIONS").map_or(otherwise, |count| count.parse().expect("a number"))
}

async fn approved(app: &App, session: &Session, arguments: &str) -> Value {
    let told = call(session, arguments).await;
    let id = told["result"]["structuredContent"]["approval_id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let approval = app.operator().get(&format!("/api/v1/approvals/{id}")).await.json;
    assert_eq!(approval["arguments_text"], arguments, "what is shown is what was received");
    let path = format!("/api/v1/approvals/{id}/approve");
    assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
    approval
}

async fn call(session: &Session, arguments: &str) -> Value {
    let id = session.next_id();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
    );
    let client = session.client.clone().header("content-type", "application/json");
    client.send("POST", "/mcp/n", body).await.reply()
}

async fn started() -> (App, Client, Session) {
    let settings = Settings::default().with("ATRYUM_GATE__WAITS", "*=0");
    let app = settings.with("ATRYUM_GATE__APPROVALS_PER_AGENT", "5000").start().await;
    register(&app).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-06-18", json!({})).await;
    (app, agent, session)
}

async fn register(app: &App) {
    let (ledger, redefine) = (app.dir().join("ledger"), app.dir().join("definition"));
    app.nasty("n", &[&format!("ledger={}", ledger.display()), &format!("redefine={}", redefine.display())]).await;
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

/// One byte more, one less, one other; and what means the same to a parser, and is still not what was shown.
fn mutated(n: usize) -> String {
    let amount = 1_000 + n;
    match n % 6 {
        0 => format!(r#"{{"nonce":"{n}","amount":{amount}0}}"#),
        1 => format!(r#"{{"nonce":"{n}","amount":{amount}.0}}"#),
        2 => format!(r#"{{"nonce":"{n}", "amount":{amount}}}"#),
        3 => format!(r#"{{"amount":{amount},"nonce":"{n}"}}"#),
        4 => format!(r#"{{"nonce":"{n}","amount":{amount},"to":null}}"#),
        _ => format!(r#"{{"nonce":"\u003{n}","amount":{amount}}}"#, n = n % 10),
    }
}

#[actix_rt::test]
async fn no_call_runs_on_the_yes_to_another_one() {
    let (app, _, session) = started().await;
    for n in 0..count(MUTATIONS) {
        let arguments = format!(r#"{{"nonce":"{n}","amount":{}}}"#, 1_000 + n);
        approved(&app, &session, &arguments).await;
        let told = call(&session, &mutated(n)).await;
        assert_eq!(told["result"]["structuredContent"]["status"], "pending_approval", "{n}: {told}");
        // What differs beside the arguments differs, too.
        let mut params: Value = json!({"name": "echo", "task": {"ttl": n}});
        params["arguments"] = serde_json::from_str(&arguments).unwrap();
        let told = session.request("tools/call", params).await.reply();
        assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("Approval pending"), "{n}: {told}");
    }
    assert_eq!(ledger(&app), "");
    // They were good for what was shown.
    call(&session, r#"{"nonce":"0","amount":1000}"#).await;
    assert_eq!(ledger(&app), "0\n");
}

#[actix_rt::test]
async fn no_call_runs_on_the_yes_to_a_server_or_a_tool_that_is_another_by_now() {
    let (app, agent, mut session) = started().await;
    let definition = app.dir().join("definition");
    for n in 0..count(SLOW_MUTATIONS) {
        let arguments = format!(r#"{{"nonce":"{n}"}}"#);
        approved(&app, &session, &arguments).await;
        match n % 3 {
            0 => std::fs::write(&definition, format!("now it deletes {n}")).unwrap(),
            1 => {
                let cwd = if n % 2 == 0 { "/" } else { "/tmp" };
                let edited = app.operator().patch("/api/v1/servers/n", json!({ "cwd": cwd })).await;
                assert_eq!(edited.status, 200, "{edited:?}");
            }
            _ => {
                assert_eq!(app.operator().delete("/api/v1/servers/n").await.status, 204);
                register(&app).await;
                session = Session::open(&agent, "n", "2025-06-18", json!({})).await;
            }
        }
        let told = call(&session, &arguments).await;
        assert_eq!(told["result"]["structuredContent"]["status"], "pending_approval", "{n}: {told}");
    }
    assert_eq!(ledger(&app), "");
}

/// The agent waits all the while: what it waits for is compared once more before it goes out.
#[actix_rt::test]
async fn a_tool_that_changes_while_its_call_waits_is_not_called() {
    let settings = Settings::default().with("ATRYUM_GATE__WAITS", "*=600").start().await;
    let app = settings;
    let (ledger_file, redefine) = (app.dir().join("ledger"), app.dir().join("definition"));
    app.nasty("n", &[&format!("ledger={}", ledger_file.display()), &format!("redefine={}", redefine.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("echo", json!({"nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    assert!(approval["definition_digest"].as_str().unwrap().starts_with("sha256:"), "{approval}");
    std::fs::write(&redefine, "now it deletes").unwrap();
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
    let told = stream.message().await.expect("an answer");
    assert!(told.to_string().contains("the tool is another one"), "{told}");
    assert_eq!(ledger(&app), "");
    assert_eq!(app.invocations().await[0]["state"], "denied");
}
