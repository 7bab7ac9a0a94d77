//! `DELETE /api/v1/servers/{name}`

use serde_json::json;

use crate::support::app::App;
use crate::support::http::Session;

#[actix_rt::test]
async fn a_deleted_server_is_gone_for_operators_and_agents_and_its_name_is_free() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let agent = app.agent("ann").await;
    let session = Session::open(&agent, "n", "2025-11-25", json!({})).await;
    let deleted = app.operator().delete("/api/v1/servers/n").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(app.operator().get("/api/v1/servers/n").await.status, 404);
    assert_eq!(app.operator().delete("/api/v1/servers/n").await.status, 404);
    let late = session.request("tools/call", json!({"name": "echo", "arguments": {"text": "hi"}})).await;
    assert_eq!((late.status, &late.json["code"]), (404, &json!("server_not_found")), "{late:?}");
    assert!(!app.anonymous().get("/metrics").await.text.contains("atryum_server_up{server=\"n\"}"));
    app.server_from(json!({"name": "n", "command": "cat"})).await;
    assert_eq!(app.operator().get("/api/v1/servers/n").await.json["env_names"], json!([]));
}
