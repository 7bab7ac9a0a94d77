//! The login of a server that wants OAuth, in use: renewed in time and after a refusal, by one for all, and never told.

mod statuses;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::Settings;
use crate::support::eventually;
use crate::support::logged_in::{LoggedIn, TOKEN, access, refresh, refusal, said, tokens};
use crate::support::provider::Said;
use crate::support::remote::{Fault, On};

#[actix_rt::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_call_is_made_once() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    session.call("echo", json!({"text": "before"})).await;
    scene.takes(&[2]);
    scene.provider.says(TOKEN, said(&tokens(2, 3600)));
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    let bearer = |number| format!("Bearer {}", access(number));
    assert_eq!(
        scene.shown("tools/call"),
        [bearer(1), bearer(1), bearer(2)],
        "the one that was refused was not carried out"
    );
    let (_, form) = scene.provider.last();
    assert_eq!((form["refresh_token"].as_str(), form["resource"].as_str()), (&*refresh(1), &*scene.remote.url));
    assert_eq!(scene.refreshes(), 1);
    let row = &scene.app.invocations().await[0];
    assert_eq!((&row["state"], &row["tool"]), (&json!("completed"), &json!("echo")), "one call, one row: {row}");
    // The session goes on with it.
    session.call("echo", json!({"text": "y"})).await;
    assert_eq!(scene.shown("tools/call").last(), Some(&bearer(2)));
    assert_eq!(scene.server().await["credentials"]["status"], "ready");
}

#[actix_rt::test]
async fn a_hundred_callers_with_a_refused_token_are_one_refresh() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    for number in 2..5 {
        scene.takes(&[number]);
        scene.provider.says(TOKEN, said(&tokens(number, 3600)));
        let calls = (0..100).map(|_| session.call("echo", json!({"text": "x"})));
        for answer in join_all(calls).await {
            assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
        }
        assert_eq!(scene.refreshes(), number - 1);
    }
}

#[actix_rt::test]
async fn a_token_whose_time_is_over_is_not_sent() {
    let scene = LoggedIn::start_then(&tokens(1, 2), said(&tokens(2, 3600))).await;
    let session = scene.session().await;
    let answer = eventually("the next one is in force", async || {
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert!(answer["result"].is_object(), "{answer}");
        scene.shown("tools/call").last().is_some_and(|shown| shown.ends_with('2')).then_some(answer)
    });
    answer.await;
    assert_eq!(scene.refreshes(), 1, "before its time was over, and once");
}

#[actix_rt::test]
async fn whoever_comes_when_the_time_is_over_waits_for_the_next_token() {
    let next = Said::Held(Box::new(said(&tokens(2, 3600))));
    let scene = LoggedIn::start_then(&tokens(1, 2), next).await;
    let session = scene.session().await;
    eventually("it is asked for", async || {
        session.notify("notifications/roots/list_changed", json!({})).await;
        (scene.refreshes() > 0).then_some(())
    })
    .await;
    let life = std::time::Duration::from_secs(2);
    tokio::time::sleep(life).await;
    assert_eq!(scene.server().await["credentials"]["status"], "refreshing");
    let call = session.call("echo", json!({"text": "late"}));
    let (answer, ()) = futures_util::future::join(call, async { scene.provider.release() }).await;
    assert!(answer["result"].is_object(), "{answer}");
    assert_eq!(scene.shown("tools/call"), [format!("Bearer {}", access(2))]);
    assert_eq!(scene.refreshes(), 1);
}

#[actix_rt::test]
async fn a_token_is_used_until_it_is_refused_when_its_life_is_not_to_be_believed() {
    for life in [json!(0), json!(-5), json!(null)] {
        let mut first = tokens(1, None);
        first["expires_in"] = life.clone();
        let scene = LoggedIn::start(&first).await;
        let session = scene.session().await;
        for _ in 0..20 {
            assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
        }
        assert_eq!(scene.refreshes(), 0, "{life}: nobody asks again and again");
        let mut next = tokens(2, None);
        next["expires_in"] = life.clone();
        scene.provider.says(TOKEN, said(&next));
        scene.takes(&[2]);
        assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
        assert_eq!(scene.refreshes(), 1, "{life}");
    }
}

#[actix_rt::test]
async fn a_server_that_refuses_every_token_is_not_renewed_for_again_and_again() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    scene.takes(&[]);
    scene.provider.says(TOKEN, said(&tokens(2, 3600)));
    for _ in 0..10 {
        let answer = session.call("echo", json!({"text": "x"})).await;
        assert_eq!(answer["error"]["data"]["code"], "unauthorized", "{answer}");
    }
    assert_eq!(scene.refreshes(), 1);
    let server = scene.credentials("action_required").await;
    for part in [&server["credentials"], &server["connection"]] {
        assert_eq!((&part["status"], &part["action"]), (&json!("action_required"), &json!("reconnect")), "{server}");
        assert!(
            part["reason"].as_str().is_some_and(|reason| reason.contains('n') && reason.contains("401")),
            "{server}"
        );
    }
    // Real traffic says when it is well again.
    scene.takes(&[2]);
    assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
    let server = scene.server().await;
    assert_eq!((&server["credentials"]["status"], &server["connection"]["status"]), (&json!("ready"), &json!("ready")));
}

#[actix_rt::test]
async fn the_servers_own_stream_is_opened_with_the_next_token_too() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    // Before the session: the gateway opens the stream as soon as there is one.
    scene.provider.says(TOKEN, said(&tokens(2, 3600)));
    scene.remote.fault_times(1, On::Get, Fault::unauthorized());
    let session = scene.session().await;
    let standing = session.client.open("GET", "/mcp/n", String::new()).await;
    eventually("it is opened again", async || {
        scene
            .remote
            .seen("GET")
            .iter()
            .any(|get| get.header("authorization") == Some(&format!("Bearer {}", access(2))))
            .then_some(())
    })
    .await;
    drop(standing);
    assert_eq!(scene.refreshes(), 1);
}

#[actix_rt::test]
async fn a_login_anew_is_in_force_for_sessions_that_are_open_and_calls_in_flight_go_on() {
    let scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    let mut held = session.open_call("held", json!({}), Some(json!("p"))).await;
    assert_eq!(held.message().await.expect("a progress")["method"], "notifications/progress");
    scene.takes(&[7]);
    scene.log_in(&tokens(7, 3600)).await;
    scene.remote.release();
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
    assert!(session.call("echo", json!({"text": "x"})).await["result"].is_object());
    assert_eq!(scene.shown("tools/call").last(), Some(&format!("Bearer {}", access(7))));
    assert_eq!(scene.refreshes(), 0);
}

#[actix_rt::test]
async fn a_refresh_goes_on_when_its_server_is_edited_or_the_gateway_is_asked_to_stop() {
    let mut scene = LoggedIn::start(&tokens(1, 3600)).await;
    let session = scene.session().await;
    scene.takes(&[2]);
    scene.provider.says_in_turn(TOKEN, vec![Said::Held(Box::new(said(&tokens(2, 3600)))), refusal("invalid_grant")]);
    let asked = session.open_call("echo", json!({"text": "x"}), None);
    let asked = async { drop(asked.await) };
    let meanwhile = async {
        eventually("it is asked for", async || (scene.refreshes() == 1).then_some(())).await;
        let edited = scene.app.operator().patch("/api/v1/servers/n", json!({"timeout_seconds": 19})).await;
        assert_eq!(edited.status, 200, "{edited:?}");
        scene.provider.release();
    };
    futures_util::future::join(asked, meanwhile).await;
    assert!(session.call("echo", json!({"text": "y"})).await["result"].is_object());
    assert_eq!(scene.refreshes(), 1, "the edited server waits for it");

    scene.takes(&[3]);
    scene.provider.says_in_turn(TOKEN, vec![Said::Held(Box::new(said(&tokens(3, 3600)))), refusal("invalid_grant")]);
    let pid = rustix::process::Pid::from_raw(i32::try_from(scene.app.pid).unwrap()).unwrap();
    let open = session.open_call("echo", json!({"text": "z"}), None);
    let stop = async {
        eventually("it is asked for", async || (scene.refreshes() == 2).then_some(())).await;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        eventually("it is stopping", async || scene.app.log().contains("stopping").then_some(())).await;
        scene.provider.release();
    };
    futures_util::future::join(async { drop(open.await) }, stop).await;
    assert_eq!(scene.app.terminate().await, Some(0));
    scene.app = scene.app.kill_and_restart().await;
    let session = scene.session_of("bob").await;
    assert!(session.call("echo", json!({"text": "w"})).await["result"].is_object(), "what it brought was kept");
    assert_eq!(scene.refreshes(), 2);
}

#[actix_rt::test]
async fn no_token_stands_in_a_log_a_status_an_answer_or_a_record() {
    let settings = Settings::default().with("ATRYUM_LOG__LEVEL", "trace");
    let scene = LoggedIn::start_with(settings, json!({"type": "oauth"}), (&tokens(1, 3600), refusal("x"))).await;
    let session = scene.session().await;
    let mut texts = Vec::new();
    let echo = format!(
        r#"{{"jsonrpc":"2.0","id":THE-ID,"result":{{"content":[{{"type":"text","text":"{} {}"}}]}}}}"#,
        access(1),
        access(2)
    );
    scene.takes(&[2]);
    scene.provider.says(TOKEN, said(&tokens(2, 3600)));
    texts.push(session.call("echo", json!({"text": "x"})).await.to_string());
    scene.remote.fault_times(1, On::Method("tools/call"), Fault::json(&echo));
    let echoed = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(echoed["result"]["content"][0]["text"], "••• •••", "the one before is hidden, too: {echoed}");
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{} upstream-canary\"", access(2));
    scene.remote.guard(&challenge, &[]);
    let body = json!({"error": "invalid_grant", "error_description": format!("{} {}", refresh(2), access(2))});
    scene.provider.says(TOKEN, Said::json(400, &body));
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert!(!refused.to_string().contains("upstream-canary"), "{refused}");
    assert!(!refused.to_string().contains("invalid_grant"), "{refused}");
    texts.push(refused.to_string());
    texts.push(scene.credentials("action_required").await.to_string());
    texts.push(scene.app.operator().get("/api/v1/servers/n/logs").await.text);
    texts.push(scene.app.operator().get("/api/v1/invocations").await.text);
    texts.push(scene.app.log());
    for text in texts {
        assert!(!text.contains("s3cret"), "{text}");
    }
}
