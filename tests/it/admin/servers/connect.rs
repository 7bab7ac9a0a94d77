//! Connect: which servers there is a login for, where people come back to, and what is never given out to be opened.

use serde_json::{Value, json};
use url::Url;

use crate::support::app::{App, Settings};
use crate::support::http::Answer;
use crate::support::login::log_in;
use crate::support::provider::{Provider, Said};
use crate::support::remote::Remote;

/// A provider whose MCP server asks for a login.
fn asking() -> Provider {
    let provider = Provider::well_behaved();
    let at = format!("{}/.well-known/oauth-protected-resource/mcp", provider.origin);
    let challenge = format!("Bearer resource_metadata=\"{at}\"");
    provider.says("POST /mcp", Said::Whole(401, vec![("www-authenticate", challenge)], String::new()));
    provider
}

async fn connect(app: &App, name: &str) -> Answer {
    app.operator().post(&format!("/api/v1/servers/{name}/connect"), json!({})).await
}

fn query(answer: &Answer, name: &str) -> Option<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let url = Url::parse(answer.json["authorize_url"].as_str().expect("an address")).expect("a URL");
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[actix_rt::test]
async fn a_login_is_begun_where_the_server_says_and_can_be_asked_about() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    let begun = connect(&app, "s").await;
    let url = begun.json["authorize_url"].as_str().expect("an address");
    assert!(url.starts_with(&format!("{}/authorize?", provider.origin)), "{url}");
    assert_eq!(query(&begun, "client_id").as_deref(), Some("registered"));
    assert_eq!(query(&begun, "resource"), Some(provider.mcp()));
    assert_eq!(query(&begun, "scope").as_deref(), Some("read write"));
    assert_eq!(query(&begun, "redirect_uri"), Some(format!("{}/oauth/callback", app.url)));
    let path = format!("/api/v1/servers/s/connect/{}", begun.json["flow_id"].as_str().expect("an id"));
    assert_eq!(app.operator().get(&path).await.json, json!({"status": "pending", "reason": null}));
    assert!(!provider.asked().contains(&"POST /token".to_owned()));
}

#[actix_rt::test]
async fn where_people_come_back_to_follows_from_the_configuration_and_from_no_header() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    let own = format!("{}/oauth/callback", app.url);
    let port = app.url.rsplit(':').next().expect("a port").to_owned();
    for (name, value) in [
        ("host", format!("localhost:{port}")),
        ("x-forwarded-host", "evil.example".into()),
        ("x-forwarded-proto", "https".into()),
        ("forwarded", "host=evil.example;proto=https".into()),
        ("x-forwarded-port", "444".into()),
        ("x-original-host", "evil.example".into()),
    ] {
        let answer = app.operator().header(name, &value).post("/api/v1/servers/s/connect", json!({})).await;
        assert_eq!(query(&answer, "redirect_uri").as_ref(), Some(&own), "{name}");
    }
    let public = Settings::default().with("ATRYUM_PUBLIC_URL", "https://gate.example/atryum").start().await;
    public.remote("s", &provider.mcp()).await;
    let answer = connect(&public, "s").await;
    assert_eq!(query(&answer, "redirect_uri").as_deref(), Some("https://gate.example/atryum/oauth/callback"));
    let clear = Settings::default().with("ATRYUM_PUBLIC_URL", "http://gate.example").start().await;
    clear.remote("s", &provider.mcp()).await;
    let refused = connect(&clear, "s").await;
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("conflict")), "{refused:?}");
    assert!(refused.text.contains("ATRYUM_PUBLIC_URL"), "{refused:?}");
}

#[actix_rt::test]
async fn what_has_no_login_by_oauth_is_not_connected() {
    let (app, remote) = (App::start().await, Remote::start());
    app.nasty("local", &[]).await;
    app.remote("open", &remote.url).await;
    let bearer = json!({"type": "bearer", "bearer_token": "t"});
    app.server_from(json!({"name": "token", "mode": "http", "base_url": remote.url, "auth": bearer})).await;
    app.server_from(json!({"name": "off", "mode": "http", "base_url": remote.url, "enabled": false})).await;
    for (name, status, code) in [
        ("local", 409, "not_oauth"),
        ("open", 409, "not_oauth"),
        ("token", 409, "not_oauth"),
        ("off", 409, "conflict"),
        ("nobody", 404, "not_found"),
    ] {
        let answer = connect(&app, name).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{name} {answer:?}");
    }
}

#[actix_rt::test]
async fn what_can_not_be_found_out_is_told_with_the_step_and_the_kind() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    let metadata = "GET /.well-known/oauth-authorization-server";
    provider.says(metadata, Said::json(200, &provider.metadata("https://evil.example")));
    let refused = connect(&app, "s").await;
    let said = (refused.status, &refused.json["code"], &refused.json["kind"]);
    assert_eq!(said, (502, &json!("discovery_failed"), &json!("issuer_mismatch")), "{refused:?}");

    provider.says(metadata, Said::json(200, &provider.metadata(&provider.origin)));
    provider.says("POST /register", Said::json(403, &json!({"error": "invalid_request"})));
    let refused = connect(&app, "s").await;
    let said = (refused.status, &refused.json["code"], &refused.json["kind"]);
    assert_eq!(said, (502, &json!("registration_failed"), &json!("registration_refused")), "{refused:?}");
    assert!(refused.text.contains(&format!("{}/oauth/callback", app.url)), "it says what to register: {refused:?}");
}

#[actix_rt::test]
async fn only_web_pages_are_given_out_to_be_opened() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    for url in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:http://127.0.0.1/x",
        "about:blank",
        "ftp://as.example/authorize",
        "ws://as.example/authorize",
        "ssh://as.example",
        "mailto:a@as.example",
        "intent://as.example#Intent;end",
        "vscode://x",
        "chrome://settings",
        "view-source:https://as.example",
        "$(id)",
        "`id`",
        "https://as.example/$(id) x",
        "https://as.example/a\r\nLocation: x",
        "https://as.example/a\u{0}",
        "https://as.example\\@evil.example/",
        "https://user@as.example/authorize",
        "https://user:pass@as.example/authorize",
        "https://as.example/#fragment",
        "http://as.example/authorize",
        "http://10.0.0.1/authorize",
        "http://169.254.169.254/latest",
        "https://169.254.169.254/latest",
        "https://[::ffff:169.254.169.254]/",
        "//as.example/authorize",
        "/authorize",
        "https:as.example",
        "",
    ] {
        let mut metadata = provider.metadata(&provider.origin);
        metadata["authorization_endpoint"] = Value::from(url);
        provider.says("GET /.well-known/oauth-authorization-server", Said::json(200, &metadata));
        let answer = connect(&app, "s").await;
        assert_eq!((answer.status, &answer.json["code"]), (502, &json!("discovery_failed")), "{url:?} {answer:?}");
        assert_eq!(answer.json["authorize_url"], Value::Null);
    }
}

#[actix_rt::test]
async fn a_browser_that_begins_a_login_is_given_a_cookie_for_the_callback_alone() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    let login = log_in(&app).await;
    let path = "/api/v1/servers/s/connect";
    let begun = login.client(&app).post(path, json!({})).await;
    let cookie = begun.header("set-cookie").expect("a cookie");
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/oauth/callback", "; Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert!(!cookie.contains(&login.token));
    // A program has nowhere to keep it.
    assert_eq!(connect(&app, "s").await.header("set-cookie"), None);
    let terminal = app.anonymous().bearer(&login.token).header("x-csrf-token", &login.csrf);
    assert_eq!(terminal.post(path, json!({})).await.header("set-cookie"), None);
    // The page of another name of this machine would come back without it.
    let elsewhere = app.url.replace("127.0.0.1", "localhost");
    let refused = login.client(&app).header("origin", &elsewhere).post(path, json!({})).await;
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("conflict")), "{refused:?}");
    assert!(refused.text.contains(&app.url), "{refused:?}");
}

#[actix_rt::test]
async fn the_gateway_says_who_it_is_as_a_client() {
    let app = Settings::default().with("ATRYUM_PUBLIC_URL", "https://gate.example").start().await;
    let document = app.anonymous().get("/oauth/client-metadata.json").await;
    assert_eq!(document.status, 200, "{document:?}");
    assert_eq!(document.json["client_id"], "https://gate.example/oauth/client-metadata.json");
    assert_eq!(document.json["redirect_uris"], json!(["https://gate.example/oauth/callback"]));
}

#[actix_rt::test]
async fn what_comes_back_is_in_no_line_of_the_log_at_any_level() {
    let app = Settings::default().with("ATRYUM_LOG__LEVEL", "trace").start().await;
    let provider = asking();
    provider.says("POST /token", Said::json(400, &json!({"error": "invalid_grant"})));
    app.remote("s", &provider.mcp()).await;
    let begun = connect(&app, "s").await;
    let state = query(&begun, "state").expect("a state");
    let challenge = query(&begun, "code_challenge").expect("a challenge");
    let page = app.anonymous().get(&format!("/oauth/callback?code=code-canary&state={state}")).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.text.contains("invalid_grant"), "{page:?}");
    let (_, form) = provider.last();
    let verifier = form["code_verifier"].clone();
    let log = app.log();
    assert!(log.contains("a login failed"), "it is told: {log}");
    for canary in ["code-canary", state.as_str(), challenge.as_str(), verifier.as_str(), "s3cret"] {
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary}");
    }
}
