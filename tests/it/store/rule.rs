//! The rules and their order.

use atryum::store::{Page, Store, StoreError, audit, rule, server};

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    rules_are_added_at_the_end_or_before_another,
    every_edit_gives_the_rule_set_its_next_revision,
    a_stale_revision_is_refused,
    removing_a_rule_closes_the_gap,
    an_order_that_is_not_all_the_rules_is_a_conflict,
    an_order_is_taken_over,
    hits_are_added_and_are_no_edit,
    with_a_server_goes_what_was_allowed_of_it_alone,
);

async fn order(store: &Store) -> Vec<(i32, String)> {
    rule::list(store).await.unwrap().into_iter().map(|row| (row.position, row.description)).collect()
}

async fn add(store: &Store, descriptions: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for description in descriptions {
        ids.push(rule::insert(store, sample::rule(description), None).await.unwrap().id);
    }
    ids
}

fn places(descriptions: &[&str]) -> Vec<(i32, String)> {
    (1..).zip(descriptions).map(|(position, description)| (position, (*description).to_owned())).collect()
}

async fn rules_are_added_at_the_end_or_before_another(database: Database) {
    let store = database.open().await;
    let ids = add(&store, &["a", "b"]).await;
    let row = rule::insert(&store, sample::rule("between"), Some(&ids[1])).await.unwrap();
    assert_eq!(row.position, 2);
    assert_eq!(rule::find(&store, &row.id).await.unwrap(), Some(row));
    assert_eq!(order(&store).await, places(&["a", "between", "b"]));
    let error = rule::insert(&store, sample::rule("nowhere"), Some("no id")).await.unwrap_err();
    assert_eq!(error.kind(), "not_found");
}

async fn every_edit_gives_the_rule_set_its_next_revision(database: Database) {
    let store = database.open().await;
    let empty = rule::load_rule_set(&store).await.unwrap();
    assert_eq!((empty.revision, empty.default_action.as_str(), empty.rules.len()), (1, "ask", 0));
    let ids = add(&store, &["a", "b"]).await;
    rule::update(&store, &ids[0], None, |row| {
        row.action = "deny".to_owned();
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    rule::reorder(&store, &[ids[1].clone(), ids[0].clone()]).await.unwrap();
    rule::delete(&store, &ids[1]).await.unwrap();
    rule::put_default_action(&store, "deny").await.unwrap();
    let set = rule::load_rule_set(&store).await.unwrap();
    assert_eq!((set.revision, set.default_action.as_str()), (7, "deny"));
    assert_eq!(set.rules, rule::list(&store).await.unwrap());
    assert_eq!(rule::find_default_action(&store).await.unwrap(), "deny");
}

async fn a_stale_revision_is_refused(database: Database) {
    let store = database.open().await;
    let ids = add(&store, &["a"]).await;
    let edit = |expected| {
        rule::update(&store, &ids[0], Some(expected), |row| {
            row.enabled = !row.enabled;
            Ok::<_, StoreError>(())
        })
    };
    assert_eq!(edit(1).await.unwrap().revision, 2);
    let revision = rule::load_rule_set(&store).await.unwrap().revision;
    assert!(matches!(edit(1).await, Err(StoreError::Stale { expected: 1, found: 2 })));
    assert_eq!(rule::load_rule_set(&store).await.unwrap().revision, revision);
    assert!(!rule::find(&store, &ids[0]).await.unwrap().unwrap().enabled);
}

async fn removing_a_rule_closes_the_gap(database: Database) {
    let store = database.open().await;
    let ids = add(&store, &["a", "b", "c"]).await;
    rule::delete(&store, &ids[0]).await.unwrap();
    assert_eq!(order(&store).await, places(&["b", "c"]));
    assert_eq!(rule::delete(&store, &ids[0]).await.unwrap_err().kind(), "not_found");
}

async fn an_order_that_is_not_all_the_rules_is_a_conflict(database: Database) {
    let store = database.open().await;
    let [a, b, c] = add(&store, &["a", "b", "c"]).await.try_into().unwrap();
    let before = rule::load_rule_set(&store).await.unwrap();
    for ids in [
        vec![c.clone(), a.clone()],
        vec![c.clone(), b.clone(), a.clone(), a.clone()],
        vec![c.clone(), b.clone(), "no id".to_owned()],
    ] {
        assert_eq!(rule::reorder(&store, &ids).await.unwrap_err().kind(), "conflict", "{ids:?}");
    }
    assert_eq!(rule::load_rule_set(&store).await.unwrap(), before);
}

async fn an_order_is_taken_over(database: Database) {
    let store = database.open().await;
    let [a, b, c] = add(&store, &["a", "b", "c"]).await.try_into().unwrap();
    let rows = rule::reorder(&store, &[c, a, b]).await.unwrap();
    assert_eq!(order(&store).await, places(&["c", "a", "b"]));
    assert_eq!(rows, rule::list(&store).await.unwrap());
}

async fn hits_are_added_and_are_no_edit(database: Database) {
    let store = database.open().await;
    let ids = add(&store, &["one", "two"]).await;
    let before = rule::load_rule_set(&store).await.unwrap().revision;
    let hits = |count, last_at| [rule::Hits { id: ids[0].clone(), count, last_at }];
    rule::add_hits(&store, &hits(2, 10)).await.unwrap();
    rule::add_hits(&store, &hits(1, 20)).await.unwrap();
    let change = |row: &mut rule::Row| -> Result<(), StoreError> {
        (row.hits, row.last_hit_at) = (0, None);
        Ok(())
    };
    let edited = rule::update(&store, &ids[0], None, change).await.unwrap();
    assert_eq!((edited.hits, edited.last_hit_at), (3, Some(20)), "an edit leaves them as they are");
    let snapshot = rule::load_rule_set(&store).await.unwrap();
    assert_eq!(snapshot.revision, before + 1, "only the edit counts");
    assert_eq!((snapshot.rules[1].hits, snapshot.rules[1].last_hit_at), (0, None));
}

/// Whatever is registered under the name later is another server.
async fn with_a_server_goes_what_was_allowed_of_it_alone(database: Database) {
    let store = database.open().await;
    server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap();
    for (action, servers) in [
        ("allow", r#"["calc"]"#),
        ("allow", r#"["calc","calc"]"#),
        ("allow", r#"["calc","other"]"#),
        ("allow", r#"["cal*"]"#),
        ("deny", r#"["calc"]"#),
        ("ask", r#"["calc"]"#),
    ] {
        let new = rule::NewRule { action: action.into(), servers: servers.into(), ..sample::rule(action) };
        rule::insert(&store, new, None).await.unwrap();
    }
    let before = rule::load_rule_set(&store).await.unwrap();
    server::delete(&store, "calc").await.unwrap();
    let after = rule::load_rule_set(&store).await.unwrap();
    let enabled: Vec<_> = after.rules.iter().map(|rule| rule.enabled).collect();
    assert_eq!(enabled, [false, false, true, true, true, true], "what denies or asks does so of the next one, too");
    assert_eq!((after.revision, after.rules[0].revision), (before.revision + 1, before.rules[0].revision + 1));
    let wanted = audit::Filter { kind: Some("rule.updated".into()), ..audit::Filter::default() };
    let told = audit::list(&store, &wanted, &Page::default()).await.unwrap().items;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|event| event.data.contains(r#""deleted_server":"calc""#)), "{told:?}");
    server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap();
    server::delete(&store, "calc").await.unwrap();
    assert_eq!(rule::load_rule_set(&store).await.unwrap(), after, "there is nothing more to turn off");
}
