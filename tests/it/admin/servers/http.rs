//! Servers in HTTP mode: registering and editing them. What is spoken to them is in `tests/it/upstream`.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Answer;

const URL: &str = "https://example.com/mcp";

async fn register(app: &App, auth: Value) -> Answer {
    app.server_from(json!({"name": "git", "base_url": URL, "auth": auth})).await
}

async fn patch(app: &App, patch: Value) -> Answer {
    let answer = app.operator().patch("/api/v1/servers/git", patch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(app.operator().get("/api/v1/servers/git").await.json, answer.json);
    answer
}

/// Type, whether a token is kept, the names of the headers, and the status of the credentials.
fn auth(answer: &Answer) -> (&str, bool, Vec<&str>, &str) {
    let auth = &answer.json["auth"];
    let names = auth["header_names"].as_array().expect("names").iter().map(|name| name.as_str().unwrap());
    (
        auth["type"].as_str().unwrap(),
        auth["bearer_token_set"].as_bool().unwrap(),
        names.collect(),
        answer.json["credentials"]["status"].as_str().unwrap(),
    )
}

#[actix_rt::test]
async fn a_server_is_shown_in_the_shape_of_the_contract() {
    let app = App::start().await;
    let created = app.server_from(json!({"name": "git", "mode": "http", "base_url": "HTTP://Example.com:80"})).await;
    let server = &created.json;
    assert_eq!(server["base_url"], "HTTP://Example.com:80", "it is kept as it was typed");
    assert_eq!((&server["mode"], &server["timeout_seconds"]), (&json!("http"), &json!(30)));
    assert_eq!(server["auth"], json!({"type": "none", "bearer_token_set": false, "header_names": [], "oauth": null}));
    assert_eq!(server["credentials"], json!({"status": "ready", "reason": null, "action": null}));
    let of_stdio = [&server["command"], &server["args"], &server["env_names"], &server["cwd"], &server["shared"]];
    assert_eq!(of_stdio, [&json!(null), &json!([]), &json!([]), &json!(null), &json!(false)]);
    assert_eq!(server["endpoint_url"], format!("{}/mcp/git", app.url));
    assert_eq!(server["connection"]["status"], "unknown");
}

#[actix_rt::test]
async fn the_type_of_auth_follows_from_what_is_given() {
    for (written, expected) in [
        (json!(null), ("none", false, vec![], "ready")),
        (json!({}), ("none", false, vec![], "ready")),
        (json!({"bearer_token": ""}), ("none", false, vec![], "ready")),
        (json!({"headers": {}}), ("none", false, vec![], "ready")),
        (json!({"bearer_token": "t"}), ("bearer", true, vec![], "ready")),
        (json!({"headers": {"X-B": "1", "X-A": "2", "X-C": null}}), ("headers", false, vec!["X-A", "X-B"], "ready")),
        (json!({"headers": {"Authorization": "Basic eA=="}}), ("headers", false, vec!["Authorization"], "ready")),
        (json!({"type": "bearer"}), ("bearer", false, vec![], "missing")),
        (json!({"type": "headers"}), ("headers", false, vec![], "missing")),
    ] {
        let app = App::start().await;
        let created = register(&app, written.clone()).await;
        assert_eq!(auth(&created), expected, "{written}");
        if expected.3 == "missing" {
            assert_eq!(created.json["credentials"]["action"], "set_token");
            assert!(created.json["credentials"]["reason"].as_str().unwrap().contains("is stored"), "{created:?}");
        }
    }
}

#[actix_rt::test]
async fn each_fault_is_told_at_its_place() {
    let app = App::start().await;
    for (field, value, pointer) in [
        ("base_url", json!("ftp://example.com"), "/base_url"),
        ("base_url", json!("https://"), "/base_url"),
        ("base_url", json!("https://user:pass@example.com"), "/base_url"),
        ("base_url", json!("https://example.com/#x"), "/base_url"),
        ("base_url", json!("http://169.254.169.254/latest"), "/base_url"),
        ("base_url", json!("http://0xa9fea9fe/"), "/base_url"),
        ("base_url", json!("http://[::ffff:169.254.1.1]/"), "/base_url"),
        ("base_url", json!("http://metadata.google.internal/"), "/base_url"),
        ("base_url", json!(7), "/base_url"),
        ("base_url", json!(null), "/base_url"),
        ("base_url", json!("example.com/mcp"), "/base_url"),
        ("timeout_seconds", json!(0), "/timeout_seconds"),
        ("timeout_seconds", json!(3601), "/timeout_seconds"),
        ("timeout_seconds", json!("30"), "/timeout_seconds"),
        ("timeout_seconds", json!(1.5), "/timeout_seconds"),
        ("auth", json!({"type": "basic"}), "/auth/type"),
        ("auth", json!({"bearer_token": "a b"}), "/auth/bearer_token"),
        ("auth", json!({"bearer_token": "a\r\nb"}), "/auth/bearer_token"),
        ("auth", json!({"type": "none", "bearer_token": "x"}), "/auth/bearer_token"),
        ("auth", json!({"type": "headers", "bearer_token": "x"}), "/auth/bearer_token"),
        ("auth", json!({"type": "none", "headers": {"A": "x"}}), "/auth/headers"),
        ("auth", json!({"bearer_token": "x", "headers": {"Authorization": "x"}}), "/auth/headers"),
        ("auth", json!({"headers": {"Host": "x"}}), "/auth/headers/Host"),
        ("auth", json!({"headers": {"Mcp-Session-Id": "x"}}), "/auth/headers/Mcp-Session-Id"),
        ("auth", json!({"headers": {"a/b": "x"}}), "/auth/headers/a~1b"),
        ("auth", json!({"headers": {"X-A": "x\nHost: y"}}), "/auth/headers/X-A"),
        ("auth", json!({"headers": {"X-A": ""}}), "/auth/headers/X-A"),
        ("auth", json!({"headers": {"X-A": "1", "x-a": "2"}}), "/auth/headers/x-a"),
        ("auth", json!({"tokn": "x"}), "/auth/tokn"),
    ] {
        let mut body = json!({"name": "git", "mode": "http", "base_url": URL});
        body[field] = value;
        for path in ["/api/v1/servers", "/api/v1/servers/test"] {
            let answer = app.operator().post(path, body.clone()).await;
            let error = &answer.json["errors"][0];
            assert_eq!((answer.status, error["pointer"].as_str()), (422, Some(pointer)), "{body}: {answer:?}");
        }
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("X-{n}"), json!("v"))).collect();
    let body = json!({"name": "git", "base_url": URL, "auth": {"headers": many}});
    let answer = app.operator().post("/api/v1/servers", body).await;
    assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!("/auth/headers")), "{answer:?}");
    let wrong = json!({"name": "A", "base_url": "x", "timeout_seconds": 0, "auth": {"bearer_token": "a b"}});
    let answer = app.operator().post("/api/v1/servers", wrong).await;
    assert_eq!(answer.json["errors"].as_array().unwrap().len(), 4, "{answer:?}");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([]));
}

#[actix_rt::test]
async fn a_login_is_kept_replaced_and_removed_by_what_is_said_of_it() {
    let app = App::start().await;
    register(&app, json!({"bearer_token": "t"})).await;
    for (written, expected) in [
        (json!({"timeout_seconds": 60}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"type": "bearer"}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"headers": {"X-A": null}}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"bearer_token": ""}}), ("none", false, vec![], "ready")),
        (json!({"auth": {"bearer_token": "new"}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"bearer_token": null}}), ("none", false, vec![], "ready")),
        (json!({"auth": {"type": "bearer", "bearer_token": ""}}), ("bearer", false, vec![], "missing")),
        (json!({"auth": {"bearer_token": "new"}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"headers": {"X-A": "1", "X-B": "2"}}}), ("headers", false, vec!["X-A", "X-B"], "ready")),
        (
            json!({"auth": {"headers": {"x-a": "3", "X-C": "4", "X-B": null}}}),
            ("headers", false, vec!["X-C", "x-a"], "ready"),
        ),
        (json!({"auth": {"headers": null}}), ("headers", false, vec![], "missing")),
        (json!({"auth": {"bearer_token": "t"}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": {"type": "none"}}), ("none", false, vec![], "ready")),
        (json!({"auth": {"bearer_token": "t"}}), ("bearer", true, vec![], "ready")),
        (json!({"auth": null}), ("none", false, vec![], "ready")),
    ] {
        let edited = patch(&app, written.clone()).await;
        assert_eq!(auth(&edited), expected, "{written}");
        let credentials = &edited.json["credentials"];
        assert_eq!(credentials["action"].as_str(), (expected.3 == "missing").then_some("set_token"), "{written}");
    }
}

#[actix_rt::test]
async fn a_credential_does_not_move_to_another_origin() {
    let app = App::start().await;
    register(&app, json!({"bearer_token": "t"})).await;
    for same in ["https://EXAMPLE.com:443/elsewhere?x=y", "https://example.com"] {
        assert_eq!(auth(&patch(&app, json!({"base_url": same})).await), ("bearer", true, vec![], "ready"), "{same}");
    }
    for other in ["http://example.com", "https://example.com:8443", "https://evil.example.com"] {
        let moved = patch(&app, json!({"base_url": other})).await;
        assert_eq!(auth(&moved), ("bearer", false, vec![], "missing"), "{other}");
        let credentials = &moved.json["credentials"];
        let reason = credentials["reason"].as_str().unwrap();
        assert!(reason.contains("https://example.com was removed") && reason.contains(other), "{reason}");
        assert_eq!(credentials["action"], "set_token");
        let later = patch(&app, json!({"timeout_seconds": 5})).await;
        assert_eq!(later.json["credentials"], *credentials, "it goes on being said");
        let back = patch(&app, json!({"base_url": URL})).await;
        assert_eq!(auth(&back), ("bearer", false, vec![], "missing"), "what was removed does not come back");
        patch(&app, json!({"auth": {"bearer_token": "t"}})).await;
    }
    let anew = patch(&app, json!({"base_url": "https://other.example", "auth": {"bearer_token": "other"}})).await;
    assert_eq!(auth(&anew), ("bearer", true, vec![], "ready"));
    patch(&app, json!({"auth": {"headers": {"X-A": "1", "X-B": "2"}}})).await;
    let partly = patch(&app, json!({"base_url": URL, "auth": {"headers": {"X-A": "3"}}})).await;
    assert_eq!(auth(&partly), ("headers", false, vec!["X-A"], "ready"), "only what was given anew is there");
    let none = patch(&app, json!({"auth": {"type": "none"}, "base_url": "https://x.example"})).await;
    assert_eq!(auth(&none), ("none", false, vec![], "ready"));
    let again = patch(&app, json!({"auth": {"type": "bearer"}})).await;
    assert!(again.json["credentials"]["reason"].as_str().unwrap().starts_with("no bearer token"), "{again:?}");
}

#[actix_rt::test]
async fn an_edit_that_makes_no_sense_changes_nothing() {
    let app = App::start().await;
    register(&app, json!({"headers": {"X-A": "1"}})).await;
    let before = app.operator().get("/api/v1/servers/git").await.text;
    for (patch, pointer) in [
        (json!({"base_url": null}), "/base_url"),
        (json!({"base_url": "http://169.254.169.254", "auth": {"headers": {"X-A": "2"}}}), "/base_url"),
        (json!({"timeout_seconds": 0}), "/timeout_seconds"),
        (json!({"auth": {"type": "basic"}}), "/auth/type"),
        (json!({"auth": {"headers": {"Host": "x"}}}), "/auth/headers/Host"),
        (json!({"command": "cat"}), "/command"),
        (json!({"env": {"A": "b"}}), "/env"),
        (json!({"shared": true}), "/shared"),
    ] {
        let answer = app.operator().patch("/api/v1/servers/git", patch.clone()).await;
        let error = &answer.json["errors"][0];
        assert_eq!((answer.status, &error["pointer"]), (422, &json!(pointer)), "{patch}: {answer:?}");
    }
    for (field, value) in [("mode", "stdio"), ("name", "other")] {
        let answer = app.operator().patch("/api/v1/servers/git", json!({ field: value })).await;
        assert_eq!((answer.status, &answer.json["code"]), (409, &json!("immutable")), "{answer:?}");
    }
    let stale = app.operator().header("if-match", "\"7\"").patch("/api/v1/servers/git", json!({"base_url": URL})).await;
    assert_eq!(stale.status, 412);
    assert_eq!(app.operator().get("/api/v1/servers/git").await.text, before);
}

#[actix_rt::test]
async fn the_gateway_is_not_a_server_of_its_own() {
    let app = App::start().await;
    let port = app.url.rsplit_once(':').unwrap().1;
    for host in ["127.0.0.1", "localhost", "0x7f.1", "0.0.0.0", "[::ffff:7f00:1]"] {
        let body = json!({"name": "loop", "base_url": format!("http://{host}:{port}/mcp/other")});
        for path in ["/api/v1/servers", "/api/v1/servers/test"] {
            let answer = app.operator().post(path, body.clone()).await;
            assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!("/base_url")), "{host}");
            assert!(answer.json["detail"].as_str().unwrap().contains("own address"), "{answer:?}");
        }
    }
    register(&app, json!(null)).await;
    let moved = app.operator().patch("/api/v1/servers/git", json!({"base_url": format!("{}/mcp/x", app.url)})).await;
    assert_eq!((moved.status, &moved.json["errors"][0]["pointer"]), (422, &json!("/base_url")), "{moved:?}");
}

#[actix_rt::test]
async fn an_edit_of_the_login_that_meets_a_move_leaves_nothing_that_was_for_the_old_address() {
    let app = App::start().await;
    register(&app, json!({"headers": {"X-A": "old"}})).await;
    let operator = app.operator();
    for round in 0..20 {
        let url = format!("https://{round}.example.com");
        let moved = json!({"base_url": url, "auth": {"headers": {"X-A": "new"}}});
        let added = json!({"auth": {"headers": {format!("X-{round}"): "added"}}});
        let edits = [moved, added].map(|patch| operator.patch("/api/v1/servers/git", patch));
        let edited = futures_util::future::join_all(edits).await;
        assert!(edited.iter().all(|answer| answer.status == 200), "{edited:?}");
        let server = app.operator().get("/api/v1/servers/git").await;
        // Every header opens for the address, or the server could not be run.
        assert_eq!((auth(&server).3, &server.json["base_url"]), ("ready", &json!(url)), "{server:?}");
        assert_eq!(server.json["connection"]["status"], "unknown", "{server:?}");
        let names = auth(&server).2;
        assert!(names == ["X-A"] || names == [format!("X-{round}").as_str(), "X-A"], "{names:?}");
    }
}

#[actix_rt::test]
async fn a_draft_is_tried_and_nothing_of_it_is_kept() {
    let app = App::start().await;
    // Nobody listens there.
    let url = "http://127.0.0.1:1/mcp";
    for (login, status) in [(json!(null), "ready"), (json!({"type": "bearer"}), "missing")] {
        let draft = json!({"name": "draft", "base_url": url, "timeout_seconds": 2, "auth": login});
        let tried = app.operator().post("/api/v1/servers/test", draft).await;
        assert_eq!((tried.status, &tried.json["ok"]), (200, &json!(false)), "{tried:?}");
        assert_eq!(tried.json["credentials"]["status"], status, "{tried:?}");
        assert_eq!(tried.json["steps"][0]["ok"], false, "{tried:?}");
    }
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([]));
}
