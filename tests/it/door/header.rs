//! The headers that leave with every answer, and how many may come in.

use std::collections::HashSet;

use crate::support::app::App;
use crate::support::eventually;

#[actix_rt::test]
async fn every_answer_has_a_name_of_its_own_which_nobody_can_choose() {
    let app = App::start().await;
    let mut names = HashSet::new();
    for path in
        ["/healthz", "/api/v1/me", "/nowhere", "/ui/", "/mcp/calc", "/mcp/calc/sse", "/mcp/calc/message", "/metrics"]
    {
        let answer = app.anonymous().header("x-request-id", "chosen").get(path).await;
        let name = answer.header("x-request-id").expect("a name").to_owned();
        assert_eq!(uuid::Uuid::parse_str(&name).map(|id| id.get_version_num()), Ok(7), "{path}");
        if answer.status >= 400 {
            assert_eq!(answer.json["request_id"], name.as_str(), "{path}");
        }
        assert!(names.insert(name), "{path}");
    }
    eventually("the log knows each name", async || {
        let log = app.log();
        names.iter().all(|name| log.contains(name.as_str())).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn every_answer_keeps_a_browser_strict() {
    let app = App::start().await;
    for path in ["/healthz", "/api/v1/me", "/nowhere", "/mcp/calc", "/mcp/calc/sse", "/ui/", "/ui/page.js", "/api/docs"]
    {
        let answer = app.anonymous().get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{path}: {policy}");
        assert!(answer.header("access-control-allow-origin").is_none(), "{path}");
    }
    assert_eq!(app.operator().get("/api/v1/me").await.header("cache-control"), Some("no-store"));
}

#[actix_rt::test]
async fn pages_hold_no_script_and_no_style_of_their_own_and_load_nothing_from_elsewhere() {
    let app = App::start().await;
    for path in ["/ui/", "/api/docs"] {
        let page = app.anonymous().get(path).await.text;
        for own in ["style=", "<style", "onclick=", "onload=", "onerror=", "onsubmit=", "javascript:"] {
            assert!(!page.contains(own), "{path} holds {own}");
        }
        assert!(!page.contains("://"), "{path} names another place");
        for source in page.split("<script").skip(1) {
            assert!(source.trim_start().starts_with("src=\"/"), "{path}: an inline script");
        }
    }
    for path in ["/ui/page.js", "/api/docs.js"] {
        let program = app.anonymous().get(path).await.text;
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!program.contains(sink), "{path} uses {sink}");
        }
    }
}

#[actix_rt::test]
async fn too_many_bytes_of_headers_are_refused() {
    let app = App::start().await;
    let answer = app.operator().header("x-large", &"x".repeat(17 * 1024)).get("/api/v1/me").await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (431, Some("headers_too_large")));
}

#[actix_rt::test]
async fn the_log_holds_the_route_and_neither_query_nor_credential() {
    let app = App::start().await;
    let answer = app.operator().get("/api/v1/servers?q=a-secret-in-a-query").await;
    assert_eq!(answer.status, 200);
    app.anonymous().bearer("a-secret-in-a-header").get("/api/v1/servers/a-name-in-a-path").await;
    let log = eventually("the log has a line about both", async || {
        Some(app.log()).filter(|log| log.contains("\"/api/v1/servers\"") && log.contains("/api/v1/servers/{name}"))
    })
    .await;
    for secret in ["a-secret-in-a-query", "a-secret-in-a-header", crate::support::app::ADMIN_TOKEN] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
