//! What a server's process is given.

use serde_json::{Value, json};

use crate::support::app::{ADMIN_TOKEN, Settings, python, repo};
use crate::support::http::Session;

#[actix_rt::test]
async fn a_server_sees_a_few_plain_variables_and_its_own_and_no_secret_of_the_gateway() {
    let app = Settings::default()
        .with("LANG", "C.UTF-8")
        .with("USER", "somebody")
        .with("UNRELATED_TOKEN", "canary-1")
        .start()
        .await;
    app.allow_all().await;
    let script = repo("tests/fixture-stdio/nasty.py");
    app.server_from(json!({
        "name": "n", "mode": "stdio", "command": python(), "args": [script, "stderr=0"],
        "env": {"API_KEY": "canary-2"},
    }))
    .await;
    let read = app.operator().get("/api/v1/servers/n").await;
    assert_eq!(read.json["env_names"], json!(["API_KEY"]));
    assert!(!read.text.contains("canary-2"), "an env value is write-only");
    let database = std::fs::read(app.dir().join("data/atryum.db")).expect("the database");
    let wal = std::fs::read(app.dir().join("data/atryum.db-wal")).unwrap_or_default();
    for bytes in [database, wal] {
        assert!(!bytes.windows(8).any(|window| window == b"canary-2"), "sealed at rest");
    }
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.call("env", json!({})).await;
    let text = answer["result"]["content"][0]["text"].as_str().expect("text");
    let seen: Value = serde_json::from_str(text).expect("an object");
    let env = &seen["env"];
    let mut names: Vec<_> = env.as_object().expect("an object").keys().map(String::as_str).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "LC_CTYPE"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["API_KEY", "HOME", "LANG", "PATH", "USER"]);
    assert_eq!(env["API_KEY"], "canary-2");
    assert!(!text.contains("canary-1") && !text.contains(ADMIN_TOKEN));
    assert!(!app.log().contains("canary-2"));
}
