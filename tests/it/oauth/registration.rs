//! How the gateway makes itself known.

use atryum::oauth::registration::{AuthMethod, Means, client};
use serde_json::json;

use super::server;
use crate::support::provider::{Provider, Said};

const CALLBACK: &str = "http://127.0.0.1:8080/oauth/callback";

fn means(scopes: &[String]) -> Means<'_> {
    Means { held: None, metadata_url: None, redirect_uri: CALLBACK, scopes, now_ms: 0 }
}

#[actix_rt::test]
async fn the_gateway_registers_itself_as_a_native_application_that_refreshes() {
    let provider = Provider::well_behaved();
    let registered = client(&server(&provider).await, means(&["read".into()])).await.expect("registered");
    assert_eq!((registered.id.as_str(), registered.auth_method), ("registered", AuthMethod::Basic));
    assert!(registered.secret.is_some_and(|secret| secret.is("s3cret")));
    let (request, _) = provider.last();
    assert_eq!(
        request.json,
        json!({
            "client_name": "Atryum",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "application_type": "native",
            "scope": "read",
        })
    );
}

#[actix_rt::test]
async fn a_refusal_says_what_an_operator_can_do() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    let refusal = json!({"error": "invalid_redirect_uri", "error_description": "not\nours"});
    for (said, expected) in [
        (Said::json(400, &refusal), "registration_refused"),
        (Said::html(403), "registration_refused"),
        (Said::html(200), "registration_bad"),
        (Said::json(201, &json!({"client_secret": "s"})), "registration_bad"),
        (Said::redirect("/elsewhere"), "redirected"),
    ] {
        provider.says("POST /register", said.clone());
        let error = client(&server, means(&[])).await.expect_err("refused");
        assert_eq!(error.kind(), expected, "{said:?}");
        if expected == "registration_refused" {
            assert!(error.to_string().contains("set client id") && error.to_string().contains(CALLBACK), "{error}");
        }
    }
}

#[actix_rt::test]
async fn who_knows_nothing_of_the_scopes_is_asked_once_more_without_them() {
    let provider = Provider::well_behaved();
    let server = server(&provider).await;
    let register = "POST /register";
    let scopes = ["read".to_owned()];
    for (error, asked) in [("invalid_client_metadata", 2), ("invalid_scope", 2), ("invalid_redirect_uri", 1)] {
        let before = provider.asked().len();
        provider.says(register, Said::json(400, &json!({ "error": error })));
        let refused = client(&server, means(&scopes)).await.expect_err("refused");
        assert_eq!((refused.kind(), provider.asked().len() - before), ("registration_refused", asked), "{error}");
    }
    provider.says_in_turn(
        register,
        vec![
            Said::json(400, &json!({"error": "invalid_client_metadata"})),
            Said::json(201, &json!({"client_id": "registered", "token_endpoint_auth_method": "none"})),
        ],
    );
    assert_eq!(client(&server, means(&scopes)).await.expect("registered").id, "registered");
    assert_eq!(provider.last().0.json.get("scope"), None);
}
