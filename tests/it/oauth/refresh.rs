//! Tokens end while many call: one refresh for all of them, and no call fails for it.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::app::App;
use crate::support::connecting::{Pair, connect, server, tokens, wanted};
use crate::support::eventually;
use crate::support::guarded::Guarded;
use crate::support::http::Session;
use crate::support::provider::Said;

const CALLERS: usize = 200;
const EXPIRIES: u64 = 20;

async fn connected(guarded: &Guarded) -> App {
    let app = App::start().await;
    app.allow_all().await;
    app.server_from(json!({"name": "g", "base_url": guarded.mcp()})).await;
    wanted(&app, "g", "connect").await;
    connect(&app, "g", guarded).await;
    app
}

async fn echoes(session: &Session, text: &str) {
    let answer = session.call("echo", json!({"text": text})).await;
    assert_eq!(answer["result"]["content"][0]["text"], text, "{answer}");
}

#[actix_rt::test]
async fn two_hundred_calls_at_once_over_twenty_ends_of_a_token_take_twenty_refreshes() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let agent = app.agent("ann").await;
    let sessions = join_all((0..10).map(|_| Session::open(&agent, "g", "2025-11-25", json!({})))).await;
    for round in 0..EXPIRIES {
        guarded.control(json!({"expire": true})).await;
        let calls = (0..CALLERS).map(|caller| {
            let session = &sessions[caller % sessions.len()];
            async move { echoes(session, &format!("{round}-{caller}")).await }
        });
        join_all(calls).await;
        let counts = guarded.counts().await;
        assert_eq!((counts.refreshes, counts.refusals), (round + 1, 0), "{counts:?}");
    }
    let counts = guarded.counts().await;
    assert_eq!((counts.refreshes, counts.calls), (EXPIRIES, EXPIRIES * CALLERS as u64), "{counts:?}");
    assert_eq!(server(&app, "g").await["credentials"]["status"], "ready");
}

#[actix_rt::test]
async fn tokens_that_live_for_seconds_are_renewed_in_time_while_calls_go_on() {
    let guarded = Guarded::start().await;
    guarded.control(json!({"access_seconds": 3})).await;
    let app = connected(&guarded).await;
    let agent = app.agent("ann").await;
    let sessions = join_all((0..10).map(|_| Session::open(&agent, "g", "2025-11-25", json!({})))).await;
    let mut called = 0;
    let counts = loop {
        join_all(sessions.iter().map(|session| echoes(session, "x"))).await;
        called += sessions.len() as u64;
        let counts = guarded.counts().await;
        if counts.refreshes >= 5 {
            break counts;
        }
    };
    // A refresh token that was shown twice would have ended the grant, and with it the calls.
    assert_eq!((counts.calls, counts.refusals, counts.exchanges), (called, 0, 1), "{counts:?}");
}

#[actix_rt::test]
async fn a_token_that_was_used_is_renewed_before_anybody_calls_again() {
    let guarded = Guarded::start().await;
    guarded.control(json!({"access_seconds": 2})).await;
    let app = connected(&guarded).await;
    guarded.control(json!({"access_seconds": 3600})).await;
    let session = Session::open(&app.agent("ann").await, "g", "2025-11-25", json!({})).await;
    eventually("it is renewed", async || (guarded.counts().await.refreshes == 1).then_some(())).await;
    eventually("it is ready", async || (server(&app, "g").await["credentials"]["status"] == "ready").then_some(()))
        .await;
    echoes(&session, "x").await;
    let counts = guarded.counts().await;
    assert_eq!((counts.refreshes, counts.refusals), (1, 0), "{counts:?}");
}

#[actix_rt::test]
async fn a_refresh_goes_on_though_everybody_who_waits_for_it_leaves() {
    let guarded = Guarded::start().await;
    let app = connected(&guarded).await;
    let session = Session::open(&app.agent("ann").await, "g", "2025-11-25", json!({})).await;
    echoes(&session, "a").await;
    guarded.control(json!({"expire": true, "token": "hold"})).await;
    let message = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "b"}}});
    let leaving = session.client.clone().header("content-type", "application/json");
    let call = leaving.try_post(&session.path, message.to_string());
    tokio::select! {
        answer = call => panic!("it waits for its token: {answer:?}"),
        _ = guarded.control(json!({"held": true})) => {}
    }
    guarded.control(json!({"token": "well"})).await;
    echoes(&session, "c").await;
    let counts = guarded.counts().await;
    assert_eq!((counts.refreshes, counts.refusals), (1, 0), "what it brought was kept: {counts:?}");
}

#[actix_rt::test]
async fn a_token_endpoint_that_fails_for_a_while_costs_no_call_as_long_as_the_token_lives() {
    let guarded = Guarded::start().await;
    guarded.control(json!({"access_seconds": 4, "token": "well"})).await;
    let app = connected(&guarded).await;
    let session = Session::open(&app.agent("ann").await, "g", "2025-11-25", json!({})).await;
    guarded.control(json!({"token": "error", "access_seconds": 60})).await;
    // The keeper's tries fail meanwhile; how the calls fare depends on the token alone.
    echoes(&session, "a").await;
    let refused = eventually("the token ends", async || {
        let answer = session.call("echo", json!({"text": "b"})).await;
        (answer["error"].is_object() || answer["result"]["isError"] == true).then_some(answer)
    })
    .await;
    assert!(!refused.to_string().contains("invalid_token"), "{refused}");
    let status = server(&app, "g").await["credentials"]["status"].clone();
    assert_ne!(status, "ready", "an end of the token is told");
    guarded.control(json!({"token": "well"})).await;
    eventually("it is tried again", async || (guarded.counts().await.refreshes == 1).then_some(())).await;
    eventually("it is ready", async || (server(&app, "g").await["credentials"]["status"] == "ready").then_some(()))
        .await;
    echoes(&session, "c").await;
}

#[actix_rt::test]
async fn a_provider_that_gives_no_new_refresh_token_means_the_old_one_to_go_on() {
    let pair = Pair::start().await;
    pair.connect().await;
    let session = Session::open(&pair.app.agent("ann").await, "s", "2025-11-25", json!({})).await;
    let mut last = "one".to_owned();
    for next in ["two", "three"] {
        let mut tokens = tokens();
        tokens["access_token"] = json!(next);
        tokens.as_object_mut().expect("tokens").remove("refresh_token");
        pair.provider.says("POST /token", Said::json(200, &tokens));
        pair.takes(&[next]);
        echoes(&session, next).await;
        let (_, form) = pair.provider.last();
        assert_eq!(
            (form["grant_type"].as_str(), form["refresh_token"].as_str()),
            ("refresh_token", "first"),
            "{form:?}"
        );
        assert_eq!(form["resource"], pair.remote.url, "to the letter: {form:?}");
        assert!(!form.contains_key("scope"), "naming scopes would narrow them: {form:?}");
        assert_ne!(last, next);
        next.clone_into(&mut last);
    }
}

#[actix_rt::test]
async fn a_call_that_is_refused_with_a_fresh_token_is_not_refreshed_again_and_again() {
    let pair = Pair::start().await;
    pair.connect().await;
    let session = Session::open(&pair.app.agent("ann").await, "s", "2025-11-25", json!({})).await;
    pair.takes(&["nothing that anybody has"]);
    let before = pair.times("POST /token");
    for _ in 0..20 {
        let refused = session.call("echo", json!({"text": "x"})).await;
        assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    }
    wanted(&pair.app, "s", "reconnect").await;
    assert!(pair.times("POST /token") - before <= 2, "{:?}", pair.provider.asked());
    assert!(pair.remote.seen("tools/call").len() <= 22, "each call is made once more at most, and most are not");
}
