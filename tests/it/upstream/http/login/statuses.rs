//! How a login is told: true at all times, with a sentence and what to do.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::logged_in::{LoggedIn, TOKEN, refusal, said, tokens};
use crate::support::provider::Said;
use crate::support::remote::{Fault, On, Remote};

/// Status and action, with a sentence that names the server where there is something to say.
fn word<'a>(server: &'a Value, part: &str) -> (&'a str, Option<&'a str>) {
    let told = &server[part];
    if !told["reason"].is_null() {
        assert!(told["reason"].as_str().is_some_and(|reason| reason.len() > 20), "{server}");
    }
    (told["status"].as_str().expect("a status"), told["action"].as_str())
}

fn reason<'a>(server: &'a Value, part: &str) -> &'a str {
    server[part]["reason"].as_str().unwrap_or_default()
}

#[actix_rt::test]
async fn a_grant_that_is_over_is_told_and_nobody_asks_again() {
    let mut scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    scene.takes(&[]);
    scene.provider.says(TOKEN, refusal("invalid_grant"));
    for _ in 0..5 {
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert_eq!(
            (&answer["error"]["data"]["code"], &answer["error"]["data"]["retry"]),
            (&json!("unauthorized"), &json!("safe"))
        );
    }
    let server = scene.credentials("action_required").await;
    assert_eq!(word(&server, "credentials"), ("action_required", Some("reconnect")), "{server}");
    assert_eq!(word(&server, "connection"), ("action_required", Some("reconnect")), "{server}");
    assert!(reason(&server, "credentials").contains("invalid_grant"), "{server}");
    let tested = scene.app.operator().post("/api/v1/servers/n/test", json!({})).await.json;
    assert_eq!(tested["ok"], false, "{tested}");
    scene.app = scene.app.kill_and_restart().await;
    let server = scene.server().await;
    assert_eq!(word(&server, "credentials"), ("action_required", Some("reconnect")), "{server}");
    assert_eq!(scene.refreshes(), 1, "not by calls, not by a test, not after a restart");
    // A login anew takes its place, and both are well after a real handshake.
    scene.takes(&[5]);
    scene.log_in(&tokens(5, 3600)).await;
    let server = scene.server().await;
    assert_eq!(
        (word(&server, "credentials"), word(&server, "connection")),
        (("ready", None), ("ready", None)),
        "{server}"
    );
}

#[actix_rt::test]
async fn a_token_that_can_not_be_renewed_now_is_used_as_long_as_it_does() {
    let scene = LoggedIn::start_then(&tokens(1, 4), Said::html(503)).await;
    let session = scene.session().await;
    let server = eventually("it was tried", async || {
        assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
        let server = scene.server().await;
        (!server["credentials"]["reason"].is_null() && server["credentials"]["status"] == "ready").then_some(server)
    })
    .await;
    assert!(
        reason(&server, "credentials").contains("503") && reason(&server, "credentials").contains("next try"),
        "{server}"
    );
    assert_eq!(word(&server, "connection"), ("ready", None), "{server}");
    let over = scene.credentials("expired").await;
    assert_eq!(word(&over, "connection").0, "failing", "{over}");
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(refused["error"]["data"]["retry"], "safe", "{refused}");
    let sent = scene.shown("tools/call").len();
    scene.takes(&[2]);
    scene.provider.says(TOKEN, said(&tokens(2, 3600)));
    let server = scene.credentials("ready").await;
    eventually("a look says so", async || (scene.server().await["connection"]["status"] == "ready").then_some(()))
        .await;
    assert_eq!(word(&server, "credentials"), ("ready", None), "{server}");
    assert_eq!(scene.shown("tools/call").len(), sent, "nothing was sent with a token whose time was over");
    assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
}

#[actix_rt::test]
async fn a_login_without_anything_to_renew_it_with_is_told_when_its_time_is_over() {
    let mut first = tokens(1, 2);
    first.as_object_mut().expect("an object").remove("refresh_token");
    let scene = LoggedIn::start(&first).await;
    let session = scene.session().await;
    assert_eq!(word(&scene.server().await, "credentials"), ("ready", None));
    let server = scene.credentials("expired").await;
    assert_eq!(word(&server, "credentials"), ("expired", Some("reconnect")), "{server}");
    assert_eq!(word(&server, "connection"), ("action_required", Some("reconnect")), "{server}");
    let sent = scene.shown("tools/call").len();
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["error"]["data"]["code"], "login_over", "{answer}");
    assert_eq!((scene.shown("tools/call").len(), scene.refreshes()), (sent, 0));
}

#[actix_rt::test]
async fn a_client_that_is_no_longer_known_registers_anew_and_a_typed_one_is_to_be_corrected() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    scene.takes(&[]);
    scene.provider.says(TOKEN, refusal("invalid_client"));
    session.call("echo", json!({"text": "x"})).await;
    let server = scene.credentials("action_required").await;
    assert_eq!(word(&server, "credentials").1, Some("reconnect"), "{server}");

    let auth = json!({"type": "oauth", "oauth": {"client_id": "typed", "client_secret": "s3cret-of-the-client"}});
    let typed = LoggedIn::start_with(
        crate::support::app::Settings::default(),
        auth,
        (&tokens(1, 3600), refusal("invalid_client")),
    )
    .await;
    let session = typed.session().await;
    typed.takes(&[]);
    typed.provider.says(TOKEN, refusal("invalid_client"));
    for _ in 0..5 {
        session.call("echo", json!({"text": "x"})).await;
    }
    let server = typed.credentials("action_required").await;
    assert_eq!(word(&server, "credentials").1, Some("edit"), "{server}");
    assert_eq!(typed.refreshes(), 1, "nobody asks again with the same client");
}

#[actix_rt::test]
async fn scopes_that_are_missing_are_asked_for_by_a_person_and_once() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    let challenge = r#"Bearer error="insufficient_scope", scope="files:write""#;
    let forbidden = Fault::says(403, &[("www-authenticate", challenge)], "no");
    scene.remote.fault_times(1, On::Method("tools/call"), forbidden.clone());
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["error"]["data"]["code"], "forbidden", "{answer}");
    assert!(!answer.to_string().contains("files:write"), "{answer}");
    let server = scene.credentials("action_required").await;
    assert_eq!(word(&server, "credentials").1, Some("reconnect"), "{server}");
    assert!(reason(&server, "credentials").contains("files:write"), "{server}");
    assert_eq!(scene.refreshes(), 0, "a refresh brings no scopes");
    assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object(), "other calls go on");
    let server = scene.server().await;
    assert_eq!(
        (word(&server, "connection").0, word(&server, "credentials").0),
        ("ready", "action_required"),
        "{server}"
    );

    let begun = scene.app.operator().post("/api/v1/servers/n/connect", json!({})).await;
    assert!(begun.json["authorize_url"].as_str().is_some_and(|url| url.contains("files%3Awrite")), "{begun:?}");
    scene.log_in(&tokens(1, 3600)).await;
    assert_eq!(word(&scene.server().await, "credentials"), ("ready", None));
    scene.remote.fault_times(1, On::Method("tools/call"), forbidden);
    session.call("echo", json!({"text": "x"})).await;
    let server = scene.credentials("action_required").await;
    assert_eq!(word(&server, "credentials").1, Some("edit"), "asking again would bring nothing new: {server}");
}

#[actix_rt::test]
async fn a_403_that_speaks_of_no_scopes_is_no_matter_of_the_login() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    scene.remote.fault_times(1, On::Method("tools/call"), Fault::status(403));
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["error"]["data"]["code"], "forbidden", "{answer}");
    assert_eq!(word(&scene.server().await, "credentials"), ("ready", None));
    session.call("echo", json!({"text": "x"})).await;
    assert_eq!(word(&scene.server().await, "connection"), ("ready", None));
}

#[actix_rt::test]
async fn a_server_that_nobody_knew_to_want_a_login_says_which() {
    let app = App::start().await;
    app.allow_all().await;
    for (challenge, action) in [("Bearer", "connect"), ("Basic realm=\"x\"", "set_token")] {
        let (name, remote) = (format!("wants-{}", action.replace('_', "-")), Remote::start());
        remote.guard(challenge, &[]);
        app.remote(&name, &remote.url).await;
        let server = eventually("it is seen", async || {
            let server = app.operator().get(&format!("/api/v1/servers/{name}")).await.json;
            (server["credentials"]["status"] == "missing").then_some(server)
        })
        .await;
        assert_eq!(word(&server, "credentials"), ("missing", Some(action)), "{server}");
        assert_eq!(word(&server, "connection"), ("action_required", Some(action)), "{server}");
        assert!(reason(&server, "credentials").contains(&name), "{server}");
    }
}

#[actix_rt::test]
async fn a_server_that_greets_everybody_and_lets_nobody_in_is_not_told_as_well() {
    let app = App::start().await;
    app.allow_all().await;
    let remote = Remote::start();
    app.remote("n", &remote.url).await;
    let session = crate::support::http::Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    remote.fault(On::Method("tools/call"), Fault::unauthorized());
    session.call("echo", json!({"text": "x"})).await;
    // Another handshake, which it takes.
    crate::support::http::Session::open(&app.agent("bob").await, "n", "2025-11-25", json!({})).await;
    let server = app.operator().get("/api/v1/servers/n").await.json;
    assert_eq!(word(&server, "credentials"), ("missing", Some("connect")), "{server}");
    assert_eq!(word(&server, "connection"), ("action_required", Some("connect")), "{server}");
    remote.heal();
    session.call("echo", json!({"text": "x"})).await;
    let server = app.operator().get("/api/v1/servers/n").await.json;
    assert_eq!(
        (word(&server, "credentials"), word(&server, "connection")),
        (("ready", None), ("ready", None)),
        "{server}"
    );
}
