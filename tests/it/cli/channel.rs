//! `atryum channel`.

use serde_json::json;

use super::run::{atryum, fed, operator};
use crate::support::app::{ADMIN_TOKEN, App};
use crate::support::provider::{Provider, Said};

#[actix_rt::test]
async fn a_channel_is_added_from_standard_input_tried_and_removed() {
    let app = App::start().await;
    let receiver = Provider::start();
    receiver.says("POST /s3cret-path", Said::json(200, &json!({})));
    let run = |arguments: &[&str], input: &str| {
        fed(atryum(arguments).env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN), input)
    };
    let secrets = format!("{}/s3cret-path\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", receiver.origin);
    let arguments = ["channel", "add", "ops", "--kind", "webhook", "--server", "git*", "--delay", "5"];
    let added = run(&arguments, &secrets).ok();
    assert!(added.out.contains(&receiver.origin) && added.err.contains("atryum channel test ops"), "{added:?}");
    assert!(!format!("{added:?}").contains("s3cret"), "{added:?}");
    operator(&app, &["channel", "test", "ops"]).ok();
    let listed = operator(&app, &["channel", "list"]).ok();
    let cells: Vec<_> = listed.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["ops", "webhook", "working", "*", "git*", "5", "-"]);

    let moved = run(&["channel", "set-url", "ops"], &format!("{}/elsewhere", receiver.origin)).ok();
    assert_eq!(moved.out, "ops has a new address\n");
    let tested = operator(&app, &["channel", "test", "ops"]);
    assert!(tested.code == 1 && tested.err.contains("there is nothing at this address"), "{tested:?}");
    operator(&app, &["channel", "disable", "ops"]).ok();
    let shown = operator(&app, &["channel", "show", "ops", "-o", "json"]).ok().json();
    assert_eq!((&shown["status"], &shown["secret_set"]), (&json!("disabled"), &json!(true)));
    assert_eq!(operator(&app, &["channel", "deliveries", "ops", "-o", "json"]).ok().json(), json!([]));

    operator(&app, &["channel", "add", "bell", "--kind", "command", "--", "/bin/true", "--loud"]).ok();
    operator(&app, &["channel", "test", "bell"]).ok();
    let empty = operator(&app, &["channel", "add", "chat", "--kind", "slack"]);
    assert!(empty.code == 2 && empty.err.contains("no address on standard input"), "{empty:?}");
    for name in ["ops", "bell"] {
        operator(&app, &["channel", "remove", name]).ok();
    }
    assert_eq!(operator(&app, &["channel", "list", "-o", "json"]).ok().json(), json!([]));
}
