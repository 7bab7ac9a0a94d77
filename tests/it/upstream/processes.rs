//! What is left of a server's processes: nothing.

use serde_json::json;

use super::{descendants, no_process_is_left, runs};
use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::Session;

#[actix_rt::test]
async fn a_stubborn_server_and_what_it_started_are_gone_after_a_stop() {
    let app = App::start().await;
    app.allow_all().await;
    let pidfile = app.dir().join("pid");
    let flag = format!("pidfile={}", pidfile.display());
    app.nasty("n", &["stubborn", "fork=setsid", &flag]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let grandchild = grandchild(&pidfile).await;
    assert!(runs(grandchild) && !descendants(app.pid).is_empty());
    assert_eq!(session.client.delete("/mcp/n").await.status, 204);
    no_process_is_left(app.pid).await;
    eventually("the detached process is gone", async || (!runs(grandchild)).then_some(())).await;
}

#[actix_rt::test]
async fn nothing_outlives_a_gateway_that_is_killed() {
    let mut app = App::start().await;
    app.allow_all().await;
    let agent = app.agent("ann").await;
    let mut left = Vec::new();
    for n in 0..5 {
        let pidfile = app.dir().join(format!("pid{n}"));
        let (name, flag) = (format!("n{n}"), format!("pidfile={}", pidfile.display()));
        app.nasty(&name, &["stubborn", "fork=setsid", &flag]).await;
        let session = Session::open(&agent, &name, "2025-11-25", json!({})).await;
        session.call("echo", json!({"text": "hi"})).await;
        left.push(grandchild(&pidfile).await);
    }
    left.extend(descendants(app.pid));
    assert!(left.len() >= 15, "guards, servers and what they started: {left:?}");
    app.kill();
    eventually("all of them are gone", async || left.iter().all(|pid| !runs(*pid)).then_some(())).await;
}

#[actix_rt::test]
async fn a_stopped_gateway_says_goodbye_and_leaves_nothing() {
    let mut app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &["stubborn"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    session.call("echo", json!({"text": "hi"})).await;
    let _standing = session.client.open("GET", "/mcp/n", String::new()).await;
    let left = descendants(app.pid);
    assert!(!left.is_empty());
    assert_eq!(app.terminate().await, Some(0), "{}", app.log());
    eventually("all of them are gone", async || left.iter().all(|pid| !runs(*pid)).then_some(())).await;
}

async fn grandchild(pidfile: &std::path::Path) -> u32 {
    eventually("the server has started its own", async || std::fs::read_to_string(pidfile).ok()?.trim().parse().ok())
        .await
}
