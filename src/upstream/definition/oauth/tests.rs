//! Tests of what is said of a login beforehand.

use super::*;
use crate::vault::SecretText;

fn pointers(settings: OAuthSettings, client_secret: Option<&str>) -> Vec<String> {
    let login = OAuthLogin { settings, client_secret: client_secret.map(SecretText::new) };
    let faults = login.faults();
    assert!(!format!("{faults:?}").contains("s3cr"), "{faults:?}");
    faults.into_iter().map(|fault| fault.pointer).collect()
}

fn named(client_id: &str) -> OAuthSettings {
    OAuthSettings { client_id: Some(client_id.into()), ..OAuthSettings::default() }
}

fn scoped(scopes: &[&str]) -> OAuthSettings {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    OAuthSettings { scopes: Some(scopes), ..OAuthSettings::default() }
}

#[test]
fn what_was_typed_is_stored_without_what_became_of_it() {
    let removed = Removed { login: true, client_secret: false, because: Because::BaseUrl("https://a".into()) };
    let settings = OAuthSettings {
        issuer: Some("https://as".into()),
        removed: Some(removed),
        scopes: Some(Vec::new()),
        ..named("mine")
    };
    assert_eq!(settings.to_json().as_deref(), Some(r#"{"client_id":"mine","scopes":[]}"#));
    let nothing = OAuthSettings { client_id: None, scopes: None, ..settings };
    assert_eq!(nothing.to_json(), None);
}

#[test]
fn a_client_is_what_can_be_sent_and_a_secret_has_one() {
    assert!(pointers(OAuthSettings::default(), None).is_empty());
    assert!(pointers(named("https://gate.example/client.json"), Some("a b~!\"\\")).is_empty());
    for bad in ["s3cr\u{e9}t", "s3cret\n", " s3cret", "s3cret\0", &"s3cret".repeat(4000)] {
        assert_eq!(pointers(named(bad), None), ["/auth/oauth/client_id"], "{bad:?}");
        assert_eq!(pointers(named("mine"), Some(bad)), ["/auth/oauth/client_secret"], "{bad:?}");
    }
    assert_eq!(pointers(OAuthSettings::default(), Some("s3cret")), ["/auth/oauth/client_secret"]);
}

#[test]
fn people_and_secrets_are_sent_by_https_or_to_this_machine() {
    for (url, is_fine) in [
        ("https://as.example/token?tenant=7", true),
        ("https://10.0.0.1/token", true),
        ("http://127.0.0.1:8000/token", true),
        ("http://[::1]/token", true),
        ("http://localhost/token", true),
        ("http://as.example/token", false),
        ("http://10.0.0.1/token", false),
        ("https://169.254.169.254/token", false),
        ("https://metadata.google.internal/token", false),
        ("https://as.example/#x", false),
        ("https://x:s3cret@as.example/", false),
        ("as.example/token", false),
        ("file:///etc/passwd", false),
        ("", false),
    ] {
        let authorize = OAuthSettings { authorize_url: Some(url.into()), ..OAuthSettings::default() };
        let token = OAuthSettings { token_url: Some(url.into()), ..OAuthSettings::default() };
        assert_eq!(pointers(authorize, None), ["/auth/oauth/authorize_url"][usize::from(is_fine)..], "{url}");
        assert_eq!(pointers(token, None), ["/auth/oauth/token_url"][usize::from(is_fine)..], "{url}");
    }
}

#[test]
fn scopes_are_words_and_each_is_given_once() {
    assert!(pointers(scoped(&[]), None).is_empty());
    assert!(pointers(scoped(&["a", "b:c", "https://x.example/d.e", "~!"]), None).is_empty());
    let long = "s".repeat(257);
    for bad in ["", "a b", "a\"", "a\\", "a\n", "\u{e9}", &long] {
        assert_eq!(pointers(scoped(&["fine", bad]), None), ["/auth/oauth/scopes/1"], "{bad:?}");
    }
    assert_eq!(pointers(scoped(&["a", "b", "a"]), None), ["/auth/oauth/scopes/2"]);
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(pointers(scoped(&many), None), ["/auth/oauth/scopes"]);
}
