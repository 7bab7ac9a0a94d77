//! What goes to the token endpoint, and what is taken from it.

use atryum::oauth::AuthorizationServer;
use atryum::oauth::registration::{AuthMethod, Client, Registration};
use atryum::oauth::token::{Grant, TokenSet};
use atryum::vault::SecretText;
use base64::Engine as _;
use serde_json::{Value, json};

use super::server;
use crate::support::provider::{Provider, Said};

const TOKEN: &str = "POST /token";
const CALLBACK: &str = "http://127.0.0.1:8080/oauth/callback";
const RESOURCE: &str = "http://MCP.example/x/";

fn client(server: &AuthorizationServer, auth_method: AuthMethod) -> Client {
    Client {
        issuer: server.issuer.clone(),
        id: "me:1".into(),
        secret: Some(SecretText::new("p&ss wörd")),
        auth_method,
        registration: Registration::Manual,
        secret_expires_at_ms: None,
    }
}

fn before() -> TokenSet {
    TokenSet {
        access: SecretText::new("old"),
        refresh: Some(SecretText::new("refresh-1")),
        expires_at_ms: Some(1),
        scopes: Some(vec!["read".into()]),
    }
}

fn tokens() -> Value {
    json!({"access_token": "new", "token_type": "bearer", "expires_in": 60, "refresh_token": "refresh-2"})
}

#[actix_rt::test]
async fn a_code_is_exchanged_with_its_verifier_and_the_servers_name_to_the_letter() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    provider.says(TOKEN, Said::json(200, &tokens()));
    let client = client(&server, AuthMethod::Post);
    let grant = Grant { server: &server, client: &client, resource: Some(RESOURCE), now_ms: 1_000 };
    let exchanged =
        grant.exchange(&SecretText::new("code"), &SecretText::new("verifier"), CALLBACK).await.expect("tokens");
    assert!(exchanged.access.is("new") && exchanged.refresh.is_some_and(|refresh| refresh.is("refresh-2")));
    assert_eq!(exchanged.expires_at_ms, Some(61_000));
    let (_, form) = provider.last();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "code"),
        ("code_verifier", "verifier"),
        ("redirect_uri", CALLBACK),
        ("resource", RESOURCE),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[actix_rt::test]
async fn a_client_shows_itself_as_the_server_wants_it() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    provider.says(TOKEN, Said::json(200, &tokens()));
    for method in [AuthMethod::Basic, AuthMethod::Post, AuthMethod::None] {
        let client = client(&server, method);
        let grant = Grant { server: &server, client: &client, resource: Some(RESOURCE), now_ms: 0 };
        grant.refresh(&before()).await.expect("tokens");
        let (request, form) = provider.last();
        let is = |name: &str| form.get(name).map(String::as_str);
        assert_eq!((is("grant_type"), is("resource"), is("scope")), (Some("refresh_token"), Some(RESOURCE), None));
        let basic = base64::engine::general_purpose::STANDARD.encode("me%3A1:p%26ss+w%C3%B6rd");
        let (header, id, secret) = match method {
            AuthMethod::Basic => (Some(format!("Basic {basic}")), None, None),
            AuthMethod::Post => (None, Some("me:1"), Some("p&ss wörd")),
            AuthMethod::None => (None, Some("me:1"), None),
        };
        assert_eq!(request.header("authorization"), header.as_deref(), "{method:?}");
        assert_eq!((is("client_id"), is("client_secret")), (id, secret), "{method:?}");
    }
}

#[actix_rt::test]
async fn a_refresh_token_goes_on_until_another_is_given() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    let client = client(&server, AuthMethod::Basic);
    let grant = Grant { server: &server, client: &client, resource: None, now_ms: 0 };
    for (given, kept) in [(Some("refresh-2"), "refresh-2"), (None, "refresh-1"), (Some(""), "refresh-1")] {
        let mut said = json!({"access_token": "new", "token_type": "Bearer"});
        if let Some(given) = given {
            said["refresh_token"] = given.into();
        }
        provider.says(TOKEN, Said::json(200, &said));
        let next = grant.refresh(&before()).await.expect("tokens");
        assert!(next.refresh.is_some_and(|refresh| refresh.is(kept)), "{given:?}");
        assert_eq!((next.expires_at_ms, next.scopes), (None, Some(vec!["read".to_owned()])));
    }
    let none = TokenSet { refresh: None, ..before() };
    let asked = provider.asked().len();
    assert!(grant.refresh(&none).await.expect_err("nothing to refresh with").is_grant_over());
    assert_eq!(provider.asked().len(), asked);
}

#[actix_rt::test]
async fn each_way_not_to_get_a_token_has_a_name_and_none_repeats_a_secret() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    let client = client(&server, AuthMethod::Basic);
    let grant = Grant { server: &server, client: &client, resource: None, now_ms: 0 };
    let refusal = |error: &str| Said::json(400, &json!({"error": error, "error_description": "words"}));
    for (said, kind, is_over, may_pass) in [
        (refusal("invalid_grant"), "token_refused", true, false),
        (refusal("invalid_client"), "token_refused", false, false),
        (refusal("temporarily_unavailable"), "token_refused", false, true),
        (refusal("never_heard_of"), "token_refused", false, false),
        (Said::json(200, &json!({"error": "invalid_grant"})), "token_refused", true, false),
        (Said::html(500), "token_answer_bad", false, true),
        (Said::html(400), "token_answer_bad", false, false),
        (Said::Whole(503, Vec::new(), String::new()), "token_answer_bad", false, true),
        (Said::html(200), "token_answer_bad", false, false),
        (
            Said::json(200, &json!({"access_token": ["s3cret"], "token_type": "bearer"})),
            "token_answer_bad",
            false,
            false,
        ),
        (Said::json(200, &json!({"access_token": "", "token_type": "bearer"})), "token_answer_bad", false, false),
        (Said::json(200, &json!({"access_token": "s3cret"})), "token_answer_bad", false, false),
        (Said::json(200, &json!({"access_token": "s3cret", "token_type": "mac"})), "token_type_unknown", false, false),
        (Said::redirect("https://evil.example/token"), "redirected", false, false),
        (Said::Raw(Vec::new()), "connection_reset", false, true),
        (Said::Whole(200, Vec::new(), "x".repeat(2 * 1024 * 1024)), "answer_too_long", false, true),
    ] {
        provider.says(TOKEN, said.clone());
        let error = grant.refresh(&before()).await.expect_err("no token");
        assert_eq!(
            (error.kind(), error.is_grant_over(), error.may_pass()),
            (kind, is_over, may_pass),
            "{said:?}: {error}"
        );
        let text = format!("{error} {error:?}");
        assert!(!["s3cret", "refresh-1", "p&ss"].iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[actix_rt::test]
async fn nothing_of_a_client_goes_to_another_server() {
    let provider = Provider::well_behaved();
    let mut server = server(&provider).await;
    let client = client(&server, AuthMethod::Post);
    server.issuer = "https://other.example".into();
    let asked = provider.asked().len();
    let grant = Grant { server: &server, client: &client, resource: None, now_ms: 0 };
    assert_eq!(grant.refresh(&before()).await.expect_err("refused").kind(), "client_of_another");
    assert_eq!(provider.asked().len(), asked);
}
