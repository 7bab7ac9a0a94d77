//! The official conformance suite, through the gateway and direct, compared check by check.

use std::process::Command;

use serde_json::json;

use crate::support::app::{App, repo};
use crate::support::program::Program;

fn run(arguments: &[&str], key: &str) -> (bool, String) {
    let output = Command::new("python3")
        .arg(repo("tests/conformance/run.py"))
        .args(arguments)
        .env("ATRYUM_AGENT_KEY", key)
        .output()
        .expect("python3 starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs the suite against the server that is registered as `conformance`, and against one that speaks both eras without the
/// gateway. `to_run` are options for both runs, `to_compare` for what follows.
async fn no_check_is_worse(app: &App, to_run: &[&str], to_compare: &[&str]) {
    let key = app.agent_key("suite").await;
    let url = format!("{}/mcp/conformance", app.url.replace("127.0.0.1", "localhost"));
    let place = |name: &str| app.dir().join(name).to_string_lossy().into_owned();
    let (direct, through) = (place("direct"), place("through"));
    let (ran, said) = run(&[&["direct", "--out", &direct], to_run].concat(), &key);
    assert!(ran, "{said}");
    let to_gateway = ["through", "--url", &url, "--token-env", "ATRYUM_AGENT_KEY", "--out", &through];
    let (ran, said) = run(&[&to_gateway, to_run].concat(), &key);
    assert!(ran, "{said}");
    let (is_no_worse, said) = run(&[&["compare", &direct, &through], to_compare].concat(), &key);
    println!("{said}");
    assert!(is_no_worse, "{said}");
}

async fn in_front_of(arguments: &[&str]) -> App {
    let app = App::start().await;
    app.allow_all().await;
    let upstream = repo("target/fixture/debug/conformance-upstream");
    assert!(upstream.exists(), "run tests/setup.sh");
    app.server("conformance", upstream.to_str().unwrap(), arguments).await;
    app
}

#[actix_rt::test]
async fn no_check_is_worse_through_the_gateway_than_direct() {
    let app = in_front_of(&["stdio"]).await;
    no_check_is_worse(&app, &[], &[]).await;
}

#[actix_rt::test]
async fn no_check_is_worse_if_the_agent_is_legacy_and_the_server_is_not() {
    let app = in_front_of(&["--era", "modern", "stdio"]).await;
    no_check_is_worse(&app, &["--revision", "2025-11-25"], &["--revision", "2025-11-25", "--bridged", "modern"]).await;
}

#[actix_rt::test]
async fn no_check_is_worse_if_the_agent_is_modern_and_the_server_is_not() {
    let app = in_front_of(&["--era", "legacy", "stdio"]).await;
    // The extension for tasks is one of the modern revision: a legacy server does not know it.
    let to_run = ["--revision", "2026-07-28", "--core"];
    no_check_is_worse(&app, &to_run, &["--revision", "2026-07-28", "--bridged", "legacy"]).await;
}

#[actix_rt::test]
async fn no_check_is_worse_if_the_server_is_reached_over_http() {
    let (app, upstream) = (App::start().await, Program::conformance("both").await);
    app.allow_all().await;
    app.server_from(json!({"name": "conformance", "mode": "http", "base_url": upstream.url("/mcp")})).await;
    no_check_is_worse(&app, &[], &[]).await;
}
