//! `atryum audit …`

use serde_json::{Value, json};

use super::run::{Done, atryum, done, operator};
use crate::support::app::App;
use crate::support::database::run_sql;
use crate::support::http::Session;

fn verify(app: &App, more: &[&str]) -> Done {
    let data = app.dir().join("data");
    let arguments: Vec<_> = ["audit", "verify", "-o", "json"].into_iter().chain(more.iter().copied()).collect();
    done(atryum(&arguments).env("ATRYUM_DATA_DIR", &data).env("HOME", app.dir()).current_dir(app.dir()))
}

#[actix_rt::test]
async fn a_record_holds_until_somebody_alters_it_and_then_says_where() {
    let mut app = App::start().await;
    app.nasty("n", &[]).await;
    app.allow_all().await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for _ in 0..5 {
        session.call("echo", json!({"text": "hi"})).await;
    }
    let key = operator(&app, &["audit", "key"]).ok().out.trim().to_owned();
    let checkpoint = operator(&app, &["audit", "checkpoint"]).ok().out;
    std::fs::write(app.dir().join("checkpoint.json"), &checkpoint).unwrap();
    let exported = operator(&app, &["audit", "export"]).ok().out;
    std::fs::write(app.dir().join("export.jsonl"), &exported).unwrap();
    let kept = ["--public-key", key.as_str(), "--from-checkpoint", "checkpoint.json"];
    let held = verify(&app, &kept).ok().json();
    assert_eq!((&held["holds"], held["findings"].as_array().map(Vec::len)), (&json!(true), Some(0)), "while it runs");
    let from_file: Vec<_> = ["export.jsonl"].into_iter().chain(kept).collect();
    assert_eq!(verify(&app, &from_file).ok().json()["holds"], true);
    assert_eq!(app.terminate().await, Some(0));
    let stopped = verify(&app, &kept).ok().json();
    assert_eq!(stopped["unsigned"], 0, "the end is signed at the stop: {stopped}");
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    run_sql(&url, "DROP TRIGGER audit_event_is_final").await;
    run_sql(&url, "UPDATE audit_event SET actor = 'agent:bob' WHERE seq = 7").await;
    let altered = verify(&app, &kept);
    let findings: Vec<Value> = altered.json()["findings"].as_array().unwrap().clone();
    assert_eq!((altered.code, findings.len()), (1, 1), "{altered:?}");
    assert!(findings[0].as_str().unwrap().starts_with("chain 1, event 7: it was altered"), "{findings:?}");
    run_sql(&url, "DELETE FROM audit_event WHERE seq > 3").await;
    run_sql(&url, "DELETE FROM audit_checkpoint").await;
    let cut = verify(&app, &kept);
    assert_eq!(cut.code, 1, "{cut:?}");
    let other_key = ["--public-key", &"ab".repeat(32)];
    assert_eq!(verify(&app, &[&["export.jsonl"], &other_key[..]].concat()).code, 1);
    assert_eq!(verify(&app, &["--public-key", "nonsense"]).code, 2);
    assert_eq!(verify(&app, &["--from-checkpoint", "export.txt"]).code, 1);
}

#[actix_rt::test]
async fn what_was_done_is_listed() {
    let app = App::start().await;
    app.allow_all().await;
    let listed = operator(&app, &["audit", "list", "--kind", "rule.created"]).ok().out;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("operator:admin-token"), "{listed}");
    let table = operator(&app, &["audit", "export", "--format", "csv"]).ok().out;
    assert!(table.starts_with("\"chain\",\"seq\",\"at\""), "{table}");
}
