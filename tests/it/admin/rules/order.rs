//! The order of the rules, and the default action.

use serde_json::{Value, json};

use super::edit::decision;
use crate::support::app::App;

async fn order(app: &App) -> Vec<String> {
    let list = app.operator().get("/api/v1/rules").await.json;
    let items = list["items"].as_array().expect("items");
    let places: Vec<_> = items.iter().map(|rule| rule["position"].as_i64().unwrap()).collect();
    assert_eq!(places, (1..=i64::try_from(items.len()).unwrap()).collect::<Vec<_>>());
    items.iter().map(|rule| rule["description"].as_str().unwrap().to_owned()).collect()
}

async fn add(app: &App, description: &str, before: Option<&Value>) -> Value {
    let mut rule = json!({"action": "allow", "description": description});
    if let Some(before) = before {
        rule["before"] = before.clone();
    }
    app.rule(rule).await.json["id"].clone()
}

#[actix_rt::test]
async fn a_rule_goes_to_the_end_or_before_another() {
    let app = App::start().await;
    let one = add(&app, "one", None).await;
    let three = add(&app, "three", None).await;
    add(&app, "two", Some(&three)).await;
    add(&app, "zero", Some(&one)).await;
    assert_eq!(order(&app).await, ["zero", "one", "two", "three"]);
    let nowhere = app.operator().post("/api/v1/rules", json!({"action": "allow", "before": "none"})).await;
    assert_eq!((nowhere.status, &nowhere.json["errors"][0]["pointer"]), (422, &json!("/before")), "{nowhere:?}");
}

#[actix_rt::test]
async fn the_first_rule_that_matches_decides_and_the_order_is_an_edit() {
    let app = App::start().await;
    let deny = app.rule(json!({"action": "deny", "tools": ["add"]})).await.json["id"].clone();
    let allow = app.rule(json!({"action": "allow", "tools": ["*"]})).await.json["id"].clone();
    assert_eq!(decision(&app, "add").await, "deny");
    let put = app.operator().put("/api/v1/rules/order", json!({"ids": [allow, deny]})).await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!((&put.json["items"][0]["id"], &put.json["items"][0]["position"]), (&allow, &json!(1)));
    assert_eq!(decision(&app, "add").await, "allow");
}

#[actix_rt::test]
async fn an_order_names_every_rule_once() {
    let app = App::start().await;
    let (one, two) = (add(&app, "one", None).await, add(&app, "two", None).await);
    for ids in [json!([one]), json!([one, two, two]), json!([one, "none"]), json!([])] {
        let answer = app.operator().put("/api/v1/rules/order", json!({ "ids": ids })).await;
        assert_eq!(answer.status, 409, "{ids}: {answer:?}");
    }
    assert_eq!(order(&app).await, ["one", "two"]);
}

#[actix_rt::test]
async fn the_default_action_is_ask_until_it_is_set() {
    let app = App::start().await;
    assert_eq!(app.operator().get("/api/v1/rules/default").await.json, json!({"action": "ask"}));
    for action in ["deny", "allow", "ask"] {
        let put = app.operator().put("/api/v1/rules/default", json!({ "action": action })).await;
        assert_eq!((put.status, &put.json["action"]), (200, &json!(action)));
        assert_eq!(decision(&app, "add").await, action);
    }
    let wrong = app.operator().put("/api/v1/rules/default", json!({"action": "maybe"})).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
}

#[actix_rt::test]
async fn rules_are_listed_whole_or_page_by_page() {
    let app = App::start().await;
    for n in 0..5 {
        app.rule(json!({"action": "allow", "description": n.to_string()})).await;
    }
    let list = async |query: &str| app.operator().get(&format!("/api/v1/rules{query}")).await;
    let whole = list("").await.json;
    assert_eq!((whole["items"].as_array().unwrap().len(), &whole["next_cursor"]), (5, &json!(null)));
    let (mut paged, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&query).await.json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2, "{page}");
        paged.extend(items.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => query = format!("?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), whole["items"]);
    for refused in ["?limit=0", "?limit=201", "?cursor=nonsense", "?page=2"] {
        assert_eq!(list(refused).await.status, 400, "{refused}");
    }
}
