//! Many agents at one remote server: nobody gets another's answer.
//!
//! `ATRYUM_TEST_ISOLATION_CALLS=2000` makes each agent call so often; without it the test is short.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::program::Program;

const AGENTS: usize = 50;
/// Of so many keys.
const OWNERS: usize = 10;
/// How often each of them calls, unless the environment says otherwise.
const CALLS: usize = 60;
/// How many of its calls each has under way.
const LANES: usize = 2;

/// An agent with a connection that stays, and ids that begin at 0 like everybody's.
struct Agent {
    client: awc::Client,
    url: String,
    key: String,
    session: String,
    name: String,
}

impl Agent {
    async fn open(app: &App, number: usize, key: &str) -> Self {
        let client = awc::Client::builder().timeout(std::time::Duration::from_secs(300)).no_default_headers().finish();
        let url = format!("{}/mcp/shared", app.url);
        let mut agent =
            Self { client, url, key: key.to_owned(), session: String::new(), name: format!("agent {number}") };
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": agent.name, "version": "1"},
        });
        let (session, answer) =
            agent.post(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
        agent.session = session.unwrap_or_else(|| panic!("no session: {answer}"));
        agent.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        agent
    }

    /// The session that was given, and the last message of the answer.
    async fn post(&self, message: Value) -> (Option<String>, Value) {
        let mut request = self
            .client
            .post(&self.url)
            .insert_header(("authorization", format!("Bearer {}", self.key)))
            .insert_header(("accept", "application/json, text/event-stream"))
            .insert_header(("content-type", "application/json"));
        if !self.session.is_empty() {
            request = request
                .insert_header(("mcp-session-id", self.session.as_str()))
                .insert_header(("mcp-protocol-version", "2025-11-25"));
        }
        let mut answer = request.send_body(message.to_string()).await.expect("the gateway answers");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("a text").to_owned());
        let (session, kind) = (header("mcp-session-id"), header("content-type").unwrap_or_default());
        let body = answer.body().limit(1 << 20).await.expect("a whole answer");
        let text = String::from_utf8_lossy(&body);
        let message = if kind.starts_with("text/event-stream") {
            crate::support::http::events(&text).pop().unwrap_or_default()
        } else {
            serde_json::from_str(&text).unwrap_or_default()
        };
        (session, message)
    }

    /// How many answers were not the one to their call.
    async fn calls(&self, ids: impl Iterator<Item = usize>) -> usize {
        let mut wrong = 0;
        for id in ids {
            let text = format!("{} says {id}", self.name);
            let params = json!({"name": "echo", "arguments": {"message": text}});
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
            let (_, answer) = self.post(call).await;
            let is_right = answer["id"] == id && answer["result"]["content"][0]["text"] == format!("Echo: {text}");
            if !is_right {
                println!("{}, call {id}: {answer}", self.name);
                wrong += 1;
            }
        }
        wrong
    }
}

async fn nobody_gets_anothers_answer(server: &Program) {
    let calls = std::env::var("ATRYUM_TEST_ISOLATION_CALLS").map_or(CALLS, |calls| calls.parse().expect("a number"));
    let app = App::start().await;
    app.allow_all().await;
    let definition = json!({"name": "shared", "mode": "http", "base_url": server.url("/mcp"), "timeout_seconds": 120});
    app.server_from(definition).await;
    // Some of them have a key in common, most have not.
    let mut owners = Vec::new();
    for number in 0..OWNERS {
        owners.push(app.agent_key(&format!("owner-{number}")).await);
    }
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        agents.push(Agent::open(&app, number, &owners[number % owners.len()]).await);
    }
    let began = std::time::Instant::now();
    let lanes = agents.iter().flat_map(|agent| (0..LANES).map(move |lane| agent.calls((lane..calls).step_by(LANES))));
    let wrong: usize = join_all(lanes).await.iter().sum();
    println!("{AGENTS} agents, {calls} calls each, {wrong} wrong answers, {:?}", began.elapsed());
    assert_eq!(wrong, 0, "of {} answers", AGENTS * calls);
    let rows = app.invocations().await;
    let completed = rows.iter().filter(|row| row["tool"] == "echo" && row["state"] == "completed").count();
    assert_eq!(completed, AGENTS * calls, "each call is recorded once");
}

#[actix_rt::test]
async fn fifty_agents_at_one_typescript_server_each_get_their_own_answers() {
    nobody_gets_anothers_answer(&Program::everything("streamableHttp").await).await;
}

#[actix_rt::test]
async fn fifty_agents_at_one_python_server_each_get_their_own_answers() {
    nobody_gets_anothers_answer(&Program::python().await).await;
}
