//! SIGTERM: what is under way ends well, and a second one doesn't wait.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::Session;

#[actix_rt::test]
async fn a_call_that_nobody_listens_to_is_finished_before_the_gateway_stops() {
    let mut app = App::start().await;
    app.allow_all().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let stream = session.open_call("slow", json!({"seconds": 3, "nonce": "one"}), None).await;
    eventually("it runs", async || std::fs::read_to_string(&ledger).ok().filter(|text| !text.is_empty())).await;
    drop(stream);
    assert_eq!(app.terminate().await, Some(0), "{}", app.log());
    let app = app.kill_and_restart().await;
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["tool"]), (&json!("completed"), &json!("slow")), "{row}");
}

#[actix_rt::test]
async fn a_second_signal_does_not_wait_for_a_call_and_its_row_is_ended() {
    let mut app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("slow", json!({"seconds": 60}), Some(json!(1))).await;
    stream.message().await.expect("it runs");
    let pid = rustix::process::Pid::from_raw(i32::try_from(app.pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    eventually("it is stopping", async || app.log().contains("calls in flight may finish").then_some(())).await;
    let asked = Instant::now();
    assert_eq!(app.terminate().await, Some(0), "{}", app.log());
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let app = app.kill_and_restart().await;
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["tool"]), (&json!("unknown"), &json!("slow")), "{row}");
    let error = row["outcome"]["error"].as_str().unwrap_or_default().to_owned();
    assert!(!error.contains("the gateway stopped"), "told before the end, and not guessed at the next start: {error}");
}
