//! Servers that write what they should not, or too much of it.

use serde_json::json;

use super::resident_kib;
use crate::support::app::{App, Settings};
use crate::support::http::Session;

#[actix_rt::test]
async fn noise_line_ends_and_early_messages_do_no_harm() {
    for flags in [
        &["banner"][..],
        &["crlf"],
        &["early"],
        &["double"],
        &["stderr"],
        &["pages"],
        &["banner", "crlf", "early", "double"],
    ] {
        let app = App::start().await;
        app.allow_all().await;
        app.nasty("n", flags).await;
        let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
        for n in 0..3 {
            let answer = session.call("echo", json!({"text": format!("{n}")})).await;
            assert_eq!(answer["result"]["content"][0]["text"], format!("{n}"), "{flags:?}: {answer}");
        }
        let rows = app.invocations().await;
        assert!(rows.iter().all(|row| row["state"] == "completed"), "{flags:?}: {rows:?}");
    }
}

#[actix_rt::test]
async fn a_big_answer_crosses_and_one_beyond_the_bound_fails_its_own_call_only() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__LINE_BYTES_MAX", "3000000").start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let fits = session.call("big", json!({"n": 2})).await;
    assert!(fits["result"]["content"][0]["text"].as_str().expect("text").len() >= 2 << 20);
    let refused = session.call("big", json!({"n": 4})).await;
    assert_eq!(refused["error"]["data"]["code"], "answer_too_large", "{refused}");
    let after = session.call("echo", json!({"text": "on"})).await;
    assert_eq!(after["result"]["content"][0]["text"], "on");
    let rows = app.invocations().await;
    let big = rows.iter().find(|row| row["outcome"]["result_bytes"].as_u64().is_some_and(|bytes| bytes > 2 << 20));
    assert!(big.is_some(), "the full length is recorded");
}

#[actix_rt::test]
async fn a_line_that_never_ends_costs_bounded_memory_and_ends_its_call() {
    let app = Settings::default()
        .with("ATRYUM_UPSTREAM__LINE_BYTES_MAX", "1000000")
        .with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "3")
        .start()
        .await;
    app.allow_all().await;
    app.nasty("n", &["flood"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let before = resident_kib(app.pid);
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["error"]["data"]["code"], "timed_out", "{answer}");
    let grown = resident_kib(app.pid).saturating_sub(before);
    assert!(grown < 50 * 1024, "{grown} KiB more than before the flood");
}

#[actix_rt::test]
async fn a_call_that_gets_no_answer_is_given_up_and_told_as_unknown() {
    let app = Settings::default().with("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "1").start().await;
    app.allow_all().await;
    app.nasty("n", &["wrongid"]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["error"]["data"]["code"], "timed_out", "{answer}");
    let rows = app.invocations().await;
    assert_eq!(rows[0]["state"], "unknown", "{rows:?}");
}
