//! That the remote server of these tests is a good one while nobody tells it to be otherwise: official clients find no
//! fault with it.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::app::repo;
use crate::support::program::node;
use crate::support::remote::{Manner, Remote};

async fn ts(remote: &Remote, script: &[&str], tool: &str, arguments: Value) -> Value {
    let output = tokio::process::Command::new(node())
        .arg(repo("tests/clients").join(script[0]))
        .args(&script[1..])
        .args([&remote.url, "token", tool, &arguments.to_string()])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the client starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

#[actix_rt::test]
async fn an_official_client_finds_sessions_streams_and_questions_as_they_should_be() {
    let remote = Remote::start();
    let legacy = ["ts1.mjs", "--features"];
    let echoed = ts(&remote, &legacy, "echo", json!({"text": "x"})).await;
    assert_eq!((&echoed["tools"], &echoed["result"]["content"][0]["text"]), (&json!(7), &json!("x")), "{echoed}");
    let asked = ts(&remote, &legacy, "ask", json!({})).await;
    assert!(asked["result"].to_string().contains("Ada") && asked["asked"] == json!(["elicitation/create"]), "{asked}");
    let late = ts(&remote, &legacy, "early", json!({})).await;
    assert_eq!(late["result"]["content"][0]["text"], "late", "{late}");
    let grown = ts(&remote, &legacy, "grow", json!({})).await;
    assert_eq!(grown["changed"], json!(["notifications/tools/list_changed"]), "{grown}");
    remote.release();
    let held = ts(&remote, &legacy, "held", json!({})).await;
    assert_eq!(held["progress"].as_array().map(Vec::len), Some(2), "{held}");
    assert!(remote.sessions().is_empty(), "the client ended each session");
}

#[actix_rt::test]
async fn an_official_client_of_the_modern_era_finds_it_modern() {
    let remote = Remote::with(Manner { is_modern: true, ..Manner::default() });
    let echoed = ts(&remote, &["ts2.mjs", "2026-07-28"], "echo", json!({"text": "x"})).await;
    assert_eq!(
        (&echoed["protocol_version"], &echoed["result"]["content"][0]["text"]),
        (&json!("2026-07-28"), &json!("x"))
    );
}
