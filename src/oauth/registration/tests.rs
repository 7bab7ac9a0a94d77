//! Tests of how the gateway is known.

use super::*;
use crate::egress::Reach;
use crate::oauth::metadata::Address;

fn server(methods: Option<&[&str]>) -> AuthorizationServer {
    let at = |path: &str| Address::new(&format!("https://as.example{path}"), Reach::Public).unwrap();
    AuthorizationServer {
        token_endpoint_auth_methods_supported: methods
            .map(|methods| methods.iter().map(|method| (*method).to_owned()).collect()),
        ..AuthorizationServer::typed(at("/authorize"), at("/token"))
    }
}

fn means(held: Option<Client>) -> Means<'static> {
    Means {
        held,
        metadata_url: Some("https://gate.example/client.json"),
        redirect_uri: "https://gate.example/oauth/callback",
        scopes: &[],
        now_ms: 1_000,
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn the_method_is_one_that_the_server_offers_and_the_client_can_do() {
    for (offered, has_secret, expected) in [
        (None, true, Some(AuthMethod::Basic)),
        (None, false, Some(AuthMethod::None)),
        (Some(&["client_secret_post"][..]), true, Some(AuthMethod::Post)),
        (Some(&["none", "client_secret_post", "client_secret_basic"]), true, Some(AuthMethod::Basic)),
        (Some(&["none", "private_key_jwt"]), false, Some(AuthMethod::None)),
        (Some(&["private_key_jwt"]), true, None),
        (Some(&["client_secret_basic"]), false, None),
        (Some(&["none"]), true, None),
    ] {
        assert_eq!(AuthMethod::choose(&server(offered), has_secret).ok(), expected, "{offered:?} {has_secret}");
    }
}

#[actix_rt::test]
async fn an_operators_client_comes_first_and_is_never_shown_to_another_server() {
    let mut server = server(None);
    server.client_id_metadata_document_supported = true;
    let held = typed(&server, "mine", Some(SecretText::new("s"))).unwrap();
    let used = client(&server, means(Some(held.clone()))).await.unwrap();
    assert_eq!((used.id.as_str(), used.auth_method), ("mine", AuthMethod::Basic));

    server.issuer = "https://other.example".into();
    let error = client(&server, means(Some(held))).await.unwrap_err();
    assert_eq!(error.kind(), "client_of_another");
}

#[actix_rt::test]
async fn the_document_is_used_where_it_is_read_and_else_an_operator_is_asked() {
    let mut server = server(None);
    assert_eq!(client(&server, means(None)).await.unwrap_err().kind(), "client_needed");
    server.client_id_metadata_document_supported = true;
    let used = client(&server, means(None)).await.unwrap();
    assert_eq!(
        (used.id.as_str(), used.registration),
        ("https://gate.example/client.json", Registration::MetadataDocument)
    );
    let near = Means { metadata_url: Some("http://127.0.0.1/client.json"), ..means(None) };
    assert_eq!(client(&server, near).await.unwrap_err().kind(), "client_needed");
}

#[actix_rt::test]
async fn a_registration_is_kept_for_its_issuer_until_its_secret_ends() {
    let mut server = server(None);
    let answer = object(&json!({ "client_id": "c", "client_secret": "s", "client_secret_expires_at": 2 }));
    let held = read(&answer, &server, AuthMethod::Basic).unwrap();
    assert_eq!(held.secret_expires_at_ms, Some(2_000));
    assert_eq!(client(&server, means(Some(held.clone()))).await.unwrap().id, "c");
    let late = Means { now_ms: 2_000, ..means(Some(held.clone())) };
    assert_eq!(client(&server, late).await.unwrap_err().kind(), "client_needed");
    server.issuer = "https://other.example".into();
    assert_eq!(client(&server, means(Some(held))).await.unwrap_err().kind(), "client_needed");
}

#[test]
fn what_the_registration_answers_counts_not_what_was_asked_for() {
    let server = server(None);
    let method = |answer: Value, wanted| read(&object(&answer), &server, wanted).map(|client| client.auth_method);
    let (basic, post) = (AuthMethod::Basic, AuthMethod::Post);
    let named = json!({ "client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post" });
    assert_eq!(method(named, basic), Ok(post));
    assert_eq!(method(json!({ "client_id": "c", "client_secret": "s" }), post), Ok(post));
    assert_eq!(method(json!({ "client_id": "c" }), basic), Ok(AuthMethod::None));
    for bad in [
        json!({}),
        json!({ "client_id": "" }),
        json!({ "client_id": "c", "token_endpoint_auth_method": "client_secret_basic" }),
        json!({ "client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt" }),
    ] {
        assert!(method(bad.clone(), basic).is_err(), "{bad}");
    }
}

#[test]
fn a_callback_on_this_machine_is_that_of_a_native_application() {
    for (redirect_uri, expected) in [
        ("http://127.0.0.1:8080/oauth/callback", "native"),
        ("http://localhost:8080/oauth/callback", "native"),
        ("http://[::1]:8080/oauth/callback", "native"),
        ("https://gate.example/oauth/callback", "web"),
    ] {
        let request = request(redirect_uri, AuthMethod::Basic, &["a".into(), "b".into()]);
        assert_eq!((request["application_type"].as_str(), request["scope"].as_str()), (Some(expected), Some("a b")));
    }
}
