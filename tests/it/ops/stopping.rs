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

#[actix_rt::test]
async fn what_waits_for_a_person_or_for_a_start_does_not_hold_the_gateway_up() {
    let mut app = App::start().await;
    app.nasty("n", &[]).await;
    app.nasty("hangs", &["slow=100"]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let mut asked = session.open_call("echo", json!({"text": "x"}), None).await;
    app.pending_approval().await;
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let starting = agent.clone().header("accept", "application/json, text/event-stream");
    let before = crate::upstream::descendants(app.pid).len();
    let starting = actix_rt::spawn(async move { starting.post("/mcp/hangs", initialize).await.reply() });
    eventually("it is starting", async || (crate::upstream::descendants(app.pid).len() > before).then_some(())).await;
    let began = Instant::now();
    assert_eq!(app.terminate().await, Some(0), "{}", app.log());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let told = asked.message().await.expect("an answer");
    assert!(told.to_string().contains("the gateway is stopping"), "{told}");
    assert!(starting.await.expect("it was answered")["error"].is_object());
    let app = app.kill_and_restart().await;
    assert_eq!(app.invocations().await[0]["state"], "cancelled");
}

#[actix_rt::test]
async fn a_gateway_that_stops_turns_new_calls_away_and_still_hears_answers() {
    let mut app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({"roots": {}})).await;
    let mut stream = session.open_call("roots", json!({}), None).await;
    let question = stream.message().await.expect("a question");
    let pid = rustix::process::Pid::from_raw(i32::try_from(app.pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    eventually("it is stopping", async || {
        let ready = app.anonymous().get("/readyz").await;
        (ready.status == 503 && ready.text.contains("stopping")).then_some(())
    })
    .await;
    let refused = session.request("tools/list", json!({})).await;
    assert_eq!((refused.status, &refused.json["error"]["data"]["retry"]), (503, &json!("safe")), "{refused:?}");
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///forty-two"}]}});
    assert_eq!(session.client.post("/mcp/n", reply).await.status, 202);
    let answer = stream.message().await.expect("the answer");
    assert!(answer.to_string().contains("forty-two"), "{answer}");
    let gone = eventually("it is gone", async || app.try_exit()).await;
    assert_eq!(gone, Some(0));
}
