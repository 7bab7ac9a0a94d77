//! Servers that are edited, restarted or replaced while they are used.

use serde_json::{Value, json};

use super::{descendants, no_process_is_left};
use crate::support::app::{App, python, repo};
use crate::support::eventually;
use crate::support::http::Session;

async fn pid_of(session: &Session) -> u64 {
    let answer = session.call("env", json!({})).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    serde_json::from_str::<Value>(&text).expect("an object")["pid"].as_u64().expect("a pid")
}

#[actix_rt::test]
async fn an_edit_lets_a_running_call_end_on_the_old_process_and_takes_the_next_to_a_new_one() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let old = pid_of(&session).await;
    let mut running = session.open_call("slow", json!({"seconds": 3}), Some(json!(1))).await;
    running.message().await.expect("it runs");
    let script = repo("tests/fixture-stdio/nasty.py");
    let edited = app.operator().patch("/api/v1/servers/n", json!({"args": [script, "pages"]})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let new = pid_of(&session).await;
    assert_ne!(old, new, "the next call goes to what was edited");
    assert_eq!(pid_of(&session).await, new, "and the one after it, too");
    let mut last = None;
    while let Some(message) = running.message().await {
        last = Some(message);
    }
    assert!(last.as_ref().is_some_and(|last| last["result"].is_object()), "{last:?}");
    eventually("the old process is gone", async || (!super::runs(u32::try_from(old).unwrap())).then_some(())).await;
    assert!(!app.log().contains("an actor ended"), "an actor that was told to go is not mourned: {}", app.log());
}

#[actix_rt::test]
async fn a_restart_under_load_loses_no_call() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let calls = async {
        let mut pids = std::collections::BTreeSet::new();
        for _ in 0..150 {
            pids.insert(pid_of(&session).await);
        }
        pids.len()
    };
    let restarts = async {
        for _ in 0..3 {
            actix_rt::time::sleep(std::time::Duration::from_millis(150)).await;
            assert_eq!(app.operator().post("/api/v1/servers/n/restart", json!({})).await.status, 204);
        }
    };
    let (processes, ()) = futures_util::future::join(calls, restarts).await;
    assert!(processes > 1, "it was restarted while calls were made");
    let rows = app.invocations().await;
    assert!(rows.iter().all(|row| row["state"] == "completed"), "{rows:?}");
}

#[actix_rt::test]
async fn a_server_of_the_same_name_is_another_one() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    pid_of(&session).await;
    assert_eq!(app.operator().delete("/api/v1/servers/n").await.status, 204);
    app.nasty("n", &["pages"]).await;
    assert_eq!(session.request("ping", json!({})).await.status, 404, "the session was with the old one");
    no_process_is_left(app.pid).await;
}

#[actix_rt::test]
async fn a_server_that_is_disabled_while_it_starts_leaves_no_process() {
    let app = App::start().await;
    app.nasty("n", &["slow=3"]).await;
    let agent = app.agent("ann").await.header("accept", "application/json, text/event-stream");
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let (refused, ()) = futures_util::future::join(agent.post("/mcp/n", initialize), async {
        eventually("it is starting", async || (!descendants(app.pid).is_empty()).then_some(())).await;
        app.operator().patch("/api/v1/servers/n", json!({"enabled": false})).await;
    })
    .await;
    assert!(refused.reply()["error"].is_object(), "{refused:?}");
    no_process_is_left(app.pid).await;
}

/// An edit is no reason to tell an agent that it came at a bad moment.
#[actix_rt::test]
async fn whoever_begins_while_a_server_is_edited_gets_what_it_became() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["slow=2"]).await;
    let agent = app.agent("ann").await;
    let edit = async {
        eventually("it is starting", async || (!descendants(app.pid).is_empty()).then_some(())).await;
        let script = repo("tests/fixture-stdio/nasty.py");
        let edited = app.operator().patch("/api/v1/servers/n", json!({"args": [script, "pages"]})).await;
        assert_eq!(edited.status, 200, "{edited:?}");
    };
    let (session, ()) = futures_util::future::join(Session::open(&agent, "n", "2025-11-25", json!({})), edit).await;
    let page = session.request("tools/list", json!({})).await.reply();
    assert!(page["result"]["nextCursor"].is_string(), "the edited one comes in pages: {page}");
}

/// The log level is the agent's, whatever became of the process that it was told to.
#[actix_rt::test]
async fn what_a_session_set_is_set_again_even_if_the_first_new_process_failed() {
    let app = App::start().await;
    app.allow_all().await;
    let broken = app.dir().join("broken");
    let script = repo("tests/fixture-stdio/nasty.py");
    let shell = format!("[ -e {} ] && exit 1; exec {} {} die=2", broken.display(), python(), script.display());
    app.server("n", "/bin/sh", &["-c", &shell]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let level = session.request("logging/setLevel", json!({"level": "error"})).await.reply();
    assert_eq!(level["result"], json!({}));
    let lines = async || {
        let answer = session.request("tools/call", json!({"name": "log", "arguments": {}})).await;
        let messages = answer.messages();
        let is_answered = messages.last().is_some_and(|last| last["result"].is_object());
        is_answered.then(|| messages.iter().filter(|message| message["method"] == "notifications/message").count())
    };
    assert_eq!(lines().await, Some(1));
    std::fs::write(&broken, "").expect("a file");
    lines().await;
    assert_eq!(lines().await, None, "it died");
    assert_eq!(lines().await, None, "and does not come up");
    std::fs::remove_file(&broken).expect("the file");
    let again = eventually("it is back", lines).await;
    assert_eq!(again, 1, "only what is at least an error is told");
}
