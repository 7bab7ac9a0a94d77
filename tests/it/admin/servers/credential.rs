//! Forgetting what is held: everywhere, and for whatever kind of login.

use serde_json::{Value, json};
use url::Url;

use crate::support::app::{App, Settings};
use crate::support::http::Answer;
use crate::support::provider::{Provider, Said};

const PATH: &str = "/api/v1/servers/s/credential";

/// A provider whose MCP server asks for a login and is never content with one.
fn provider() -> Provider {
    let provider = Provider::well_behaved();
    let at = format!("{}/.well-known/oauth-protected-resource/mcp", provider.origin);
    let challenge = format!("Bearer resource_metadata=\"{at}\"");
    provider.says("POST /mcp", Said::Whole(401, vec![("www-authenticate", challenge)], String::new()));
    let mut metadata = provider.metadata(&provider.origin);
    metadata["revocation_endpoint"] = json!(format!("{}/revoke", provider.origin));
    provider.says("GET /.well-known/oauth-authorization-server", Said::json(200, &metadata));
    provider.says("POST /revoke", Said::json(200, &json!({})));
    provider.says("POST /token", Said::json(200, &tokens("first")));
    provider
}

fn tokens(access: &str) -> Value {
    json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "next"})
}

/// A whole login; the page at its end.
async fn log_in(app: &App) -> Answer {
    let begun = app.operator().post("/api/v1/servers/s/connect", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let url = Url::parse(begun.json["authorize_url"].as_str().expect("an address")).expect("a URL");
    let state = url.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    app.anonymous().get(&format!("/oauth/callback?code=c&state={state}")).await
}

async fn credentials(app: &App) -> Value {
    app.operator().get("/api/v1/servers/s").await.json["credentials"].clone()
}

#[actix_rt::test]
async fn what_a_login_brought_is_revoked_and_forgotten() {
    let (app, provider) = (App::start().await, provider());
    app.remote("s", &provider.mcp()).await;
    let page = log_in(&app).await;
    assert!(page.text.contains("what it brought is kept"), "{page:?}");
    assert_eq!(app.operator().delete(PATH).await.status, 204);
    let (request, form) = provider.last();
    assert_eq!((request.path.as_str(), form["token"].as_str()), ("/revoke", "first"));
    let asked = provider.asked();
    assert_eq!(asked.iter().filter(|asked| *asked == "POST /revoke").count(), 2, "the refresh token, too: {asked:?}");
    assert!(request.header("authorization").is_some_and(|value| value.starts_with("Basic ")), "{request:?}");
    let now = credentials(&app).await;
    assert_eq!((&now["status"], &now["action"]), (&json!("missing"), &json!("connect")), "{now}");
    let again = app.operator().delete(PATH).await;
    assert_eq!((again.status, &again.json["code"]), (404, &json!("not_found")), "{again:?}");
}

#[actix_rt::test]
async fn what_can_not_be_revoked_is_forgotten_all_the_same_and_told_in_the_log() {
    let (app, provider) = (App::start().await, provider());
    app.remote("s", &provider.mcp()).await;
    log_in(&app).await;
    provider.says("POST /revoke", Said::json(503, &json!({})));
    assert_eq!(app.operator().delete(PATH).await.status, 204);
    assert_eq!(app.operator().delete(PATH).await.status, 404);
    assert!(app.log().contains("could not be revoked"), "{}", app.log());
}

#[actix_rt::test]
async fn a_token_that_the_server_refuses_takes_no_older_one_away() {
    let (app, provider) = (App::start().await, provider());
    app.remote("s", &provider.mcp()).await;
    log_in(&app).await;
    provider.says("POST /token", Said::json(200, &tokens("second")));
    let page = log_in(&app).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.text.contains("what was held before is kept"), "{page:?}");
    assert_eq!(app.operator().delete(PATH).await.status, 204);
    assert_eq!(provider.last().1["token"], "first");
}

#[actix_rt::test]
async fn a_token_that_was_typed_is_cleared_and_the_type_stays() {
    let app = App::start().await;
    for auth in [json!({"type": "bearer", "bearer_token": "t"}), json!({"type": "headers", "headers": {"X-Key": "k"}})]
    {
        let url = "http://127.0.0.1:1/mcp";
        app.server_from(json!({"name": "s", "mode": "http", "base_url": url, "auth": auth})).await;
        assert_eq!(app.operator().delete(PATH).await.status, 204);
        let server = app.operator().get("/api/v1/servers/s").await.json;
        assert_eq!(server["auth"]["type"], auth["type"]);
        assert_eq!((&server["auth"]["bearer_token_set"], &server["auth"]["header_names"]), (&json!(false), &json!([])));
        assert_eq!(server["credentials"]["status"], "missing", "{server}");
        assert_eq!(app.operator().delete(PATH).await.status, 404);
        assert_eq!(app.operator().delete("/api/v1/servers/s").await.status, 204);
    }
}

#[actix_rt::test]
async fn a_registration_is_used_again_for_the_same_address_to_come_back_to_and_for_no_other() {
    let provider = provider();
    let registrations = || provider.asked().iter().filter(|asked| *asked == "POST /register").count();
    let app = Settings::default().with("ATRYUM_PUBLIC_URL", "http://localhost:9").start().await;
    app.remote("s", &provider.mcp()).await;
    log_in(&app).await;
    log_in(&app).await;
    assert_eq!(registrations(), 1);
    let app = app.restart_with(&[("ATRYUM_PUBLIC_URL", "http://localhost:8")]).await;
    log_in(&app).await;
    assert_eq!(registrations(), 2, "{:?}", provider.asked());
}

#[actix_rt::test]
async fn a_server_that_once_said_what_leads_nowhere_is_asked_anew() {
    let (app, provider) = (App::start().await, provider());
    let nowhere = "Bearer resource_metadata=\"http://127.0.0.1:9/nowhere\"".to_owned();
    provider.says("POST /mcp", Said::Whole(401, vec![("www-authenticate", nowhere)], String::new()));
    app.remote("s", &provider.mcp()).await;
    app.operator().post("/api/v1/servers/s/test", json!({})).await;
    let begun = app.operator().post("/api/v1/servers/s/connect", json!({})).await;
    assert_eq!((begun.status, &begun.json["code"]), (502, &json!("discovery_failed")), "{begun:?}");
    provider.says("POST /mcp", Said::html(404));
    let begun = app.operator().post("/api/v1/servers/s/connect", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
}
