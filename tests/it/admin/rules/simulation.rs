//! `POST /api/v1/rules/simulate`

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Session;

#[actix_rt::test]
async fn a_simulation_tells_which_recorded_calls_would_be_decided_otherwise() {
    let app = App::start().await;
    let allowed = app.allow_all().await.json["id"].clone();
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for text in ["a", "b", "c"] {
        session.call("echo", json!({ "text": text })).await;
    }
    let simulate = async |body: Value| app.operator().post("/api/v1/rules/simulate", body).await.json;
    let same = simulate(json!({})).await;
    assert_eq!(
        (&same["calls"], &same["different"], &same["differences"]),
        (&json!(3), &json!(0), &json!([])),
        "{same}"
    );
    let draft = json!([{"action": "deny", "when": "args.text == 'b'"}, {"action": "allow", "methods": ["*"]}]);
    let before = app.invocations().await.len();
    let other = simulate(json!({"rules": draft, "default": "deny"})).await;
    assert_eq!(
        (&other["was"]["allow"], &other["would_be"]["allow"], &other["would_be"]["deny"]),
        (&json!(3), &json!(2), &json!(1))
    );
    let difference = &other["differences"][0];
    assert_eq!(difference["was"], json!({"action": "allow", "rule_id": allowed}), "{other}");
    assert_eq!(difference["would_be"], json!({"action": "deny", "rule_id": "#1"}), "{other}");
    assert_eq!((&difference["tool"], &other["has_more"]), (&json!("echo"), &json!(false)));
    assert_eq!(app.invocations().await.len(), before, "a simulation is no call");
    assert_eq!(app.operator().get("/api/v1/rules").await.json["items"].as_array().unwrap().len(), 1);
}

#[actix_rt::test]
async fn a_simulation_looks_at_as_many_calls_as_are_wanted() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for _ in 0..3 {
        session.call("echo", json!({"text": "x"})).await;
    }
    let simulate = async |body: Value| app.operator().post("/api/v1/rules/simulate", body).await;
    let two = simulate(json!({"rules": [], "default": "deny", "limit": 2})).await.json;
    assert_eq!((&two["calls"], &two["different"], &two["has_more"]), (&json!(2), &json!(2), &json!(true)), "{two}");
    let none = simulate(json!({"since": "2999-01-01T00:00:00Z"})).await.json;
    assert_eq!((&none["calls"], &none["has_more"]), (&json!(0), &json!(false)), "{none}");
    for (body, pointer) in [
        (json!({"limit": 0}), "/limit"),
        (json!({"limit": 10_001}), "/limit"),
        (json!({"rules": [{"action": "allow", "when": "args."}]}), "/rules/0/when"),
        (json!({"rules": [{"action": "allow", "before": "x"}]}), "/rules/0/before"),
    ] {
        let refused = simulate(body.clone()).await;
        assert_eq!(
            (refused.status, &refused.json["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{body}: {refused:?}"
        );
    }
}
