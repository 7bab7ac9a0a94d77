//! Whom the gateway believes to give out a server's tokens.

use atryum::oauth::{Challenge, Discovery, OAuthError, Subject, discover};
use serde_json::json;

use super::found;
use crate::support::provider::{Provider, Said};

const RESOURCE: &str = "GET /.well-known/oauth-protected-resource/mcp";
const ROOT: &str = "GET /.well-known/oauth-protected-resource";
const SERVER: &str = "GET /.well-known/oauth-authorization-server";
const OPENID: &str = "GET /.well-known/openid-configuration";

async fn kind(provider: &Provider) -> &'static str {
    found(provider).await.map_or_else(|error| error.kind(), |_| "found")
}

async fn challenged(provider: &Provider, line: &str) -> Result<Discovery, OAuthError> {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let challenge = Challenge::parse([line]);
    discover(&Subject::new(&provider.mcp()).expect("a base URL"), challenge.as_ref(), None).await
}

#[actix_rt::test]
async fn the_metadata_under_the_path_is_found_and_the_root_is_not_asked() {
    let provider = Provider::well_behaved();
    let found = found(&provider).await.expect("found");
    assert_eq!(provider.asked(), [RESOURCE, SERVER]);
    assert_eq!(found.resource.expect("metadata").resource, provider.mcp());
    assert_eq!(found.server.token_endpoint.url, format!("{}/token", provider.origin));
}

#[actix_rt::test]
async fn the_metadata_that_a_challenge_names_comes_before_the_well_known_places() {
    let (provider, other) = (Provider::well_behaved(), Provider::start());
    other.says("GET /custom/location.json", Said::json(200, &provider.resource()));
    let line = format!(r#"Bearer error="invalid_token", resource_metadata="{}/custom/location.json""#, other.origin);
    challenged(&provider, &line).await.expect("found");
    assert_eq!(
        (other.asked(), provider.asked()),
        (vec!["GET /custom/location.json".to_owned()], vec![SERVER.to_owned()])
    );

    other.says("GET /custom/location.json", Said::html(200));
    let error = challenged(&provider, &line).await.expect_err("a page is no metadata");
    assert_eq!(error.kind(), "resource_metadata_bad");
    other.forgets("GET /custom/location.json");
    challenged(&provider, &line).await.expect("what is not there is looked for where it may be");
}

#[actix_rt::test]
async fn metadata_of_another_resource_ends_it_before_anybody_else_is_asked() {
    let provider = Provider::well_behaved();
    for resource in ["https://other.example/mcp", "http://127.0.0.1:1/mcp", "mcp", ""] {
        provider.says(
            RESOURCE,
            Said::json(200, &json!({"resource": resource, "authorization_servers": [provider.origin]})),
        );
        assert_eq!(kind(&provider).await, "resource_mismatch", "{resource}");
    }
    assert!(!provider.asked().contains(&SERVER.to_owned()));
}

#[actix_rt::test]
async fn the_root_speaks_for_all_of_its_origin() {
    let provider = Provider::well_behaved();
    provider.says(RESOURCE, Said::redirect("/login"));
    let resource = format!("{}/", provider.origin);
    provider.says(ROOT, Said::json(200, &json!({"resource": resource, "authorization_servers": [provider.origin]})));
    let found = found(&provider).await.expect("found");
    assert_eq!(found.resource.expect("metadata").resource, resource, "byte for byte");
}

#[actix_rt::test]
async fn an_issuer_is_what_it_says_it_is_to_the_letter() {
    let provider = Provider::well_behaved();
    for issuer in ["https://evil.example".to_owned(), format!("{}/", provider.origin), String::new()] {
        provider.says(SERVER, Said::json(200, &provider.metadata(&issuer)));
        assert_eq!(kind(&provider).await, "issuer_mismatch", "{issuer}");
    }
}

#[actix_rt::test]
async fn an_issuer_with_a_path_is_looked_for_in_three_places_and_never_at_the_root() {
    let provider = Provider::well_behaved();
    let issuer = format!("{}/t", provider.origin);
    provider.says(RESOURCE, Said::json(200, &json!({"resource": provider.mcp(), "authorization_servers": [issuer]})));
    assert_eq!(kind(&provider).await, "no_metadata");
    let places = [format!("{SERVER}/t"), format!("{OPENID}/t"), "GET /t/.well-known/openid-configuration".to_owned()];
    assert_eq!(provider.asked()[1..], places);
    provider.says(&places[2], Said::json(200, &provider.metadata(&issuer)));
    assert_eq!(kind(&provider).await, "found");
}

#[actix_rt::test]
async fn a_server_without_metadata_is_one_of_2025_03_26() {
    let provider = Provider::well_behaved();
    provider.forgets(RESOURCE);
    let found_at_origin = found(&provider).await.expect("found");
    assert!(found_at_origin.resource.is_none());
    provider.says(SERVER, Said::json(200, &provider.metadata(&format!("{}/", provider.origin))));
    assert_eq!(kind(&provider).await, "found", "many wrote their origin with a slash");

    provider.forgets(SERVER);
    let server = found(&provider).await.expect("found").server;
    assert_eq!(server.issuer, provider.origin);
    assert_eq!(server.authorization_endpoint.url, format!("{}/authorize", provider.origin));
    assert_eq!(server.registration_endpoint.expect("one").url, format!("{}/register", provider.origin));
}

#[actix_rt::test]
async fn each_lie_of_the_metadata_has_a_name() {
    let provider = Provider::well_behaved();
    let server = |member: &str, value: serde_json::Value| {
        let mut metadata = provider.metadata(&provider.origin);
        metadata[member] = value;
        Said::json(200, &metadata)
    };
    let big = format!("{{\"issuer\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (what, said, expected) in [
        (SERVER, server("token_endpoint", json!("http://10.0.0.1/token")), "metadata_bad"),
        (SERVER, server("token_endpoint", json!("http://169.254.169.254/token")), "metadata_bad"),
        (SERVER, server("token_endpoint", json!(null)), "metadata_bad"),
        (SERVER, server("authorization_endpoint", json!("javascript:alert(1)")), "metadata_bad"),
        (SERVER, server("registration_endpoint", json!("file:///etc/passwd")), "metadata_bad"),
        (SERVER, Said::Whole(200, Vec::new(), big), "answer_too_long"),
        (SERVER, Said::html(200), "no_metadata"),
        (SERVER, Said::redirect("/.well-known/oauth-authorization-server"), "no_metadata"),
        (SERVER, Said::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec()), "answer_truncated"),
        (SERVER, Said::Raw(Vec::new()), "connection_reset"),
        (RESOURCE, Said::json(503, &json!({})), "resource_metadata_bad"),
        (RESOURCE, Said::json(200, &json!({"resource": provider.mcp()})), "no_authorization_server"),
        (
            RESOURCE,
            Said::json(200, &json!({"resource": provider.mcp(), "authorization_servers": ["http://10.1.1.1"]})),
            "address_insecure",
        ),
        (
            RESOURCE,
            Said::json(200, &json!({"resource": provider.mcp(), "authorization_servers": ["http://169.254.169.254"]})),
            "bad_url",
        ),
    ] {
        provider.says(RESOURCE, Said::json(200, &provider.resource()));
        provider.says(SERVER, Said::json(200, &provider.metadata(&provider.origin)));
        provider.says(what, said.clone());
        assert_eq!(kind(&provider).await, expected, "{what} {said:?}");
    }
}

#[actix_rt::test]
async fn a_public_server_can_not_lead_the_gateway_to_this_machine() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let provider = Provider::start();
    let public = Subject::new("https://mcp.example.com/mcp").expect("a base URL");
    let port = provider.origin.rsplit(':').next().expect("a port");
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/m"), "address_insecure"),
        (format!("https://127.0.0.1:{port}/m"), "address_not_public"),
        (format!("https://[::ffff:127.0.0.1]:{port}/m"), "address_not_public"),
        // A name is judged by what it leads to.
        (format!("https://localhost:{port}/m"), "address_not_public"),
    ] {
        let challenge = Challenge { resource_metadata: Some(url.clone()), ..Challenge::default() };
        let error = discover(&public, Some(&challenge), None).await.expect_err("out of reach");
        assert_eq!(error.kind(), expected, "{url}: {error}");
    }
    assert!(provider.asked().is_empty());
}
