//! The body of a request, and how it may come.

use serde_json::json;

use crate::support::app::App;
use crate::support::raw::exchange;

#[actix_rt::test]
async fn what_a_form_could_send_changes_nothing_on_any_path() {
    let app = App::start().await;
    let body = json!({"name": "calc", "command": "cat"}).to_string();
    let kinds = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"];
    for (method, path) in [
        ("POST", "/api/v1/servers"),
        ("POST", "/api/v1/servers/test"),
        ("PATCH", "/api/v1/servers/calc"),
        ("DELETE", "/api/v1/servers/calc"),
        ("POST", "/api/v1/rules"),
        ("PUT", "/api/v1/rules/default"),
        ("POST", "/api/v1/agents"),
        ("POST", "/api/v1/logout"),
        ("POST", "/api/v1/login"),
        ("POST", "/mcp/calc"),
        ("POST", "/mcp/calc/message?session_id=x"),
    ] {
        for kind in kinds {
            let answer = app.operator().header("content-type", kind).send(method, path, body.clone()).await;
            assert_eq!(answer.status, 415, "{method} {path} {kind:?}: {answer:?}");
        }
    }
    let answer = app.operator().send("POST", "/api/v1/servers", body).await;
    assert_eq!((answer.status, answer.header("accept")), (415, Some("application/json")), "no kind at all");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([]));
}

#[actix_rt::test]
async fn json_is_read_in_one_way_or_not_at_all() {
    let app = App::start().await;
    let operator = app.operator().header("content-type", "application/json; charset=utf-8");
    for text in [
        "",
        "{",
        "{\"name\":\"a\",}",
        "{\"name\":\"a\"} {}",
        "{\"name\":\"a\",\"name\":\"b\",\"command\":\"cat\"}",
        "{\"name\":\"a\",\"n\\u0061me\":\"b\",\"command\":\"cat\"}",
        "{\"name\":\"\\ud800\",\"command\":\"cat\"}",
        "\u{feff}{}",
    ] {
        let answer = operator.send("POST", "/api/v1/servers", text.to_owned()).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("malformed_json")), "{text:?}: {answer:?}");
    }
    let answer = operator.send("POST", "/api/v1/servers", "{\n  \"name\": oops\n}".to_owned()).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("line 2 column 1"), "{detail}");
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(operator.send("POST", "/api/v1/servers", deep).await.status, 400);
}

#[actix_rt::test]
async fn a_field_that_is_unknown_missing_or_of_another_type_is_pointed_at() {
    let app = App::start().await;
    for (body, pointer, words) in [
        (json!({"name": "a", "comand": "cat"}), "/comand", "did you mean \"command\"?"),
        (json!({"command": "cat"}), "/name", "it is missing"),
        (json!({"name": 7, "command": "cat"}), "/name", "a string is expected, not a number"),
        (json!({"name": "a", "command": "cat", "args": "-v"}), "/args", "a list is expected, not a string"),
        (json!({"name": "a", "command": "cat", "args": ["-v", 2]}), "/args/1", "a string is expected, not a number"),
        (
            json!({"name": "a", "command": "cat", "env": {"PIN": 98765}}),
            "/env/PIN",
            "a string is expected, not a number",
        ),
        (json!({"name": "a", "command": "cat", "enabled": "yes"}), "/enabled", "true or false is expected"),
        (json!([]), "", "an object is expected, not a list"),
    ] {
        let answer = app.operator().post("/api/v1/servers", body.clone()).await;
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!("invalid_field")), "{body}: {answer:?}");
        assert_eq!(answer.json["errors"][0]["pointer"], pointer, "{body}");
        let detail = answer.json["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
        assert!(!answer.text.contains("98765"), "a value that may be a secret is told");
    }
}

#[actix_rt::test]
async fn a_body_that_is_too_large_is_refused() {
    let app = App::start().await;
    let body = json!({"name": "a", "command": "x".repeat(300 * 1024)});
    let answer = app.operator().post("/api/v1/servers", body).await;
    assert_eq!((answer.status, &answer.json["code"]), (413, &json!("payload_too_large")));
}

#[actix_rt::test]
async fn a_body_of_two_lengths_is_never_read() {
    let app = App::start().await;
    let authority = app.url.strip_prefix("http://").unwrap();
    let head = format!("POST /api/v1/login HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n");
    for lengths in ["Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"]
    {
        let answer = exchange(&app.url, &format!("{head}{lengths}Connection: close\r\n\r\n{{}}x"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lengths}: {answer}");
    }
}

#[actix_rt::test]
async fn a_query_parameter_that_is_unknown_repeated_or_malformed_is_named() {
    let app = App::start().await;
    for (query, name) in [
        ("enabeld=true", "enabeld"),
        ("enabled=yes", "enabled"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=-1", "limit"),
        ("q=a&q=b", "q"),
        ("cursor=made-up", "cursor"),
    ] {
        let answer = app.operator().get(&format!("/api/v1/servers?{query}")).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_parameter")), "{query}: {answer:?}");
        assert!(answer.json["detail"].as_str().unwrap().contains(&format!("{name:?}")), "{query}: {answer:?}");
    }
}
