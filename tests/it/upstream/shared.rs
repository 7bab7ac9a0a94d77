//! A server that is marked as shared: one process for all sessions.

use futures_util::future::join_all;
use serde_json::json;

use super::descendants;
use crate::support::app::{App, python, repo};
use crate::support::http::Session;

#[actix_rt::test]
async fn sessions_of_a_shared_server_use_one_process_and_are_not_mixed_up() {
    let app = App::start().await;
    app.allow_all().await;
    let script = repo("tests/fixture-stdio/nasty.py");
    app.server_from(json!({"name": "n", "mode": "stdio", "command": python(), "args": [script], "shared": true})).await;
    let agents = [app.agent("ann").await, app.agent("bob").await, app.agent("cid").await];
    let open = agents.iter().map(|agent| Session::open(agent, "n", "2025-11-25", json!({"sampling": {}})));
    let sessions = join_all(open).await;
    let calls = (0..60).map(|n| {
        let session = &sessions[n % 3];
        async move { (n, session.call("echo", json!({"text": format!("nonce-{n}")})).await) }
    });
    for (n, answer) in join_all(calls).await {
        assert_eq!(answer["result"]["content"][0]["text"], format!("nonce-{n}"));
    }
    // A guard, and the server.
    assert_eq!(descendants(app.pid).len(), 2);
    let refused = sessions[0].call("sample", json!({})).await;
    assert!(
        refused.to_string().contains("did not declare sampling"),
        "nobody can be asked over a shared process: {refused}"
    );
    assert_eq!(sessions[0].client.delete("/mcp/n").await.status, 204);
    let still = sessions[1].call("echo", json!({"text": "still"})).await;
    assert_eq!(still["result"]["content"][0]["text"], "still");
}
