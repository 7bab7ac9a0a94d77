//! What is told of rules that match nothing.

use serde_json::{Value, json};

use crate::support::app::App;

fn codes(rule: &Value) -> Vec<&str> {
    rule["warnings"].as_array().expect("warnings").iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn a_rule_that_can_never_match_says_so_until_it_can() {
    let app = App::start().await;
    let early = app.rule(json!({"action": "allow", "servers": ["n*"]})).await.json;
    assert_eq!(codes(&early), ["no_such_server"]);
    let late = app.rule(json!({"action": "deny", "servers": ["n"], "tools": ["echo"], "agents": ["bob"]})).await.json;
    assert_eq!(codes(&late), ["no_such_server", "no_such_agent", "unreachable"]);
    let detail = late["warnings"][2]["detail"].as_str().unwrap();
    assert!(detail.contains(early["id"].as_str().unwrap()), "{detail}");
    app.nasty("n", &[]).await;
    app.agent("bob").await;
    let list = app.operator().get("/api/v1/rules").await.json["items"].clone();
    assert_eq!((codes(&list[0]), codes(&list[1])), (vec![], vec!["unreachable"]));
    let ids = json!({"ids": [late["id"], early["id"]]});
    let list = app.operator().put("/api/v1/rules/order", ids).await.json["items"].clone();
    assert_eq!((codes(&list[0]), codes(&list[1])), (vec![], vec![]));
    app.operator().patch("/api/v1/servers/n", json!({"enabled": false})).await;
    let path = format!("/api/v1/rules/{}", late["id"].as_str().unwrap());
    assert_eq!(codes(&app.operator().get(&path).await.json), ["server_disabled"]);
    let off = app.operator().patch(&path, json!({"enabled": false})).await.json;
    assert_eq!(codes(&off), Vec::<&str>::new(), "what is turned off is meant to match nothing");
}
