//! Metadata that lies and token endpoints that fail: each has a reason that operators read, and none costs a login that
//! works.

use serde_json::{Value, json};

use crate::support::connecting::{Pair, begin, come_back, tokens};
use crate::support::http::Session;
use crate::support::provider::Said;

const METADATA: &str = "GET /.well-known/oauth-authorization-server";
const RESOURCE: &str = "GET /resource";
const TOKEN: &str = "POST /token";

/// What each lie is called. `{origin}` is the provider's.
fn lies(pair: &Pair) -> Vec<(&'static str, Said, &'static str)> {
    let server = |member: &str, value: Value| {
        let mut metadata = pair.provider.metadata(&pair.provider.origin);
        metadata[member] = value;
        (METADATA, Said::json(200, &metadata))
    };
    let resource = |value: Value| (RESOURCE, Said::json(200, &value));
    let ours = &pair.remote.url;
    let long = format!("{{\"issuer\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let round = Said::redirect(&format!("{}/.well-known/oauth-authorization-server", pair.provider.origin));
    let named = |server: &str| resource(json!({"resource": ours, "authorization_servers": [server]}));
    let other = json!({"resource": "http://127.0.0.1:1/mcp", "authorization_servers": [pair.provider.origin]});
    [
        (server("issuer", json!("https://evil.example")), "one could pass for"),
        (server("token_endpoint", json!("http://10.0.0.1/token")), "token_endpoint"),
        (server("token_endpoint", json!("http://169.254.169.254/token")), "token_endpoint"),
        (server("authorization_endpoint", json!("javascript:alert(1)")), "authorization_endpoint"),
        (server("code_challenge_methods_supported", json!(["plain"])), "PKCE"),
        (server("code_challenge_methods_supported", json!(null)), "PKCE"),
        ((METADATA, Said::html(200)), "publishes no metadata"),
        ((METADATA, round), "publishes no metadata"),
        ((METADATA, Said::Whole(200, Vec::new(), long)), "longer than"),
        ((METADATA, Said::Raw(Vec::new())), "broke"),
        (resource(other), "check the base URL"),
        (resource(json!({"resource": ours})), "names no authorization server"),
        (named("http://10.1.1.1"), "not https"),
        (named("http://169.254.169.254"), "address"),
        ((RESOURCE, Said::html(200)), "no JSON object"),
        ((RESOURCE, Said::html(503)), "503"),
        ((RESOURCE, Said::redirect("/resource")), "redirect"),
        (("POST /register", Said::json(400, &json!({"error": "invalid_redirect_uri"}))), "invalid_redirect_uri"),
        (("POST /register", Said::html(500)), "refused to register"),
        (("POST /register", Said::json(201, &json!({}))), "client_id"),
    ]
    .into_iter()
    .map(|((what, said), words)| (what, said, words))
    .collect()
}

/// Takes a lie back.
fn heal(pair: &Pair) {
    let (remote, provider) = (&pair.remote, &pair.provider);
    let resource = json!({"resource": remote.url, "authorization_servers": [provider.origin]});
    provider.says(RESOURCE, Said::json(200, &resource));
    provider.says(METADATA, Said::json(200, &provider.metadata(&provider.origin)));
    provider.says("POST /register", Said::json(201, &json!({"client_id": "registered", "client_secret": "s3cret"})));
    provider.says(TOKEN, Said::json(200, &tokens()));
}

async fn echoes(session: &Session) {
    let answer = session.call("echo", json!({"text": "x"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
}

/// Clicks Connect in vain: 502, with these words.
async fn can_not_begin(pair: &Pair, words: &str) {
    let answer = pair.app.operator().post("/api/v1/servers/s/connect", json!({})).await;
    assert_eq!(answer.status, 502, "{words}: {answer:?}");
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{words:?} is not in {detail:?}");
}

#[actix_rt::test]
async fn a_lie_is_told_to_who_clicks_connect_and_nobody_is_sent_anywhere() {
    let pair = Pair::start().await;
    for (what, said, words) in lies(&pair) {
        heal(&pair);
        pair.provider.says(what, said);
        can_not_begin(&pair, words).await;
        assert_eq!(pair.server().await["credentials"]["action"], "connect", "{words}");
        assert_eq!(pair.times(TOKEN), 0, "{words}");
    }
    heal(&pair);
    pair.connect().await;
}

#[actix_rt::test]
async fn a_lie_costs_no_login_that_works() {
    let pair = Pair::start().await;
    pair.connect().await;
    let session = Session::open(&pair.app.agent("ann").await, "s", "2025-11-25", json!({})).await;
    for (what, said, words) in lies(&pair) {
        if what == "POST /register" {
            continue; // It is registered already.
        }
        heal(&pair);
        pair.provider.says(what, said);
        can_not_begin(&pair, words).await;
        assert_eq!(pair.server().await["credentials"]["status"], "ready", "{words}");
        echoes(&session).await;
    }
}

/// What a token endpoint may answer instead of tokens, and what it is called.
fn answers() -> Vec<(Said, &'static str)> {
    let error = |status, error: &str| Said::json(status, &json!({"error": error, "error_description": "as told"}));
    let but = |member: &str, value: Value| {
        let mut tokens = tokens();
        tokens[member] = value;
        Said::json(200, &tokens)
    };
    vec![
        (error(400, "invalid_grant"), "invalid_grant"),
        (error(401, "invalid_client"), "check client id"),
        (error(200, "invalid_grant"), "invalid_grant"),
        (error(400, "invalid_target"), "check the base URL"),
        (Said::html(500), "500"),
        (Said::html(200), "can't be used"),
        (Said::json(200, &json!({})), "can't be used"),
        (Said::json(200, &json!([])), "can't be used"),
        (but("token_type", json!("mac")), "mac"),
        (but("token_type", json!(null)), "token_type"),
        (but("access_token", json!("")), "empty"),
        (but("access_token", json!(7)), "can't be used"),
        (Said::redirect("http://127.0.0.1:1/token"), "redirect"),
        (Said::Whole(200, Vec::new(), "x".repeat(2 * 1024 * 1024)), "longer than"),
        (Said::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec()), "broke off"),
        (Said::Raw(Vec::new()), "broke"),
    ]
}

#[actix_rt::test]
async fn a_code_that_brings_no_tokens_is_told_at_the_flow_and_costs_no_login_that_works() {
    let pair = Pair::start().await;
    for (said, words) in answers() {
        pair.provider.says(TOKEN, said);
        pair.log_in().await.failed(&pair.app, "s", words).await;
        assert_eq!(pair.server().await["credentials"]["action"], "connect", "{words}");
    }
    heal(&pair);
    pair.connect().await;
    let session = Session::open(&pair.app.agent("ann").await, "s", "2025-11-25", json!({})).await;
    for (said, words) in answers() {
        pair.provider.says(TOKEN, said);
        pair.log_in().await.failed(&pair.app, "s", words).await;
        assert_eq!(pair.server().await["credentials"]["status"], "ready", "{words}");
        echoes(&session).await;
    }
}

#[actix_rt::test]
async fn a_token_endpoint_that_hangs_is_given_up_and_says_so() {
    let pair = Pair::start().await;
    pair.connect().await;
    pair.provider.says(TOKEN, Said::Hung);
    let begun = pair.begin().await;
    let page = come_back(&pair.app, &begun.callback(&[("code", "code")]), "").await;
    begun.failed(&pair.app, "s", "no answer within").await;
    assert!(page.text.contains("no answer within"), "{page:?}");
    assert_eq!(pair.server().await["credentials"]["status"], "ready");
}

#[actix_rt::test]
async fn tokens_of_odd_forms_are_used_as_far_as_they_go() {
    let pair = Pair::start().await;
    for (member, value) in [
        ("token_type", json!("bearer")),
        ("token_type", json!("BEARER")),
        ("expires_in", json!(null)),
        ("expires_in", json!("3600")),
        ("expires_in", json!(0)),
        ("refresh_token", json!(null)),
        ("refresh_token", json!("")),
        ("scope", json!(null)),
        ("scope", json!("")),
        ("more", json!({"of": "this"})),
    ] {
        let mut tokens = tokens();
        tokens[member] = value.clone();
        pair.provider.says(TOKEN, Said::json(200, &tokens));
        pair.connect().await;
        let server = pair.server().await;
        let oauth = &server["auth"]["oauth"];
        let has_end = oauth["expires_at"].is_string();
        assert_eq!(has_end, member != "expires_in" || value == "3600" || value == 0, "{member} {value}: {server}");
        let agent = pair.app.agent(&format!("a{}", pair.times(TOKEN))).await;
        echoes(&Session::open(&agent, "s", "2025-11-25", json!({})).await).await;
    }
}

#[actix_rt::test]
async fn without_a_refresh_token_the_end_of_a_token_asks_for_a_person() {
    let pair = Pair::start().await;
    let mut tokens = tokens();
    tokens["refresh_token"] = json!(null);
    pair.provider.says(TOKEN, Said::json(200, &tokens));
    pair.connect().await;
    let session = Session::open(&pair.app.agent("ann").await, "s", "2025-11-25", json!({})).await;
    echoes(&session).await;
    pair.takes(&["two"]);
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    crate::support::connecting::wanted(&pair.app, "s", "reconnect").await;
    assert_eq!(pair.times(TOKEN), 1, "there is nothing to refresh with");
}

#[actix_rt::test]
async fn tokens_that_the_server_does_not_take_are_no_success() {
    let pair = Pair::start().await;
    pair.takes(&["another"]);
    let begun = pair.log_in().await;
    let outcome = begun.outcome(&pair.app, "s").await;
    assert_eq!(outcome["status"], "failed", "{outcome}");
    assert_ne!(pair.server().await["credentials"]["status"], "ready");
}

#[actix_rt::test]
async fn a_server_that_wants_no_login_or_a_typed_one_can_not_be_connected() {
    let pair = Pair::start().await;
    let operator = pair.app.operator();
    let free = crate::support::remote::Remote::start();
    pair.app.remote("free", &free.url).await;
    pair.app.server_from(json!({"name": "typed", "base_url": free.url, "auth": {"bearer_token": "t"}})).await;
    pair.app.nasty("local", &[]).await;
    for name in ["typed", "local"] {
        let answer = operator.post(&format!("/api/v1/servers/{name}/connect"), json!({})).await;
        assert_eq!(answer.status, 409, "{name}: {answer:?}");
    }
    assert_eq!(operator.post("/api/v1/servers/nobody/connect", json!({})).await.status, 404);
    let answer = operator.post("/api/v1/servers/free/connect", json!({})).await;
    assert!(matches!(answer.status, 409 | 502), "{answer:?}");
    let stranger = pair.app.anonymous();
    assert_eq!(stranger.post("/api/v1/servers/s/connect", json!({})).await.status, 401);
    drop(begin(&operator, "s").await);
}
