//! What a remote server is shown as a login: when it is tested, replaced, refused, and when its server moves.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::{Answer, Session};
use crate::support::remote::{Fault, On, Remote};

const TOKEN: &str = "token-canary";

async fn register(app: &App, remote: &Remote, auth: Value) -> Answer {
    app.server_from(json!({"name": "n", "base_url": remote.url, "auth": auth})).await
}

async fn patch(app: &App, patch: Value) -> Answer {
    let answer = app.operator().patch("/api/v1/servers/n", patch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn test(app: &App) -> Value {
    app.operator().post("/api/v1/servers/n/test", json!({})).await.json
}

/// The logins that came with the last request.
fn last_login(remote: &Remote) -> (Option<String>, Option<String>) {
    let ledger = remote.ledger();
    let last = ledger.last().expect("a request");
    (last.header("authorization").map(str::to_owned), last.header("x-api-key").map(str::to_owned))
}

#[actix_rt::test]
async fn a_login_never_arrives_where_its_server_was_moved_to() {
    for auth in [json!({"bearer_token": TOKEN}), json!({"headers": {"X-Api-Key": TOKEN}})] {
        let (app, remote, sink) = (App::start().await, Remote::start(), Remote::start());
        register(&app, &remote, auth.clone()).await;
        assert_eq!(test(&app).await["ok"], true);
        assert!(remote.ledger().iter().all(|request| format!("{request:?}").contains(TOKEN)));
        let moved = patch(&app, json!({"base_url": sink.url})).await;
        assert_eq!(moved.json["credentials"]["status"], "missing", "{moved:?}");
        assert_eq!(test(&app).await["ok"], true, "this server wants none");
        assert!(!sink.ledger().is_empty() && !format!("{:?}", sink.ledger()).contains(TOKEN), "{:?}", sink.ledger());
        patch(&app, json!({"base_url": remote.url})).await;
        assert_eq!(test(&app).await["ok"], true);
        assert_eq!(last_login(&remote), (None, None), "what was removed does not come back");
        patch(&app, json!({"base_url": sink.url, "auth": {"bearer_token": "for-the-sink"}})).await;
        assert_eq!(test(&app).await["ok"], true);
        assert_eq!(last_login(&sink), (Some("Bearer for-the-sink".into()), None));
    }
}

#[actix_rt::test]
async fn the_login_that_holds_is_the_one_that_was_given_last() {
    let (app, remote) = (App::start().await, Remote::start());
    register(&app, &remote, json!(null)).await;
    for (auth, expected) in [
        (json!({"bearer_token": "one"}), (Some("Bearer one"), None)),
        (json!({"bearer_token": "two"}), (Some("Bearer two"), None)),
        (
            json!({"headers": {"X-Api-Key": "three", "Authorization": "Basic eA=="}}),
            (Some("Basic eA=="), Some("three")),
        ),
        (json!({"headers": {"authorization": null, "x-api-key": "four"}}), (None, Some("four"))),
        (json!({"bearer_token": "five"}), (Some("Bearer five"), None)),
        (json!({"type": "none"}), (None, None)),
    ] {
        patch(&app, json!({ "auth": auth })).await;
        assert_eq!(test(&app).await["ok"], true);
        let (authorization, key) = last_login(&remote);
        assert_eq!((authorization.as_deref(), key.as_deref()), expected, "{auth}");
    }
    let draft = json!({"name": "draft", "base_url": remote.url, "auth": {"bearer_token": "six"}});
    let tried = app.operator().post("/api/v1/servers/test", draft).await;
    assert_eq!((&tried.json["ok"], &tried.json["credentials"]["status"]), (&json!(true), &json!("ready")), "{tried:?}");
    assert_eq!(last_login(&remote), (Some("Bearer six".into()), None));
}

#[actix_rt::test]
async fn a_token_is_replaced_without_a_call_in_flight_being_lost() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    register(&app, &remote, json!({"bearer_token": "old"})).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut held = session.open_call("held", json!({}), Some(json!("p"))).await;
    assert_eq!(held.message().await.expect("a progress")["method"], "notifications/progress");
    patch(&app, json!({"auth": {"bearer_token": "new"}})).await;
    remote.release();
    let answer = async {
        loop {
            let message = held.message().await.expect("an answer");
            if message["method"].is_null() {
                return message;
            }
        }
    };
    let answer = answer.await;
    assert!(answer["result"].is_object(), "{answer}");
    assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["content"][0]["text"], "x");
    let logins: Vec<_> =
        remote.seen("tools/call").iter().map(|call| call.header("authorization").map(str::to_owned)).collect();
    assert_eq!(logins, [Some("Bearer old".to_owned()), Some("Bearer new".to_owned())]);
}

#[actix_rt::test]
async fn a_call_that_takes_longer_than_a_process_would_be_given_survives_a_new_token_too() {
    let (app, remote) = (App::start().await, Remote::start());
    app.allow_all().await;
    let auth = json!({"bearer_token": "old"});
    app.server_from(json!({"name": "n", "base_url": remote.url, "timeout_seconds": 120, "auth": auth})).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut held = session.open_call("held", json!({}), Some(json!("p"))).await;
    assert_eq!(held.message().await.expect("a progress")["method"], "notifications/progress");
    patch(&app, json!({"auth": {"bearer_token": "new"}})).await;
    // Nothing happens that could be waited for: that is what is tested.
    tokio::time::sleep(std::time::Duration::from_secs(32)).await;
    assert_eq!(session.call("echo", json!({"text": "x"})).await["result"]["content"][0]["text"], "x");
    remote.release();
    let answer = loop {
        let message = held.message().await.expect("an answer");
        if message["method"].is_null() {
            break message;
        }
    };
    assert!(answer["result"].is_object(), "{answer}");
    let logins: Vec<_> =
        remote.seen("tools/call").iter().map(|call| call.header("authorization").map(str::to_owned)).collect();
    assert_eq!(logins, [Some("Bearer old".to_owned()), Some("Bearer new".to_owned())]);
}

#[actix_rt::test]
async fn a_login_that_is_refused_is_asked_for_anew_and_holds_when_it_is_taken() {
    let (app, remote) = (App::start().await, Remote::start());
    register(&app, &remote, json!({"bearer_token": TOKEN})).await;
    remote.fault(On::Every, Fault::says(401, &[], &format!("I don't know {TOKEN}")));
    let tested = test(&app).await;
    assert_eq!(tested["ok"], false, "{tested}");
    let expected = (json!("action_required"), json!("set_token"));
    let credentials = |server: &Value| {
        let credentials = &server["credentials"];
        assert!(credentials["reason"].as_str().is_some_and(|reason| reason.contains("401")), "{server}");
        (credentials["status"].clone(), credentials["action"].clone())
    };
    assert_eq!(credentials(&tested), expected);
    let shown = app.operator().get("/api/v1/servers/n").await;
    assert_eq!(credentials(&shown.json), expected);
    assert!(!format!("{tested}{shown:?}{}", app.log()).contains(TOKEN), "{tested}");
    remote.heal();
    let given = patch(&app, json!({"auth": {"bearer_token": "another"}})).await;
    assert_eq!(given.json["credentials"], json!({"status": "ready", "reason": null, "action": null}), "{given:?}");
    assert_eq!(test(&app).await["credentials"]["status"], "ready");
}

#[actix_rt::test]
async fn a_login_that_is_missing_stays_missing_with_its_reason_whatever_the_server_says() {
    let (app, remote, other) = (App::start().await, Remote::start(), Remote::start());
    register(&app, &remote, json!({"bearer_token": TOKEN})).await;
    other.fault(On::Every, Fault::status(401));
    let moved = patch(&app, json!({"base_url": other.url})).await;
    let tested = test(&app).await;
    assert_eq!((&tested["ok"], &tested["credentials"]), (&json!(false), &moved.json["credentials"]), "{tested}");
    assert_eq!(tested["connection"]["status"], "action_required", "{tested}");
    other.heal();
    let tested = test(&app).await;
    assert_eq!((&tested["ok"], &tested["credentials"]), (&json!(true), &moved.json["credentials"]), "{tested}");
}
