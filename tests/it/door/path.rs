//! The path of a request, to the letter.

use serde_json::json;

use crate::support::app::App;
use crate::support::raw::exchange;

#[actix_rt::test]
async fn a_server_is_reached_by_its_exact_name_alone() {
    let app = App::start().await;
    let key = app.agent_key("ann").await;
    let authority = app.url.strip_prefix("http://").unwrap().to_owned();
    let long = "a".repeat(64);
    for name in [
        "calc%20",
        "calc%00",
        "cal%63",
        "%63alc",
        "calc%2F",
        "%2e%2e%2fadmin",
        "..%2f..%2fetc",
        "calc%2e",
        "CALC",
        "Calc",
        "calc.",
        "calc/",
        "calc//",
        "/calc",
        "./calc",
        "../mcp/calc",
        "calc;x",
        "calc:x",
        "-calc",
        "calc_x",
        "",
        "calc%EF%BC%8F",
        "c\u{430}lc",
        &long,
    ] {
        let request = format!(
            "POST /mcp/{name} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {key}\r\nContent-Type: \
             application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        let answer = exchange(&app.url, &request);
        let status = answer.get(9..12).unwrap_or_default();
        assert!(matches!(status, "404" | "400"), "{name:?}: {answer}");
    }
}

#[actix_rt::test]
async fn what_is_not_there_is_404_and_what_can_not_be_done_is_405_with_what_can() {
    let app = App::start().await;
    for path in ["/nowhere", "/api", "/api/v1", "/api/v2/servers", "/api/v1/servers/", "/ui/x", "/mcp", "/mcp/", "/UI/"]
    {
        let answer = app.operator().get(path).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    for (method, path, allowed) in [
        ("PUT", "/api/v1/servers", "GET, POST, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/login", "POST"),
        ("OPTIONS", "/api/v1/servers/calc", "GET, PATCH, DELETE, HEAD"),
        ("TRACE", "/api/v1/me", "GET, HEAD"),
        ("PUT", "/mcp/calc", "POST, GET, DELETE"),
        ("HEAD", "/mcp/calc", "POST, GET, DELETE"),
        ("POST", "/mcp/calc/sse", "GET"),
        ("GET", "/mcp/calc/message", "POST"),
    ] {
        let answer = app.operator().send(method, path, String::new()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
    }
}

#[actix_rt::test]
async fn the_root_leads_to_the_page_and_head_answers_as_get_does() {
    let app = App::start().await;
    for path in ["/", "/ui"] {
        let answer = app.anonymous().get(path).await;
        assert_eq!((answer.status, answer.header("location")), (307, Some("/ui/")), "{path}");
    }
    let answer = app.anonymous().send("HEAD", "/healthz", String::new()).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
}
