//! `POST /api/v1/servers`

use serde_json::json;

use crate::support::app::App;

#[actix_rt::test]
async fn a_server_is_registered_with_what_was_left_out_filled_in() {
    let app = App::start().await;
    let created = app.operator().post("/api/v1/servers", json!({"name": "calc", "command": "cat"})).await;
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/servers/calc")), "{created:?}");
    assert_eq!(created.header("etag"), Some("\"1\""));
    let server = &created.json;
    assert_eq!(
        (&server["mode"], &server["enabled"], &server["shared"]),
        (&json!("stdio"), &json!(true), &json!(false))
    );
    assert_eq!((&server["args"], &server["env_names"], &server["cwd"]), (&json!([]), &json!([]), &json!(null)));
    assert_eq!((&server["auth"]["type"], &server["credentials"]["status"]), (&json!("none"), &json!("ready")));
    assert_eq!((&server["connection"]["status"], &server["revision"]), (&json!("unknown"), &json!(1)));
    assert_eq!(server["created_at"], server["updated_at"]);
    assert!(chrono_like(server["created_at"].as_str().unwrap()), "{server}");
    assert_eq!(app.operator().get("/api/v1/servers/calc").await.json, created.json);
}

fn chrono_like(time: &str) -> bool {
    time.len() == "2026-11-22T17:30:00.000Z".len() && time.ends_with('Z') && time.as_bytes()[19] == b'.'
}

#[actix_rt::test]
async fn a_name_that_is_taken_is_refused() {
    let app = App::start().await;
    app.server("calc", "cat", &[]).await;
    let again = app.operator().post("/api/v1/servers", json!({"name": "calc", "command": "tac"})).await;
    assert_eq!((again.status, &again.json["code"]), (409, &json!("name_taken")));
    assert!(again.json["detail"].as_str().unwrap().contains("calc"), "{again:?}");
    assert_eq!(app.operator().get("/api/v1/servers/calc").await.json["command"], "cat");
}

#[actix_rt::test]
async fn a_name_that_could_not_stand_in_a_path_is_refused() {
    let app = App::start().await;
    let long = "a".repeat(64);
    for name in ["", "-a", "A", "a_b", "a.b", "a/b", "../a", "a b", "é", "a\u{0}", &long] {
        let answer = app.operator().post("/api/v1/servers", json!({"name": name, "command": "cat"})).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!("/name")), "{name:?}");
    }
    for name in ["a", "0", "test", "a-b", &long[1..]] {
        let answer = app.operator().post("/api/v1/servers", json!({"name": name, "command": "cat"})).await;
        assert_eq!(answer.status, 201, "{name:?}: {answer:?}");
        assert_eq!(app.operator().get(&format!("/api/v1/servers/{name}")).await.status, 200, "{name:?}");
    }
}

#[actix_rt::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let app = App::start().await;
    let wrong = json!({"name": "A", "command": "", "cwd": "relative", "env": {"A=B": "x", "LD_PRELOAD": "/x.so"}});
    let answer = app.operator().post("/api/v1/servers", wrong).await;
    let pointers: Vec<_> =
        answer.json["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    for pointer in ["/name", "/command", "/cwd", "/env/A=B", "/env/LD_PRELOAD"] {
        assert!(pointers.contains(&pointer), "{pointer} is missing in {pointers:?}");
    }
}

#[actix_rt::test]
async fn a_field_of_the_other_mode_is_refused() {
    let app = App::start().await;
    for (mode, field, value) in [
        ("stdio", "base_url", json!("https://example.com")),
        ("stdio", "timeout_seconds", json!(30)),
        ("stdio", "auth", json!({"type": "bearer", "bearer_token": "x"})),
        ("stdio", "auth", json!({"headers": {"X-A": "x"}})),
        ("http", "command", json!("cat")),
        ("http", "args", json!(["-u"])),
        ("http", "env", json!({"A": "b"})),
        ("http", "cwd", json!("/tmp")),
        ("http", "shared", json!(true)),
    ] {
        let own = if mode == "http" { ("base_url", "https://example.com/mcp") } else { ("command", "cat") };
        let mut body = json!({"name": "a", "mode": mode, own.0: own.1});
        body[field] = value;
        let answer = app.operator().post("/api/v1/servers", body).await;
        let error = &answer.json["errors"][0];
        assert_eq!((answer.status, &error["pointer"]), (422, &json!(format!("/{field}"))), "{answer:?}");
        assert!(error["detail"].as_str().unwrap().contains(&format!("in {mode} mode")), "{answer:?}");
    }
    let unknown = json!({"name": "a", "mode": "sse", "base_url": "https://example.com"});
    let unknown = app.operator().post("/api/v1/servers", unknown).await;
    assert_eq!((unknown.status, &unknown.json["errors"][0]["pointer"]), (422, &json!("/mode")), "{unknown:?}");
}

#[actix_rt::test]
async fn a_field_of_the_other_mode_may_say_what_holds_anyway() {
    let app = App::start().await;
    for written_as_read in [
        json!({"name": "a", "command": "cat", "base_url": null, "timeout_seconds": null, "auth": {"type": "none"}}),
        json!({"name": "b", "base_url": "https://example.com", "command": null, "args": [], "cwd": null,
               "shared": false, "env": {}, "auth": {"type": "none", "oauth": null}}),
    ] {
        assert_eq!(app.operator().post("/api/v1/servers", written_as_read).await.status, 201);
    }
}

#[actix_rt::test]
async fn of_two_who_register_one_name_at_once_one_wins() {
    let app = App::start().await;
    let operator = app.operator();
    let register = |command: &str| operator.post("/api/v1/servers", json!({"name": "calc", "command": command}));
    let (one, other) = futures_util::future::join(register("cat"), register("tac")).await;
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}
