//! The official SDK clients, unmodified, in front of real servers from npm and `PyPI`.

use std::path::PathBuf;
use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{App, repo};
use crate::support::program::{Program, node};

/// A client program and how it is started; each prints one JSON line.
struct Sdk {
    program: PathBuf,
    arguments: Vec<String>,
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

/// Over the older pair of endpoints.
fn py1_sse(arguments: &[&str]) -> Sdk {
    script(repo("tests/clients/.venv-py1/bin/python"), "py1.py", arguments)
}

/// `mcp-remote`, for agents that speak nothing but stdio.
fn mcp_remote() -> Sdk {
    ts1(&["--features", "--remote"])
}

fn py2(mode: &str) -> Sdk {
    script(repo("tests/clients/.venv-py2/bin/python"), "py2.py", &[mode])
}

fn rmcp(mode: &str) -> Sdk {
    Sdk { program: repo("target/fixture/debug/rmcp-client"), arguments: vec![mode.into()] }
}

impl Sdk {
    /// It can be asked for a sample and for a person's word.
    fn with_features(mut self) -> Self {
        let first = usize::from(!self.program.ends_with("rmcp-client"));
        self.arguments.insert(first, "--features".into());
        self
    }

    /// Connects, lists, calls once; what it printed.
    async fn call(&self, app: &App, server: &str, key: &str, tool: &str, arguments: &Value) -> Value {
        self.calls(app, server, key, &[(tool, arguments.clone())]).await
    }

    /// Connects, lists, calls; what it printed.
    async fn calls(&self, app: &App, server: &str, key: &str, calls: &[(&str, Value)]) -> Value {
        let calls = calls.iter().flat_map(|(tool, arguments)| [(*tool).to_owned(), arguments.to_string()]);
        let arguments = [address(app, server), key.to_owned()].into_iter().chain(calls).collect::<Vec<_>>();
        let text = run(app, &self.program, self.arguments.iter().chain(&arguments)).await;
        let line = text.lines().rev().find(|line| line.starts_with('{')).expect("a line of JSON");
        serde_json::from_str(line).expect("JSON")
    }
}

fn address(app: &App, server: &str) -> String {
    format!("{}/mcp/{server}", app.url.replace("127.0.0.1", "localhost"))
}

/// What a program printed, if it ended well.
async fn run(app: &App, program: &PathBuf, arguments: impl Iterator<Item = &String>) -> String {
    assert!(program.exists() || program.as_os_str() == "node", "run tests/setup.sh: {program:?}");
    let arguments: Vec<_> = arguments.collect();
    let output = tokio::process::Command::new(program)
        .args(&arguments)
        .env("MCP_REMOTE_CONFIG_DIR", app.dir().join("mcp-remote"))
        .env("MCP_CATALOG_PATH", app.dir().join("inspector.json"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(180), output)
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} did not finish"))
        .expect("the client starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}\n{problem}");
    text
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
        (ts1(&["--sse"]), LEGACY),
        (py1_sse(&["--sse"]), LEGACY),
    ];
    works(&app, "calc", "math", json!({"action": "eval", "expression": "2+3"}), "5", &sdks).await;
}

#[actix_rt::test]
async fn the_older_pair_of_endpoints_carries_questions_and_progress_to_its_sdks() {
    let app = App::start().await;
    app.allow_all().await;
    npx(&app, "everything", &["@modelcontextprotocol/server-everything", "stdio"]).await;
    let key = app.agent_key("ann").await;
    for sdk in [ts1(&["--features", "--sse"]), py1_sse(&["--features", "--sse"])] {
        let sampled = sdk
            .call(&app, "everything", &key, "trigger-sampling-request", &json!({"prompt": "hi", "maxTokens": 5}))
            .await;
        assert!(sampled["asked"].to_string().contains("sampling/createMessage"), "{sampled}");
    }
    let long = ts1(&["--features", "--sse"])
        .call(&app, "everything", &key, "trigger-long-running-operation", &json!({"duration": 1, "steps": 3}))
        .await;
    assert!(long["progress"].as_array().is_some_and(|progress| !progress.is_empty()), "{long}");
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

/// Each client that can be asked, in each era that it speaks.
fn everybody() -> Vec<(Sdk, &'static str)> {
    vec![
        (ts1(&["--features"]), LEGACY),
        (mcp_remote(), LEGACY),
        (ts2("legacy").with_features(), LEGACY),
        (ts2(MODERN).with_features(), MODERN),
        (py1().with_features(), LEGACY),
        (py2("legacy").with_features(), LEGACY),
        (py2("auto").with_features(), MODERN),
        (rmcp("initialize").with_features(), LEGACY),
        (rmcp("discover").with_features(), MODERN),
    ]
}

/// Each client connects, lists, calls, and is asked for a sample and for a person's word.
async fn everybody_is_asked(app: &App, server: &str) {
    assert!(repo("tests/clients/node_modules/mcp-remote").exists(), "run tests/setup.sh");
    let key = app.agent_key(&format!("agent-{server}")).await;
    let calls = [
        ("test_simple_text", json!({})),
        ("test_sampling", json!({"prompt": "hi"})),
        ("test_elicitation", json!({"message": "Who?"})),
    ];
    let everybody = everybody();
    for pair in everybody.chunks(2) {
        let seen = join_all(pair.iter().map(|(sdk, _)| sdk.calls(app, server, &key, &calls))).await;
        for ((sdk, version), seen) in pair.iter().zip(seen) {
            let context = format!("{server}, {:?}: {seen}", sdk.arguments);
            assert_eq!(seen["protocol_version"], *version, "{context}");
            assert!(seen["tools"].as_u64().is_some_and(|tools| tools > 30), "{context}");
            assert_eq!(seen["asked"], json!(["sampling/createMessage", "elicitation/create"]), "{context}");
            let text = |at: usize| seen["results"][at]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
            assert!(text(0).contains("simple text") && text(1).contains("sampled"), "{context}");
            assert!(text(2).to_lowercase().contains("ada") && text(2).contains("accept"), "{context}");
        }
    }
    let rows = app.invocations().await;
    let ended = rows.iter().filter(|row| row["server"] == server && row["tool"] == "test_simple_text");
    assert_eq!(ended.filter(|row| row["state"] == "completed").count(), everybody.len(), "each call is recorded once");
}

async fn conformance_over_stdio(app: &App, era: &str) {
    let upstream = repo("target/fixture/debug/conformance-upstream");
    assert!(upstream.exists(), "run tests/setup.sh");
    app.server(era, upstream.to_str().unwrap(), &["--era", era, "stdio"]).await;
}

#[actix_rt::test]
async fn every_client_is_asked_by_a_server_over_stdio() {
    let app = App::start().await;
    app.allow_all().await;
    conformance_over_stdio(&app, "both").await;
    everybody_is_asked(&app, "both").await;
}

#[actix_rt::test]
async fn every_client_is_asked_by_a_server_of_the_other_era_over_stdio() {
    let app = App::start().await;
    app.allow_all().await;
    for era in ["legacy", "modern"] {
        conformance_over_stdio(&app, era).await;
        everybody_is_asked(&app, era).await;
    }
}

#[actix_rt::test]
async fn every_client_is_asked_by_a_server_over_http() {
    let app = App::start().await;
    app.allow_all().await;
    let upstream = Program::conformance("both").await;
    app.remote("both", &upstream.url("/mcp")).await;
    everybody_is_asked(&app, "both").await;
}

#[actix_rt::test]
async fn every_client_is_asked_by_a_server_of_the_other_era_over_http() {
    let app = App::start().await;
    app.allow_all().await;
    for era in ["legacy", "modern"] {
        let upstream = Program::conformance(era).await;
        app.remote(era, &upstream.url("/mcp")).await;
        everybody_is_asked(&app, era).await;
    }
}

#[actix_rt::test]
async fn every_sdk_calls_a_typescript_server_over_http() {
    let (app, upstream) = (App::start().await, Program::everything("streamableHttp").await);
    app.allow_all().await;
    app.remote("everything", &upstream.url("/mcp")).await;
    let sdks = [
        (ts1(&[]), LEGACY),
        (ts2("legacy"), LEGACY),
        (ts2(MODERN), MODERN),
        (py1(), LEGACY),
        (py2("auto"), MODERN),
        (rmcp("initialize"), LEGACY),
        (rmcp("auto"), MODERN),
    ];
    works(&app, "everything", "echo", json!({"message": "five"}), "five", &sdks).await;
}

/// The Inspector's command line, in either era.
async fn the_inspector_works(app: &App, server: &str) {
    let key = app.agent_key("inspector").await;
    let program = node();
    for era in ["legacy", "modern"] {
        let inspect = async |method: &[&str]| {
            let cli = repo("tests/clients/node_modules/.bin/mcp-inspector");
            assert!(cli.exists(), "run tests/setup.sh");
            let cli = cli.to_string_lossy().into_owned();
            let header = format!("Authorization: Bearer {key}");
            let url = address(app, server);
            let common = [&cli, "--cli", &url, "--transport", "http", "--protocol-era", era, "--header", &header];
            let arguments: Vec<_> =
                common.iter().chain(method).chain(&["--format", "json"]).map(ToString::to_string).collect();
            let text = run(app, &program, arguments.iter()).await;
            let line = text.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
            serde_json::from_str::<Value>(line).expect("JSON")
        };
        let listed = inspect(&["--method", "tools/list"]).await;
        assert!(listed["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 30), "{era}: {listed}");
        let called = inspect(&["--method", "tools/call", "--tool-name", "test_simple_text"]).await;
        assert!(called.to_string().contains("simple text"), "{era}: {called}");
    }
}

#[actix_rt::test]
async fn the_inspector_works_with_a_server_over_stdio() {
    let app = App::start().await;
    app.allow_all().await;
    conformance_over_stdio(&app, "both").await;
    the_inspector_works(&app, "both").await;
}

#[actix_rt::test]
async fn the_inspector_works_with_a_server_over_http() {
    let (app, upstream) = (App::start().await, Program::conformance("both").await);
    app.allow_all().await;
    app.remote("remote", &upstream.url("/mcp")).await;
    the_inspector_works(&app, "remote").await;
}
