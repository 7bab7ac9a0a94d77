//! Ways in which a call might say one thing to the rules and another to the server.

use serde_json::json;

use crate::support::app::App;
use crate::support::http::{Client, Session};

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
