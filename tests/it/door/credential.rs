//! What a caller shows of itself.

use serde_json::json;

use crate::support::app::{ADMIN_TOKEN, App};
use crate::support::http::Client;
use crate::support::login::log_in;

#[actix_rt::test]
async fn without_a_credential_that_holds_nobody_is_let_in() {
    let app = App::start().await;
    let key = app.agent_key("ann").await;
    for client in [
        app.anonymous(),
        app.anonymous().bearer("wrong"),
        app.anonymous().bearer(&key),
        app.anonymous().header("authorization", &format!("Basic {ADMIN_TOKEN}")),
        app.anonymous().header("authorization", ADMIN_TOKEN),
        app.anonymous().header("authorization", "Bearer "),
        app.anonymous().header("cookie", &format!("atryum_session={ADMIN_TOKEN}")),
        app.anonymous().header("cookie", &format!("atryum_session={ADMIN_TOKEN}")).header("x-csrf-token", "x"),
        app.anonymous().header("x-csrf-token", ADMIN_TOKEN),
        app.anonymous().header("x-api-key", ADMIN_TOKEN),
    ] {
        let answer = client.get("/api/v1/servers").await;
        assert_eq!((answer.status, &answer.json["code"]), (401, &json!("unauthenticated")), "{answer:?}");
        assert!(answer.header("www-authenticate").is_some_and(|asked| asked.starts_with("Bearer")), "{answer:?}");
        assert!(!answer.text.contains(ADMIN_TOKEN));
    }
    let in_query =
        app.anonymous().get(&format!("/api/v1/servers?token={ADMIN_TOKEN}&access_token={ADMIN_TOKEN}")).await;
    assert_eq!(in_query.status, 401);
    assert_eq!(
        app.operator().header("authorization", &format!("bearer {ADMIN_TOKEN}")).get("/api/v1/me").await.status,
        200
    );
}

#[actix_rt::test]
async fn a_login_is_worth_something_only_with_both_of_its_halves() {
    let app = App::start().await;
    let login = log_in(&app).await;
    let (cookie, csrf) = (format!("atryum_session={}", login.token), login.csrf.as_str());
    let client = app.anonymous();
    let status = async |client: Client| client.get("/api/v1/me").await.status;
    assert_eq!(status(client.clone().header("cookie", &cookie).header("x-csrf-token", csrf)).await, 200);
    assert_eq!(status(client.clone().header("cookie", &cookie)).await, 401, "reading needs both, too");
    assert_eq!(status(client.clone().header("x-csrf-token", csrf)).await, 401);
    assert_eq!(status(client.clone().header("cookie", &cookie).header("x-csrf-token", "another")).await, 401);
    assert_eq!(status(client.clone().bearer(&login.token)).await, 401, "what the cookie holds is no bearer token");
    assert_eq!(status(client.clone().bearer(csrf)).await, 401);
    let other = log_in(&app).await;
    assert_eq!(status(client.header("cookie", &cookie).header("x-csrf-token", &other.csrf)).await, 401);
}

#[actix_rt::test]
async fn an_operator_is_asked_before_anything_else_is_looked_at() {
    let app = App::start().await;
    let anonymous = app.anonymous();
    assert_eq!(anonymous.post("/api/v1/servers", json!({"nonsense": 1})).await.status, 401);
    assert_eq!(anonymous.get("/api/v1/servers?nonsense=1").await.status, 401);
    assert_eq!(anonymous.send("PUT", "/api/v1/servers", String::new()).await.status, 401);
    assert_eq!(anonymous.get("/api/v1/servers/none").await.status, 401);
}

#[actix_rt::test]
async fn an_agent_is_known_by_its_key_and_by_nothing_that_it_says() {
    let app = App::start().await;
    let (ann, bob) = (app.agent_key("ann").await, app.agent_key("bob").await);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for client in [
        app.anonymous(),
        app.anonymous().bearer(ADMIN_TOKEN),
        app.anonymous().bearer(&ann[..ann.len() - 1]),
        app.anonymous().bearer(&ann.to_uppercase()),
        app.anonymous().header("x-agent", "ann"),
    ] {
        let answer = client.post("/mcp/calc?agent=ann&agent_id=ann&key=x", message.clone()).await;
        assert_eq!((answer.status, &answer.json["code"]), (401, &json!("unauthenticated")), "{answer:?}");
    }
    let scoped = json!({"servers": ["git*"]});
    assert_eq!(app.operator().patch("/api/v1/agents/bob", scoped).await.status, 200);
    let answer = app.anonymous().bearer(&bob).header("x-agent", "ann").post("/mcp/calc", message.clone()).await;
    assert_eq!((answer.status, &answer.json["code"]), (403, &json!("server_not_allowed")), "{answer:?}");
    assert_eq!(app.anonymous().bearer(&bob).post("/mcp/github", message.clone()).await.status, 404);
    assert_eq!(app.anonymous().bearer(&ann).post("/mcp/calc", message).await.status, 404, "there is no server yet");
}

#[actix_rt::test]
async fn whoever_tries_tokens_is_slowed_down_and_neither_logins_nor_agents_suffer() {
    let app = App::start().await;
    let (login, key) = (log_in(&app).await, app.agent_key("ann").await);
    let mut statuses = Vec::new();
    for n in 0..25 {
        statuses.push(app.anonymous().bearer(&format!("guess-{n}")).get("/api/v1/me").await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 20, "{statuses:?}");
    let answer = app.operator().get("/api/v1/me").await;
    assert_eq!(
        (answer.status, &answer.json["code"]),
        (429, &json!("too_many_attempts")),
        "the right token is not told"
    );
    let wait: u64 = answer.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(login.client(&app).get("/api/v1/me").await.status, 200);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(app.anonymous().bearer(&key).post("/mcp/none", message).await.status, 404, "the agent is known");
}
