//! The host that a request names.

use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::raw::exchange;

/// One of each kind: public page, public answer, operator, agent, metrics, and nothing at all.
const PATHS: [&str; 9] = [
    "/ui/",
    "/healthz",
    "/api/openapi.json",
    "/api/v1/me",
    "/mcp/calc",
    "/mcp/calc/sse",
    "/mcp/calc/message",
    "/metrics",
    "/nowhere",
];

#[actix_rt::test]
async fn a_foreign_host_is_refused_on_every_path() {
    let app = App::start().await;
    for host in ["evil.example", "localhost", "127.0.0.1.evil.example", "169.254.169.254", "0.0.0.0:80"] {
        for path in PATHS {
            let answer = app.operator().header("host", host).get(path).await;
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("host_not_allowed")), "{host} {path}");
        }
    }
}

#[actix_rt::test]
async fn this_machines_names_and_the_configured_ones_are_answered() {
    let app = Settings::default()
        .with("ATRYUM_PUBLIC_URL", "https://gateway.example.com")
        .with("ATRYUM_HTTP__ALLOWED_HOSTS", "gw.lan")
        .start()
        .await;
    let port = app.url.rsplit(':').next().unwrap().to_owned();
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "gateway.example.com".to_owned(),
        "GATEWAY.example.com:443".to_owned(),
        "gw.lan".to_owned(),
        format!("gw.lan:{port}"),
    ] {
        assert_eq!(app.anonymous().header("host", &host).get("/healthz").await.status, 200, "{host}");
    }
    for host in ["gateway.example.com:80", "gw.lan.evil.example", "gateway.example.com.evil.example"] {
        assert_eq!(app.anonymous().header("host", host).get("/healthz").await.status, 403, "{host}");
    }
}

#[actix_rt::test]
async fn a_host_that_a_proxy_is_said_to_have_seen_counts_for_nothing() {
    let app = App::start().await;
    for (name, value) in [
        ("x-forwarded-host", "localhost:8080"),
        ("forwarded", "host=localhost:8080"),
        ("x-original-host", "localhost:8080"),
    ] {
        let answer = app.operator().header("host", "evil.example").header(name, value).get("/api/v1/me").await;
        assert_eq!(answer.status, 403, "{name}");
    }
    let answer = app.operator().header("x-forwarded-host", "evil.example").get("/api/v1/me").await;
    assert_eq!(answer.status, 200, "what is said of a proxy does no harm either");
}

#[actix_rt::test]
async fn a_host_in_the_request_line_has_to_be_ours_too() {
    let app = App::start().await;
    let authority = app.url.strip_prefix("http://").unwrap();
    let request = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    let ours = format!("Host: {authority}\r\n");
    for (target, host, status) in [
        (format!("http://{authority}/healthz"), ours.clone(), 200),
        ("http://evil.example/healthz".to_owned(), ours.clone(), 403),
        (format!("http://{authority}@evil.example/healthz"), ours.clone(), 403),
        ("/healthz".to_owned(), String::new(), 400),
        ("/healthz".to_owned(), "Host: evil.example\r\n".to_owned(), 403),
    ] {
        let answer = exchange(&app.url, &request(&target, &host));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target} {host}: {answer}");
    }
    let twice = format!("{ours}{ours}");
    let answer = exchange(&app.url, &request("/healthz", &twice));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
