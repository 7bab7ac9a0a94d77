//! The OpenAPI document and the settings.

use std::collections::BTreeSet;

use atryum::http::routes::{Access, INVENTORY};
use serde_json::{Value, json};

use crate::support::app::{App, repo};

/// Paths that are pages or speak a protocol of their own.
fn is_documented(path: &str) -> bool {
    path.starts_with("/api/v1/") || matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn document() -> Value {
    serde_json::from_str(atryum::http::openapi::text()).expect("JSON")
}

#[test]
fn the_checked_in_document_is_what_the_code_generates() {
    let path = repo("openapi.json");
    let generated = atryum::http::openapi::text();
    if std::env::var_os("ATRYUM_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, generated).expect("it can be written");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "openapi.json is not what the code generates: run this test with ATRYUM_WRITE_OPENAPI=1 and look at the change"
    );
}

#[test]
fn the_document_and_the_router_know_the_same_paths() {
    let document = document();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let routed: BTreeSet<_> = INVENTORY
        .iter()
        .filter(|route| is_documented(route.path))
        .map(|route| (route.path.to_owned(), route.method.to_owned()))
        .collect();
    assert_eq!(documented, routed);
}

#[test]
fn the_document_says_of_each_path_whether_a_credential_is_needed() {
    let document = document();
    for route in INVENTORY.iter().filter(|route| is_documented(route.path)) {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let is_open = operation["security"] == json!([{}]);
        assert_eq!(is_open, route.access == Access::Public, "{} {}", route.method, route.path);
    }
}

#[test]
fn a_secret_is_only_ever_written() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (schema, field) in [
        ("ServerWrite", "env"),
        ("ServerPatch", "env"),
        ("ServerAuthWrite", "bearer_token"),
        ("ServerAuthWrite", "headers"),
        ("LoginRequest", "code"),
    ] {
        assert_eq!(schemas[schema]["properties"][field]["writeOnly"], true, "{schema}.{field}");
    }
    for schema in ["Server", "ServerAuth", "Agent", "AgentKey", "Settings"] {
        let text = schemas[schema].to_string();
        for word in ["\"env\"", "\"key\"", "secret", "token\""] {
            assert!(!text.contains(word), "{schema} gives out {word}: {text}");
        }
    }
}

#[actix_rt::test]
async fn the_document_is_served_to_anyone_and_its_page_is_beside_it() {
    let app = App::start().await;
    let answer = app.anonymous().get("/api/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let page = app.anonymous().get("/api/docs").await;
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

#[actix_rt::test]
async fn a_problem_leads_to_the_explanation_of_its_code() {
    let app = App::start().await;
    let problem = app.anonymous().get("/nowhere").await.json;
    let (page, anchor) = problem["type"].as_str().unwrap().split_once('#').expect("a place on a page");
    assert_eq!((page, anchor), ("/api/docs", "problem-not_found"));
    let codes = document()["components"]["schemas"]["Code"].clone();
    let explained = codes["description"].as_str().unwrap();
    for code in codes["enum"].as_array().unwrap() {
        assert!(explained.contains(&format!("{} (", code.as_str().unwrap())), "{code} is not explained");
    }
}

#[actix_rt::test]
async fn the_settings_are_those_that_hold() {
    let app = App::start().await;
    let settings = app.operator().get("/api/v1/settings").await.json;
    assert_eq!((&settings["public_url"], &settings["default_action"]), (&json!(app.url), &json!("ask")));
    assert_eq!(settings["version"], env!("CARGO_PKG_VERSION"));
}
