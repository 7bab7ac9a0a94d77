//! `PATCH /api/v1/servers/{name}`

use serde_json::json;

use crate::support::app::App;

#[actix_rt::test]
async fn what_is_absent_is_kept_and_null_clears() {
    let app = App::start().await;
    app.server_from(json!({"name": "n", "command": "cat", "args": ["-u"], "cwd": "/tmp", "shared": true})).await;
    let edited = app.operator().patch("/api/v1/servers/n", json!({"command": "tac"})).await;
    assert_eq!((edited.status, edited.header("etag")), (200, Some("\"2\"")), "{edited:?}");
    let server = &edited.json;
    assert_eq!((&server["command"], &server["args"], &server["cwd"]), (&json!("tac"), &json!(["-u"]), &json!("/tmp")));
    let cleared = app.operator().patch("/api/v1/servers/n", json!({"cwd": null, "args": null, "shared": null})).await;
    let server = &cleared.json;
    assert_eq!((&server["cwd"], &server["args"], &server["shared"]), (&json!(null), &json!([]), &json!(false)));
    assert_eq!((&server["command"], &server["revision"]), (&json!("tac"), &json!(3)));
}

#[actix_rt::test]
async fn an_edit_from_what_is_no_longer_there_is_refused() {
    let app = App::start().await;
    app.server("n", "cat", &[]).await;
    let edit = async |tag: &str| {
        app.operator().header("if-match", tag).patch("/api/v1/servers/n", json!({"command": "tac"})).await
    };
    assert_eq!(edit("\"1\"").await.status, 200);
    for tag in ["\"1\"", "\"7\"", "W/\"2\"", "\"made-up\"", "2"] {
        let answer = edit(tag).await;
        assert_eq!((answer.status, &answer.json["code"]), (412, &json!("stale")), "{tag}");
    }
    assert_eq!(edit("*").await.status, 200);
    assert_eq!(edit("\"3\"").await.status, 200);
}

#[actix_rt::test]
async fn of_two_edits_from_one_revision_one_is_lost_knowingly() {
    let app = App::start().await;
    app.server("n", "cat", &[]).await;
    let operator = app.operator().header("if-match", "\"1\"");
    let edit = |command: &str| operator.patch("/api/v1/servers/n", json!({"command": command}));
    let (one, other) = futures_util::future::join(edit("tac"), edit("wc")).await;
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[actix_rt::test]
async fn name_and_mode_stay_as_they_are() {
    let app = App::start().await;
    app.server("n", "cat", &[]).await;
    for (field, value) in [("name", "m"), ("mode", "http")] {
        let answer = app.operator().patch("/api/v1/servers/n", json!({ field: value })).await;
        assert_eq!((answer.status, &answer.json["code"]), (409, &json!("immutable")), "{answer:?}");
        assert_eq!(answer.json["errors"][0]["pointer"], format!("/{field}"));
    }
    let same = app.operator().patch("/api/v1/servers/n", json!({"name": "n", "mode": "stdio"})).await;
    assert_eq!(same.status, 200, "{same:?}");
}

#[actix_rt::test]
async fn an_edit_that_makes_no_sense_changes_nothing() {
    let app = App::start().await;
    app.server("n", "cat", &[]).await;
    let before = app.operator().get("/api/v1/servers/n").await.text;
    for (patch, pointer) in [
        (json!({"command": null}), "/command"),
        (json!({"command": ""}), "/command"),
        (json!({"cwd": "relative"}), "/cwd"),
        (json!({"env": {"LD_PRELOAD": "x"}}), "/env/LD_PRELOAD"),
        (json!({"base_url": "https://example.com"}), "/base_url"),
        (json!({"enabled": false, "comand": "x"}), "/comand"),
    ] {
        let answer = app.operator().patch("/api/v1/servers/n", patch.clone()).await;
        assert_eq!(
            (answer.status, &answer.json["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{patch}: {answer:?}"
        );
    }
    assert_eq!(app.operator().get("/api/v1/servers/n").await.text, before);
}

#[actix_rt::test]
async fn a_merge_patch_may_say_that_it_is_one() {
    let app = App::start().await;
    app.server("n", "cat", &[]).await;
    let client = app.operator().header("content-type", "application/merge-patch+json");
    let answer = client.send("PATCH", "/api/v1/servers/n", r#"{"shared":true}"#.into()).await;
    assert_eq!((answer.status, &answer.json["shared"]), (200, &json!(true)));
    assert_eq!(client.send("POST", "/api/v1/servers", r#"{"name":"m","command":"cat"}"#.into()).await.status, 415);
}

#[actix_rt::test]
async fn a_server_that_is_turned_off_stays_listed_and_says_so() {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let off = app.operator().patch("/api/v1/servers/n", json!({"enabled": false})).await;
    assert_eq!(
        (&off.json["connection"]["status"], &off.json["connection"]["action"]),
        (&json!("disabled"), &json!("enable"))
    );
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let agent = app.agent("ann").await;
    let refused = agent.post("/mcp/n", message).await;
    assert_eq!((refused.status, &refused.json["code"]), (404, &json!("server_disabled")), "{refused:?}");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"].as_array().unwrap().len(), 1);
    let on = app.operator().patch("/api/v1/servers/n", json!({"enabled": true})).await;
    assert_eq!(on.json["connection"]["status"], "unknown", "{on:?}");
}
