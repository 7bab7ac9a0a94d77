//! `/api/v1/channels`.

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::provider::{Provider, Said};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook(name: &str, url: &str) -> Value {
    json!({"name": name, "kind": "webhook", "url": url, "secret": SECRET})
}

#[actix_rt::test]
async fn a_channel_is_added_read_edited_and_deleted_and_its_secrets_never_come_out() {
    let app = App::start().await;
    let url = "https://hooks.example/T0/canary-in-a-path?x=canary-in-a-query";
    let created = app.operator().post("/api/v1/channels", webhook("ops", url)).await;
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/channels/ops")), "{created:?}");
    let body = &created.json;
    assert_eq!(body["url_origin"], "https://hooks.example");
    assert_eq!(
        (&body["url_set"], &body["secret_set"], &body["token_set"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(
        (&body["status"], &body["agents"], &body["delay_seconds"]),
        (&json!("untried"), &json!(["*"]), &json!(0))
    );
    assert_eq!((&body["command"], &body["with_arguments"]), (&json!([]), &json!(true)));
    let read = app.operator().get("/api/v1/channels/ops").await;
    assert_eq!((&read.json, read.header("etag")), (body, Some("\"1\"")));
    let client = app.operator().header("if-match", "\"1\"");
    let patch = json!({"servers": ["git*"], "delay_seconds": 60, "with_arguments": false});
    let edited = client.patch("/api/v1/channels/ops", patch.clone()).await;
    assert_eq!((edited.status, &edited.json["servers"], &edited.json["revision"]), (200, &json!(["git*"]), &json!(2)));
    assert_eq!((&edited.json["url_set"], &edited.json["secret_set"]), (&json!(true), &json!(true)), "they are kept");
    let stale = client.patch("/api/v1/channels/ops", patch).await;
    assert_eq!((stale.status, &stale.json["code"]), (412, &json!("stale")), "{stale:?}");
    let listed = app.operator().get("/api/v1/channels").await;
    assert_eq!(listed.json["items"], json!([edited.json]));
    assert_eq!(app.operator().delete("/api/v1/channels/ops").await.status, 204);
    for path in ["/api/v1/channels/ops", "/api/v1/channels/ops/deliveries"] {
        assert_eq!(app.operator().get(path).await.status, 404, "{path}");
    }
    let audit = app.operator().get("/api/v1/audit?limit=200").await;
    for kind in ["channel.created", "channel.updated", "channel.deleted"] {
        let event = audit.json["items"].as_array().unwrap().iter().find(|event| event["kind"] == kind).cloned();
        assert_eq!(event.unwrap_or_default()["subject"], "channel:ops", "{kind} in {audit:?}");
    }
    let all = format!("{created:?}{read:?}{edited:?}{listed:?}{audit:?}{}", app.log());
    assert!(!all.contains("canary") && !all.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{all}");
}

#[actix_rt::test]
async fn what_can_not_be_used_is_refused_whole() {
    let app = App::start().await;
    app.operator().post("/api/v1/channels", webhook("ops", "https://hooks.example/x")).await;
    let refused = async |channel: Value| {
        let answer = app.operator().post("/api/v1/channels", channel.clone()).await;
        let errors = answer.json["errors"].as_array().cloned().unwrap_or_default();
        let pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
        (answer.status, pointers.join(" "))
    };
    let taken = app.operator().post("/api/v1/channels", webhook("ops", "https://hooks.example/x")).await;
    assert_eq!((taken.status, &taken.json["code"]), (409, &json!("name_taken")), "{taken:?}");
    for (channel, pointers) in [
        (json!({"name": "a", "kind": "pigeon"}), "/kind"),
        (json!({"name": "A b", "kind": "slack", "delay_seconds": -1}), "/delay_seconds /url /name"),
        (json!({"name": "a", "kind": "slack", "url": "http://169.254.169.254/"}), "/url"),
        (json!({"name": "a", "kind": "slack", "url": format!("{}/x", app.url)}), "/url"),
        (json!({"name": "a", "kind": "webhook", "url": "http://127.0.0.1:9/"}), "/secret"),
        (json!({"name": "a", "kind": "ntfy", "url": "https://ntfy.sh/"}), "/url"),
        (json!({"name": "a", "kind": "command", "command": []}), "/command"),
        (json!({"name": "a", "kind": "command", "command": ["x"], "url": "https://x/"}), "/url"),
        (json!({"name": "a", "kind": "slack", "url": "https://x/", "agents": []}), "/agents"),
        (json!({"name": "a", "kind": "slack", "uri": "https://x/"}), "/uri"),
    ] {
        assert_eq!(refused(channel.clone()).await, (422, pointers.to_owned()), "{channel}");
    }
    for (patch, status, pointer) in [
        (json!({"kind": "slack"}), 409, "/kind"),
        (json!({"name": "other"}), 409, "/name"),
        (json!({"url": null}), 422, "/url"),
        (json!({"secret": null}), 422, "/secret"),
        (json!({"servers": ["{a"]}), 422, "/servers"),
        (json!({"token": "tk"}), 422, "/token"),
    ] {
        let answer = app.operator().patch("/api/v1/channels/ops", patch.clone()).await;
        assert_eq!(
            (answer.status, &answer.json["errors"][0]["pointer"]),
            (status, &json!(pointer)),
            "{patch}: {answer:?}"
        );
    }
    assert_eq!(app.operator().get("/api/v1/channels/ops").await.json["revision"], 1);
    let nobody = app.anonymous().get("/api/v1/channels").await;
    assert_eq!(nobody.status, 401);
}

#[actix_rt::test]
async fn a_token_does_not_follow_its_channel_to_another_address() {
    let app = App::start().await;
    let channel = json!({"name": "phone", "kind": "ntfy", "url": "https://ntfy.example/a", "token": "tk_1"});
    assert_eq!(app.operator().post("/api/v1/channels", channel).await.json["token_set"], true);
    let patch = async |patch: Value| app.operator().patch("/api/v1/channels/phone", patch).await.json;
    assert_eq!(patch(json!({"url": "https://ntfy.example/b"})).await["token_set"], true, "the same server");
    let moved = patch(json!({"url": "https://other.example/b"})).await;
    assert_eq!((&moved["token_set"], &moved["url_origin"]), (&json!(false), &json!("https://other.example")));
    let moved = patch(json!({"url": "https://ntfy.example/b", "token": "tk_2"})).await;
    assert_eq!(moved["token_set"], true);
    assert_eq!(patch(json!({"token": null})).await["token_set"], false);
}

#[actix_rt::test]
async fn a_test_says_what_came_back_and_is_seen_in_the_status() {
    let app = App::start().await;
    let receiver = Provider::start();
    let url = format!("{}/hook", receiver.origin);
    app.operator().post("/api/v1/channels", webhook("ops", &url)).await;
    let test = async || app.operator().post("/api/v1/channels/ops/test", json!({})).await;
    let status = async || app.operator().get("/api/v1/channels/ops").await.json["status"].clone();
    for (said, reason) in [
        (Said::json(403, &json!({})), "it answered with 403"),
        (Said::json(404, &json!({})), "there is nothing at this address"),
        (Said::json(500, &json!({})), "it answered with 500"),
        (Said::Raw(b"nonsense\r\n\r\n".to_vec()), "the connection broke"),
        (Said::Raw(Vec::new()), "the connection broke"),
    ] {
        receiver.says("POST /hook", said);
        let tested = test().await;
        assert_eq!((tested.status, &tested.json["ok"]), (200, &json!(false)), "{tested:?}");
        assert!(tested.json["reason"].as_str().unwrap().contains(reason), "{reason} in {tested:?}");
        assert_eq!(status().await, "failing");
    }
    // however odd the rest of the answer is
    for said in [
        Said::json(204, &json!({})),
        Said::Whole(200, vec![("content-encoding", "gzip".into())], "x".into()),
        Said::Raw(b"HTTP/1.1 200 OK\r\n\r\nok".to_vec()),
        Said::Whole(202, Vec::new(), "x".repeat(1_000_000)),
    ] {
        receiver.says("POST /hook", said);
        let tested = test().await;
        assert_eq!((&tested.json["ok"], &tested.json["reason"]), (&json!(true), &Value::Null), "{tested:?}");
        assert_eq!(status().await, "working");
    }
    let told = app.operator().get("/api/v1/audit?kind=channel.tested").await.json;
    assert_eq!(told["items"][0]["actor"], "operator:admin-token", "{told}");
    let last = receiver.last().0;
    assert_eq!(last.json["type"], "channel.test");
    assert_eq!(last.json["data"], json!({"channel": "ops", "url": format!("{}/ui/", app.url)}));
    assert_eq!(app.operator().get("/api/v1/channels/ops/deliveries").await.json["items"], json!([]));
    assert_eq!(app.operator().post("/api/v1/channels/none/test", json!({})).await.status, 404);
}

#[actix_rt::test]
async fn a_channel_whose_address_was_exchanged_in_the_database_tells_nothing() {
    let app = Settings::default().start().await;
    let receiver = Provider::start();
    receiver.says("POST /hook", Said::json(200, &json!({})));
    app.operator().post("/api/v1/channels", webhook("ops", "https://hooks.example/x")).await;
    app.operator().post("/api/v1/channels", webhook("thief", &format!("{}/hook", receiver.origin))).await;
    let database = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    let moved = "UPDATE channel SET url = (SELECT url FROM channel WHERE name = 'thief') WHERE name = 'ops'";
    crate::support::database::run_sql(&database, moved).await;
    let tested = app.operator().post("/api/v1/channels/ops/test", json!({})).await;
    assert_eq!(tested.json["ok"], false, "{tested:?}");
    assert!(tested.json["reason"].as_str().unwrap().contains("give them anew"), "{tested:?}");
    assert_eq!(receiver.asked(), Vec::<String>::new());
}
