//! Whether the gateway is up, and whether it can serve.

use serde_json::json;

use crate::support::app::App;

#[actix_rt::test]
async fn the_process_says_that_it_is_up() {
    let app = App::start().await;
    let answer = app.anonymous().get("/healthz").await;
    assert_eq!((answer.status, answer.json), (200, json!({"status": "ok"})));
}

#[actix_rt::test]
async fn a_gateway_that_can_serve_lists_what_it_made_sure_of() {
    let app = App::start().await;
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("ready")), "{answer:?}");
    let checks = answer.json["checks"].as_array().expect("checks");
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["store", "migrations", "key", "rules", "journal", "audit", "calls"]);
    assert!(checks.iter().all(|check| check["ok"] == true), "{answer:?}");
}

#[actix_rt::test]
async fn a_server_that_fails_does_not_make_the_gateway_unready() {
    let app = App::start().await;
    app.server("broken", "/nowhere/to/be/found", &[]).await;
    let tested = app.operator().post("/api/v1/servers/broken/test", json!({})).await;
    assert_eq!((tested.status, &tested.json["ok"]), (200, &json!(false)), "{tested:?}");
    assert_eq!(app.anonymous().get("/readyz").await.status, 200);
}
