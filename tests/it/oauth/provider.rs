//! The whole way against a certified provider: registration, login, tokens, rotation, and the end of a grant.

use atryum::oauth::authorization::{Begun, Callback, Wanted, accept, begin};
use atryum::oauth::registration::{Means, client};
use atryum::oauth::token::Grant;
use atryum::oauth::{Offered, Subject, choose_scopes, discover};
use atryum::vault::SecretText;
use url::Url;

use crate::support::guarded::Guarded;

const CALLBACK: &str = "http://127.0.0.1:1/oauth/callback";

/// A person opens the address and agrees; what comes back is the callback.
async fn browse(guarded: &Guarded, begun: &Begun) -> Callback {
    let back = Url::parse(&guarded.agree(&begun.url).await).expect("an address");
    assert!(back.as_str().starts_with(CALLBACK), "{back}");
    let mut callback = Callback::default();
    for (name, value) in back.query_pairs() {
        match &*name {
            "code" => callback.code = Some(SecretText::new(value)),
            "iss" => callback.iss = Some(value.into_owned()),
            "error" => callback.error = Some(value.into_owned()),
            "error_description" => callback.error_description = Some(value.into_owned()),
            "state" => assert!(begun.state.is(&value), "the state comes back as it went"),
            _ => {}
        }
    }
    callback
}

#[actix_rt::test]
async fn from_nothing_to_tokens_to_the_next_ones_to_the_end_of_the_grant() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let guarded = Guarded::start().await;
    let subject = Subject::new(&guarded.mcp()).expect("a base URL");
    let found = discover(&subject, None, None).await.expect("it publishes all");
    let (resource, server) = (found.resource.expect("metadata"), found.server);
    let offered = Offered {
        resource: resource.scopes_supported.as_deref(),
        server: server.scopes_supported.as_deref(),
        ..Offered::default()
    };
    let scopes = choose_scopes(offered);
    let means = Means { held: None, metadata_url: None, redirect_uri: CALLBACK, scopes: &[], now_ms: 0 };
    let client = client(&server, means).await.expect("registered");

    let name = Some(resource.resource.as_str());
    let wanted = Wanted { server: &server, client: &client, redirect_uri: CALLBACK, resource: name, scopes: &scopes };
    let begun = begin(&wanted).expect("an address");
    let code = accept(&server, browse(&guarded, &begun).await).expect("a code");
    let grant = Grant { server: &server, client: &client, resource: name, now_ms: 1_000 };

    let stolen = grant.exchange(&code, &SecretText::new("a".repeat(43)), CALLBACK).await;
    assert!(stolen.is_err(), "without its verifier a code is worth nothing");
    let begun = begin(&wanted).expect("an address");
    let code = accept(&server, browse(&guarded, &begun).await).expect("a code");
    let first = grant.exchange(&code, &begun.verifier, CALLBACK).await.expect("tokens");
    assert_eq!(first.expires_at_ms, Some(61_000));

    let second = grant.refresh(&first).await.expect("the next tokens");
    assert!(!second.access.is(first.access.expose()));
    let rotated = second.refresh.as_ref().expect("another");
    assert!(!rotated.is(first.refresh.as_ref().expect("one").expose()), "it rotates");

    let used_up = grant.refresh(&first).await.expect_err("a refresh token is good for one");
    assert!(used_up.is_grant_over(), "{used_up}");
    let ended = grant.refresh(&second).await.expect_err("who shows one twice loses all");
    assert!(ended.is_grant_over(), "{ended}");
}
