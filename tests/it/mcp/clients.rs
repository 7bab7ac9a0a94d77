//! The official SDK clients, unmodified, in front of real servers from npm and `PyPI`.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::app::{App, repo};

/// A client program and how it is started; each prints one JSON line.
struct Sdk {
    program: PathBuf,
    arguments: Vec<String>,
}

fn node() -> PathBuf {
    let bundled = repo("tests/clients/node_modules/.bin/node");
    if bundled.exists() { bundled } else { PathBuf::from("node") }
}

fn script(program: PathBuf, name: &str, arguments: &[&str]) -> Sdk {
    let script = repo("tests/clients").join(name).to_string_lossy().into_owned();
    Sdk { program, arguments: std::iter::once(script).chain(arguments.iter().map(ToString::to_string)).collect() }
}

fn ts1(arguments: &[&str]) -> Sdk {
    script(node(), "ts1.mjs", arguments)
}

fn ts2(mode: &str) -> Sdk {
    script(node(), "ts2.mjs", &[mode])
}

fn py1() -> Sdk {
    script(repo("tests/clients/.venv-py1/bin/python"), "py1.py", &[])
}

fn py2(mode: &str) -> Sdk {
    script(repo("tests/clients/.venv-py2/bin/python"), "py2.py", &[mode])
}

fn rmcp(mode: &str) -> Sdk {
    Sdk { program: repo("target/fixture/debug/rmcp-client"), arguments: vec![mode.into()] }
}

impl Sdk {
    /// Connects, lists, calls once; what it printed.
    async fn call(&self, app: &App, server: &str, key: &str, tool: &str, arguments: &Value) -> Value {
        assert!(self.program.exists() || self.program.as_os_str() == "node", "run tests/setup.sh: {:?}", self.program);
        let url = format!("{}/mcp/{server}", app.url.replace("127.0.0.1", "localhost"));
        let output = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .args([&url, key, tool, &arguments.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(std::time::Duration::from_secs(180), output)
            .await
            .unwrap_or_else(|_| panic!("{:?} did not finish", self.arguments))
            .expect("the client starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{:?}: {text}\n{problem}", self.arguments);
        let line = text.lines().rev().find(|line| line.starts_with('{')).expect("a line of JSON");
        serde_json::from_str(line).expect("JSON")
    }
}

/// `npx` finds the pinned packages where they are installed.
async fn npx(app: &App, name: &str, args: &[&str]) {
    let args: Vec<_> = ["-y"].iter().chain(args).collect();
    let definition =
        json!({"name": name, "mode": "stdio", "command": "npx", "args": args, "cwd": repo("tests/clients")});
    app.server_from(definition).await;
}

async fn works(app: &App, server: &str, tool: &str, arguments: Value, expected: &str, sdks: &[(Sdk, &str)]) {
    let tested = app.operator().post(&format!("/api/v1/servers/{server}/test"), json!({})).await;
    assert_eq!(tested.json["ok"], true, "{tested:?}");
    let key = app.agent_key(&format!("agent-{server}")).await;
    for (sdk, version) in sdks {
        let seen = sdk.call(app, server, &key, tool, &arguments).await;
        assert_eq!(seen["protocol_version"], *version, "{:?}: {seen}", sdk.arguments);
        assert!(seen["tools"].as_u64().is_some_and(|tools| tools > 0), "{seen}");
        assert!(seen["result"].to_string().contains(expected), "{:?}: {seen}", sdk.arguments);
    }
    let rows = app.invocations().await;
    let calls = rows.iter().filter(|row| row["tool"] == tool && row["server"] == server);
    let states: Vec<_> = calls.map(|row| row["state"].clone()).collect();
    assert_eq!(states, vec![json!("completed"); sdks.len()], "each call is recorded once");
}

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

#[actix_rt::test]
async fn every_sdk_calls_an_npm_server() {
    let app = App::start().await;
    app.allow_all().await;
    npx(&app, "calc", &["@coo-quack/calc-mcp"]).await;
    let sdks = [
        (ts1(&[]), LEGACY),
        (ts2("legacy"), LEGACY),
        (ts2("auto"), MODERN),
        (ts2(MODERN), MODERN),
        (py1(), LEGACY),
        (py2("legacy"), LEGACY),
        (py2("auto"), MODERN),
        (rmcp("initialize"), LEGACY),
        (rmcp("discover"), MODERN),
    ];
    works(&app, "calc", "math", json!({"action": "eval", "expression": "2+3"}), "5", &sdks).await;
}

#[actix_rt::test]
async fn every_sdk_calls_a_pypi_server_that_speaks_both_eras() {
    let app = App::start().await;
    app.allow_all().await;
    let command = repo("tests/clients/.venv-servers/bin/mcp-server-time");
    app.server("time", command.to_str().unwrap(), &[]).await;
    let sdks = [
        (ts1(&[]), LEGACY),
        (ts2(MODERN), MODERN),
        (py1(), LEGACY),
        (py2("auto"), MODERN),
        (rmcp("initialize"), LEGACY),
        (rmcp("auto"), MODERN),
    ];
    works(&app, "time", "get_current_time", json!({"timezone": "UTC"}), "UTC", &sdks).await;
}

#[actix_rt::test]
async fn a_client_with_all_features_hears_progress_and_is_asked_through_the_gateway() {
    let app = App::start().await;
    app.allow_all().await;
    npx(&app, "everything", &["@modelcontextprotocol/server-everything", "stdio"]).await;
    let key = app.agent_key("ann").await;
    let full = ts1(&["--features"]);
    let long = full
        .call(&app, "everything", &key, "trigger-long-running-operation", &json!({"duration": 1, "steps": 3}))
        .await;
    assert!(long["progress"].as_array().is_some_and(|progress| !progress.is_empty()), "{long}");
    let sampled =
        full.call(&app, "everything", &key, "trigger-sampling-request", &json!({"prompt": "hi", "maxTokens": 5})).await;
    assert!(sampled["asked"].to_string().contains("sampling/createMessage"), "{sampled}");
    let plain = ts1(&[]).call(&app, "everything", &key, "echo", &json!({"message": "hi"})).await;
    let (with, without) = (sampled["tools"].as_u64().unwrap(), plain["tools"].as_u64().unwrap());
    assert!(with > without, "the server offers more to a client that can do more: {with} and {without}");
}
