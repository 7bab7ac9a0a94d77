//! `atryum approval`, from the call that waits to the answer that it gets.

use std::process::{Child, Stdio};

use super::run::{Done, atryum, demo, fed, operator};
use crate::support::app::{ADMIN_TOKEN, App};

const CALL: [&str; 5] = ["call", "demo", "transfer_money", "--arguments", r#"{"to":"Ann","amount":1.0e1}"#];
const GOOD_CALL: [&str; 5] = ["call", "demo", "transfer_money", "--arguments", r#"{"to":"Ann","amount":10}"#];

/// A call that goes on in the background.
fn begin(app: &App, key: &str, arguments: &[&str]) -> Child {
    let mut command = atryum(arguments);
    command.env("ATRYUM_URL", &app.url).env("ATRYUM_AGENT_KEY", key);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(call: Child) -> Done {
    let output = call.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[actix_rt::test]
async fn an_approved_call_goes_on_and_says_on_the_way_that_it_waits() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let call = begin(&app, &key, &GOOD_CALL);
    let id = app.pending_approval().await["id"].as_str().unwrap().to_owned();

    let listed = operator(&app, &["approval", "list"]).ok();
    assert!(listed.out.contains(&id) && listed.out.contains("transfer_money"), "{listed:?}");
    let shown = operator(&app, &["approval", "show", &id]).ok();
    assert!(shown.out.contains(r#"{"to":"Ann","amount":10}"#), "{shown:?}");
    let approved = operator(&app, &["approval", "approve", &id, "-o", "json"]).ok().json();
    assert_eq!(approved["status"], "approved");

    let done = end(call).ok();
    assert!(done.out.contains(r#""balance":9990"#), "{done:?}");
    let again = operator(&app, &["approval", "approve", &id]);
    assert_eq!(again.code, 1, "an approval is used once: {again:?}");
}

#[actix_rt::test]
async fn a_denied_call_fails_with_the_reason() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let call = begin(&app, &key, &GOOD_CALL);
    let id = app.pending_approval().await["id"].as_str().unwrap().to_owned();
    operator(&app, &["approval", "deny", &id, "--reason", "too much"]).ok();
    let done = end(call);
    assert!(done.code == 1 && done.out.contains("too much"), "{done:?}");
}

#[actix_rt::test]
async fn an_approval_for_other_bytes_than_those_shown_is_refused() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let call = begin(&app, &key, &CALL);
    let approval = app.pending_approval().await;
    assert_eq!(approval["arguments_text"], r#"{"to":"Ann","amount":1.0e1}"#, "the number is shown as it was written");
    let id = approval["id"].as_str().unwrap();
    let refused = operator(&app, &["approval", "approve", id, "--digest", "sha256:00"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    operator(&app, &["approval", "deny", id]).ok();
    assert_eq!(end(call).code, 1);
}

#[actix_rt::test]
async fn a_call_that_nobody_answers_is_pending() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let call = begin(&app, &key, &[&GOOD_CALL[..], &["--wait", "7"]].concat());
    app.pending_approval().await;
    let done = end(call);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.out.is_empty() && done.err.to_lowercase().contains("approval"), "{done:?}");
}

#[actix_rt::test]
async fn watch_tells_of_each_call_once() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let call = begin(&app, &key, &GOOD_CALL);
    let id = app.pending_approval().await["id"].as_str().unwrap().to_owned();
    let watched = operator(&app, &["approval", "watch", "--for", "3", "-o", "json"]).ok();
    assert_eq!(watched.out.lines().count(), 1, "{watched:?}");
    assert_eq!(watched.json()["id"], id.as_str());
    operator(&app, &["approval", "deny", &id]).ok();
    end(call);
}

#[actix_rt::test]
async fn watch_takes_answers_for_the_call_that_is_shown() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let watch = |typed: &str| {
        let mut command = atryum(&["approval", "watch", "-i", "--for", "60"]);
        fed(command.env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN), typed).ok()
    };
    let call = begin(&app, &key, &GOOD_CALL);
    let id = app.pending_approval().await["id"].as_str().unwrap().to_owned();
    let watched = watch("what\ne\na\nq\n");
    assert!(watched.out.contains("transfer_money") && watched.out.contains("a approve"), "{watched:?}");
    assert!(watched.out.contains(&format!("{id} has ten minutes more")), "{watched:?}");
    assert!(watched.out.contains(&format!("{id} approved")), "{watched:?}");
    assert_eq!(end(call).code, 0);

    let call = begin(&app, &key, &GOOD_CALL);
    app.pending_approval().await;
    let watched = watch("s\nq\n");
    assert!(!watched.out.contains("denied"), "it is left to somebody else: {watched:?}");
    watch("d not this one\n");
    let denied = end(call);
    assert!(denied.out.contains("not this one"), "{denied:?}");
}
