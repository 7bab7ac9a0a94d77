//! `/api/v1/invocations`

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Session;

async fn recorded() -> App {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    app.rule(json!({"action": "deny", "tools": ["grow"]})).await;
    app.allow_all().await;
    for agent in ["ann", "bob"] {
        let session = Session::open(&app.agent(agent).await, "n", "2025-11-25", json!({})).await;
        session.call("echo", json!({"text": format!("from {agent}")})).await;
        session.call("grow", json!({})).await;
    }
    app
}

async fn list(app: &App, query: &str) -> Vec<Value> {
    let answer = app.operator().get(&format!("/api/v1/invocations{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    answer.json["items"].as_array().expect("items").clone()
}

#[actix_rt::test]
async fn a_call_is_recorded_from_its_arrival_to_its_end() {
    let app = recorded().await;
    let row = list(&app, "?agent=ann&tool=echo").await.remove(0);
    assert_eq!(
        (&row["state"], &row["decision"]["action"], &row["decision"]["by"]),
        (&json!("completed"), &json!("allow"), &json!("rule"))
    );
    assert_eq!(
        (&row["method"], &row["server"], &row["client"]["name"]),
        (&json!("tools/call"), &json!("n"), &json!("it"))
    );
    assert_eq!(row["arguments"], json!({"text": "from ann"}));
    assert_eq!(row["outcome"]["result"]["content"][0]["text"], "from ann");
    assert!(row["upstream_ms"].as_f64().is_some() && row["overhead_ms"].as_f64().is_some(), "{row}");
    let events: Vec<_> =
        row["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"received"), Some(&"completed")), "{row}");
    let times: Vec<_> = row["events"].as_array().unwrap().iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{row}");
    let path = format!("/api/v1/invocations/{}", row["id"].as_str().unwrap());
    assert_eq!(app.operator().get(&path).await.json, row);
    assert_eq!(app.operator().get("/api/v1/invocations/none").await.status, 404);
}

#[actix_rt::test]
async fn calls_are_found_by_who_what_when_and_how_it_went() {
    let app = recorded().await;
    let all = list(&app, "").await;
    assert_eq!(all.len(), 4);
    let ids: Vec<_> = all.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first: {ids:?}");
    for (query, count) in [
        ("?agent=bob", 2),
        ("?agent=nobody", 0),
        ("?server=n&decision=deny", 2),
        ("?state=completed", 2),
        ("?state=denied&agent=ann", 1),
        ("?q=FROM%20ann", 1),
        ("?q=gro", 2),
        ("?since=2100-01-01T00:00:00Z", 0),
        ("?until=2100-01-01T00:00:00Z", 4),
        ("?until=2000-01-01T00:00:00%2B01:00", 0),
        ("?limit=3", 3),
    ] {
        assert_eq!(list(&app, query).await.len(), count, "{query}");
    }
    for query in ["?since=yesterday", "?agent=a&agent=b", "?stat=denied"] {
        assert_eq!(app.operator().get(&format!("/api/v1/invocations{query}")).await.status, 400, "{query}");
    }
}

#[actix_rt::test]
async fn arguments_leave_as_the_text_that_came() {
    let app = App::start().await;
    app.allow_all().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let arguments = r#"{"z":1.0,"a":18446744073709551617,"text":"\u00e9","n":9007199254740993}"#;
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
    );
    let client = session.client.clone().header("content-type", "application/json");
    assert_eq!(client.send("POST", &session.path, message).await.status, 200);
    let text = app.operator().get("/api/v1/invocations").await.text;
    assert!(text.contains(arguments), "{text}");
    let exported = app.operator().get("/api/v1/invocations/export").await.text;
    assert!(exported.contains(arguments), "{exported}");
}

#[actix_rt::test]
async fn the_record_is_exported_line_by_line_and_as_a_table() {
    let app = recorded().await;
    let lines = app.operator().get("/api/v1/invocations/export?format=jsonl").await;
    assert_eq!((lines.status, lines.header("content-type")), (200, Some("application/x-ndjson")));
    assert!(lines.header("content-disposition").is_some_and(|kind| kind.contains("invocations.jsonl")));
    let rows: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    assert_eq!(rows, list(&app, "").await);
    let table = app.operator().get("/api/v1/invocations/export?format=csv&agent=ann").await;
    assert!(table.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")));
    assert_eq!(table.text.matches("\r\n").count(), 3, "a head and two calls: {}", table.text);
    assert!(table.text.starts_with("\"id\",\"received_at\",\"agent\""), "{}", table.text);
    assert_eq!(app.operator().get("/api/v1/invocations/export?format=xml").await.status, 400);
}
