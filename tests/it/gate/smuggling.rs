//! Ways around the rules: names that are none, and calls that say one thing to the rules and another to the server.

use serde_json::json;

use crate::support::app::App;
use crate::support::http::{Client, Session, modern_request};

/// All methods of all revisions that somebody could send to a server.
const METHODS: [&str; 32] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "logging/setLevel",
    "server/discover",
    "subscriptions/listen",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "tasks/update",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "notifications/message",
    "notifications/tools/list_changed",
    "notifications/resources/updated",
    "notifications/elicitation/complete",
    "notifications/subscriptions/acknowledged",
    "vendor/thing",
    "rpc.discover",
    "",
    "/",
    "*",
    "initialize ",
];

/// The methods with a letter in the other case, a sign too many, or the like.
fn mutated() -> Vec<String> {
    let mut methods: Vec<String> = METHODS.iter().map(ToString::to_string).collect();
    for method in METHODS {
        for other in [
            method.to_uppercase(),
            format!(" {method}"),
            format!("{method}\u{0}"),
            format!("{method}/"),
            format!("/{method}"),
            method.replace('/', "."),
            method.replace('/', "//"),
            method.replacen('o', "\u{43e}", 1),
            method.replacen('s', "\u{17f}", 1),
            format!("notifications/{method}"),
            format!("notifications/../{method}"),
        ] {
            methods.push(other);
        }
    }
    methods
}

/// What the server heard beyond what opens a connection.
fn heard(spy: &std::path::Path) -> Vec<String> {
    let lines = std::fs::read_to_string(spy).unwrap_or_default();
    let opening = ["\"initialize\"", "\"notifications/initialized\"", "\"server/discover\""];
    lines.lines().filter(|line| !opening.iter().any(|word| line.contains(word))).map(ToOwned::to_owned).collect()
}

#[actix_rt::test]
async fn where_everything_is_denied_a_server_hears_nothing_whatever_it_is_called() {
    let app = App::start().await;
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["*"], "methods": ["*"]})).await;
    let spy = app.dir().join("spy");
    app.nasty("n", &["both", &format!("spy={}", spy.display())]).await;
    let agent = app.agent("ann").await;
    for version in ["2025-03-26", "2025-11-25"] {
        let session = Session::open(&agent, "n", version, json!({})).await;
        for method in mutated() {
            let params = json!({"name": "echo", "uri": "x://y", "arguments": {}, "taskId": "t", "level": "debug",
                "ref": {"type": "ref/prompt", "name": "p"}});
            session.request(&method, params.clone()).await;
            session.notify(&method, params.clone()).await;
            let element = json!({"jsonrpc": "2.0", "id": 77, "method": method, "params": params});
            session.client.post("/mcp/n", json!([element, {"jsonrpc": "2.0", "method": method, "params": {}}])).await;
        }
        session.client.delete("/mcp/n").await;
    }
    for method in mutated() {
        let mut params = json!({"name": "echo", "arguments": {}, "notifications": {}});
        let Ok(_) = awc::http::header::HeaderValue::from_str(&method) else { continue };
        let (client, body) = modern_request(&agent, &method, &mut params);
        client.send("POST", "/mcp/n", body).await;
    }
    assert_eq!(heard(&spy), Vec::<String>::new());
    assert!(spy.exists(), "the server was there to hear");
    let rows = app.invocations().await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row["state"] == "denied"), "{rows:?}");
}

async fn raw(client: &Client, text: &str) -> serde_json::Value {
    client.clone().header("content-type", "application/json").send("POST", "/mcp/n", text.into()).await.reply()
}

/// Some servers read their parameters without minding case: a C# or Go one would run `grow` here.
#[actix_rt::test]
async fn a_second_name_in_another_case_is_refused_and_nothing_is_sent() {
    let app = App::start().await;
    app.rule_first(json!({"action": "allow", "agents": ["*"], "servers": ["*"], "tools": ["raw"], "methods": ["*"]}))
        .await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    for member in ["Name", "NAME", "n\\u0041me", "Argument\\u017f", "argumentſ", "\\u005fMeta"] {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"raw","{member}":"grow"}}}}"#);
        let refused = raw(&session.client, &text).await;
        assert_eq!(refused["error"]["code"], -32602, "{member}: {refused}");
    }
    assert_eq!(app.invocations().await, Vec::<serde_json::Value>::new());
    let text =
        r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"raw","vendor":1,"arguments":{"Name":2}}}"#;
    let echoed = raw(&session.client, text).await.to_string();
    assert!(echoed.contains("vendor") && echoed.contains("Name"), "what nobody reads crosses: {echoed}");
}
