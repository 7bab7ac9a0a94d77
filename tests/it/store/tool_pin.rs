//! What tools are held to be.

use atryum::mcp::definition::{Listed, listed};
use atryum::store::{Store, StoreError, audit, server, tool_pin};
use serde_json::{Value, json};

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    what_is_seen_first_is_pinned_as_it_is,
    a_tool_that_comes_later_is_pinned_as_one_that_was_added,
    a_change_waits_for_a_review_and_is_told_once,
    a_change_that_is_taken_back_is_over_but_not_for_ever,
    a_review_is_of_what_was_shown,
    of_many_who_look_at_once_the_first_pins,
    a_server_that_is_deleted_takes_its_pins_along,
    a_server_has_so_many_pins,
    what_is_set_is_told,
);

async fn registered(database: &Database) -> (Store, server::Row) {
    let store = database.open().await;
    let server = server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap();
    (store, server)
}

fn tools(described: &[(&str, &str)]) -> Vec<Listed> {
    let texts: Vec<String> =
        described.iter().map(|(name, said)| json!({ "name": name, "description": said }).to_string()).collect();
    listed(texts.iter().map(String::as_str))
}

async fn told(store: &Store, kind: &str) -> Vec<Value> {
    let events = audit::events_after(store, 1, 0, 10_000).await.unwrap();
    let of_kind = events.iter().filter(|event| event.kind == kind);
    of_kind.map(|event| serde_json::from_str(&event.data).unwrap()).collect()
}

async fn what_is_seen_first_is_pinned_as_it_is(database: Database) {
    let (store, server) = registered(&database).await;
    let seen = tools(&[("add", "adds"), ("sub", "subtracts")]);
    assert!(tool_pin::note(&store, &server.id, &seen, true).await.unwrap());
    assert!(!tool_pin::note(&store, &server.id, &seen, true).await.unwrap(), "it is no news");
    let pins = tool_pin::list(&store, &server.id).await.unwrap();
    assert_eq!(pins.iter().map(|pin| pin.tool.as_str()).collect::<Vec<_>>(), ["add", "sub"]);
    assert_eq!(pins[0].digest, *seen[0].definition.digest);
    assert_eq!(pins[0].definition, r#"{"description":"adds","name":"add"}"#);
    assert_eq!((pins[0].is_added, pins[0].reviewed_at, &pins[0].changed_digest), (false, None, &None));
    let told = told(&store, "tools.pinned").await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["count"], &told[0]["tools"][1]["tool"]), (&json!(2), &json!("sub")));
    store.close().await.unwrap();
    let again = database.open().await;
    assert_eq!(tool_pin::list(&again, &server.id).await.unwrap(), pins, "a restart keeps them");
}

async fn a_tool_that_comes_later_is_pinned_as_one_that_was_added(database: Database) {
    let (store, server) = registered(&database).await;
    tool_pin::note(&store, &server.id, &tools(&[("add", "adds")]), true).await.unwrap();
    tool_pin::note(&store, &server.id, &tools(&[("sub", "subtracts")]), true).await.unwrap();
    let pins = tool_pin::load(&store).await.unwrap().pins;
    let added: Vec<_> = pins.iter().map(|pin| (pin.tool.as_str(), pin.is_added)).collect();
    assert_eq!(added, [("add", false), ("sub", true)], "and a tool that is gone keeps its pin");
}

async fn a_change_waits_for_a_review_and_is_told_once(database: Database) {
    let (store, server) = registered(&database).await;
    let (first, other) = (tools(&[("add", "adds")]), tools(&[("add", "deletes")]));
    tool_pin::note(&store, &server.id, &first, true).await.unwrap();
    assert!(tool_pin::note(&store, &server.id, &other, true).await.unwrap());
    assert!(!tool_pin::note(&store, &server.id, &other, true).await.unwrap());
    let pin = tool_pin::find(&store, &server.id, "add").await.unwrap().unwrap();
    assert_eq!(pin.digest, *first[0].definition.digest);
    assert_eq!(pin.changed_digest.as_deref(), Some(&*other[0].definition.digest));
    assert_eq!(pin.changed_definition.as_deref(), Some(r#"{"description":"deletes","name":"add"}"#));
    let told = told(&store, "tools.changed").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["tools"][0], json!({ "tool": "add", "from": pin.digest, "to": pin.changed_digest }));
}

async fn a_change_that_is_taken_back_is_over_but_not_for_ever(database: Database) {
    let (store, server) = registered(&database).await;
    let (first, other) = (tools(&[("add", "adds")]), tools(&[("add", "deletes")]));
    tool_pin::note(&store, &server.id, &first, true).await.unwrap();
    for time in 0..=tool_pin::RETURNS_MAX {
        tool_pin::note(&store, &server.id, &other, true).await.unwrap();
        assert!(!tool_pin::note(&store, &server.id, &first, false).await.unwrap(), "a look takes nothing back");
        let is_over = tool_pin::note(&store, &server.id, &first, true).await.unwrap();
        assert_eq!(is_over, time < tool_pin::RETURNS_MAX, "{time}");
    }
    let pin = tool_pin::find(&store, &server.id, "add").await.unwrap().unwrap();
    assert!(pin.changed_digest.is_some(), "whoever changes and takes back again and again is looked at");
    assert_eq!(told(&store, "tools.restored").await.len() as i64, tool_pin::RETURNS_MAX);
    // Whoever looked may also say that the old one is right.
    let kept = tool_pin::review(&store, "calc", "add", &first[0].definition.digest, "ada").await.unwrap();
    assert_eq!((kept.changed_digest, kept.returns, kept.digest), (None, 0, first[0].definition.digest.to_string()));
}

async fn a_review_is_of_what_was_shown(database: Database) {
    let (store, server) = registered(&database).await;
    let (first, second, third) =
        (tools(&[("add", "adds")]), tools(&[("add", "deletes")]), tools(&[("add", "deletes all")]));
    tool_pin::note(&store, &server.id, &first, true).await.unwrap();
    tool_pin::note(&store, &server.id, &second, true).await.unwrap();
    let shown = second[0].definition.digest.clone();
    tool_pin::note(&store, &server.id, &third, true).await.unwrap();
    let error = tool_pin::review(&store, "calc", "add", &shown, "ada").await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    let digest = third[0].definition.digest.clone();
    let pin = tool_pin::review(&store, "calc", "add", &digest, "ada").await.unwrap();
    assert_eq!(pin.digest, *digest);
    assert_eq!(pin.definition, r#"{"description":"deletes all","name":"add"}"#);
    assert_eq!((pin.changed_digest.as_deref(), pin.reviewed_by.as_deref()), (None, Some("ada")));
    assert!(!tool_pin::note(&store, &server.id, &third, true).await.unwrap());
    let told = told(&store, "tool.reviewed").await;
    assert_eq!((told.len(), &told[0]["to"]), (1, &json!(*digest)));
    for (server, tool) in [("calc", "none"), ("none", "add")] {
        let error = tool_pin::review(&store, server, tool, &digest, "ada").await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
}

async fn of_many_who_look_at_once_the_first_pins(database: Database) {
    let (store, server) = registered(&database).await;
    let seen: Vec<_> = (0..20).map(|n| tools(&[("add", &format!("said {n}"))])).collect();
    let noted = seen.iter().map(|tools| tool_pin::note(&store, &server.id, tools, true));
    assert!(futures_util::future::join_all(noted).await.into_iter().all(|noted| noted.is_ok()));
    let pins = tool_pin::list(&store, &server.id).await.unwrap();
    assert_eq!(pins.len(), 1);
    assert!(pins[0].changed_digest.as_ref().is_some_and(|changed| *changed != pins[0].digest));
    assert_eq!(told(&store, "tools.pinned").await.len(), 1);
    assert_eq!(told(&store, "tools.changed").await.len(), 19);
}

async fn a_server_that_is_deleted_takes_its_pins_along(database: Database) {
    let (store, server) = registered(&database).await;
    let seen = tools(&[("add", "adds")]);
    tool_pin::note(&store, &server.id, &seen, true).await.unwrap();
    let edited = server::update(&store, "calc", None, |row: &mut server::Row, _| {
        row.command = Some("/bin/other".to_owned());
        Ok::<_, StoreError>(server::Changes { secrets: Vec::new(), forgets_login: false })
    });
    edited.await.unwrap();
    assert_eq!(tool_pin::list(&store, &server.id).await.unwrap().len(), 1, "an edit leaves them");
    server::delete(&store, "calc").await.unwrap();
    assert_eq!(tool_pin::load(&store).await.unwrap().pins, []);
    assert!(!tool_pin::note(&store, &server.id, &seen, true).await.unwrap(), "nothing is noted of what is gone");
}

async fn a_server_has_so_many_pins(database: Database) {
    let (store, server) = registered(&database).await;
    let names: Vec<String> = (0..tool_pin::PINS_MAX + 10).map(|n| format!("tool_{n}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "one of many")).collect();
    tool_pin::note(&store, &server.id, &tools(&all), true).await.unwrap();
    assert_eq!(tool_pin::list(&store, &server.id).await.unwrap().len(), tool_pin::PINS_MAX);
    let told = told(&store, "tools.pinned").await;
    assert_eq!((told.len(), &told[0]["count"]), (1, &json!(tool_pin::PINS_MAX)));
    assert_eq!(told[0]["tools"].as_array().unwrap().len(), 100, "an event does not grow with the server");
}

async fn what_is_set_is_told(database: Database) {
    let (store, _) = registered(&database).await;
    let words = tool_pin::Words { on_changed: Some("deny".into()), on_added: None };
    tool_pin::put_words(&store, &words).await.unwrap();
    let snapshot = tool_pin::load(&store).await.unwrap();
    assert_eq!((snapshot.on_changed.as_deref(), snapshot.on_added), (Some("deny"), None));
    let told = told(&store, "settings.updated").await;
    assert_eq!(told[0]["changed"], json!({ "definition_changed": { "from": null, "to": "deny" } }));
}
