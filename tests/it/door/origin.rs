//! The page that a request comes from.

use serde_json::json;

use crate::support::app::{App, Settings};

const PATHS: [&str; 8] = [
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
async fn a_foreign_page_is_refused_on_every_path() {
    let app = App::start().await;
    for origin in ["null", "http://evil.example", "http://localhost:3000", "http://127.0.0.1", "file://"] {
        for path in PATHS {
            let answer = app.operator().header("origin", origin).get(path).await;
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("origin_not_allowed")), "{origin} {path}");
        }
    }
    let suffixed = format!("{}.evil.example", app.url);
    assert_eq!(app.operator().header("origin", &suffixed).get("/api/v1/me").await.status, 403);
}

#[actix_rt::test]
async fn the_own_page_and_a_configured_one_are_listened_to() {
    let app = Settings::default().with("ATRYUM_HTTP__ALLOWED_ORIGINS", "https://inspector.example").start().await;
    for origin in [app.url.as_str(), "https://inspector.example"] {
        assert_eq!(app.operator().header("origin", origin).get("/api/v1/me").await.status, 200, "{origin}");
    }
}

#[actix_rt::test]
async fn a_request_that_another_site_caused_is_refused_but_the_page_may_be_opened_from_a_link() {
    let app = App::start().await;
    for site in ["cross-site", "same-site"] {
        let client = app.operator().header("sec-fetch-site", site);
        for path in PATHS {
            assert_eq!(client.get(path).await.status, 403, "{site} {path}");
        }
        assert_eq!(client.get("/ui/").await.status, 200, "{site}");
        assert_eq!(client.get("/").await.status, 307, "{site}");
        assert_eq!(client.post("/api/v1/login", json!({"code": "x"})).await.status, 403, "{site}");
    }
    // The way back from a login leads over other sites, as a page of its own and in no other way.
    let back = app.anonymous().header("sec-fetch-site", "cross-site");
    let navigates = back.clone().header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    assert_eq!(navigates.get("/oauth/callback?state=x").await.status, 400);
    assert_eq!(navigates.get("/oauth/client-metadata.json").await.status, 403);
    assert_eq!(navigates.send("HEAD", "/oauth/callback", String::new()).await.status, 403);
    assert_eq!(navigates.post("/oauth/callback", json!({})).await.status, 403);
    for (mode, dest) in [("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty")] {
        let part = back.clone().header("sec-fetch-mode", mode).header("sec-fetch-dest", dest);
        assert_eq!(part.get("/oauth/callback?state=x").await.status, 403, "{mode} {dest}");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(app.operator().header("sec-fetch-site", site).get("/api/v1/me").await.status, 200, "{site}");
    }
}
