//! Registered servers and their secrets.

use atryum::store::{Page, StoreError, secret, server};

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_server_comes_back_as_it_was_registered,
    a_server_in_http_mode_comes_back_as_it_was_registered_and_edited,
    a_name_is_taken_once,
    an_edit_raises_the_revision_and_changes_the_secrets_with_it,
    a_stale_revision_changes_nothing,
    an_edit_that_is_refused_changes_nothing,
    deleting_a_server_deletes_its_secrets,
    a_list_is_filtered_and_paged_by_name,
);

fn set(field: &str, sealed: &[u8]) -> secret::Change {
    secret::Change { field: field.to_owned(), sealed: Some(sealed.to_vec()) }
}

fn changes(secrets: Vec<secret::Change>) -> server::Changes {
    server::Changes { secrets, forgets_login: false }
}

async fn a_server_comes_back_as_it_was_registered(database: Database) {
    let store = database.open().await;
    let row = server::insert(&store, sample::server("calc"), vec![set("env:KEY", b"1")]).await.unwrap();
    assert_eq!(row.revision, 1);
    assert_eq!(server::find(&store, "calc").await.unwrap(), Some(row.clone()));
    assert_eq!(server::find(&store, "CALC").await.unwrap(), None);
    let secrets = secret::load_all(&store, &row.id).await.unwrap();
    assert_eq!(
        secrets.iter().map(|secret| (secret.field.as_str(), secret.sealed.as_slice())).collect::<Vec<_>>(),
        [("env:KEY", b"1".as_slice())]
    );
}

async fn a_server_in_http_mode_comes_back_as_it_was_registered_and_edited(database: Database) {
    let store = database.open().await;
    let new = server::NewServer {
        mode: "http".to_owned(),
        command: None,
        base_url: Some("HTTPS://Example.com/mcp?x=\u{e9}".to_owned()),
        timeout_seconds: Some(3600),
        auth_type: Some("bearer".to_owned()),
        credential_origin: Some("https://example.com".to_owned()),
        ..sample::server("git")
    };
    let row = server::insert(&store, new, vec![set("bearer_token", b"1")]).await.unwrap();
    assert_eq!(row.base_url.as_deref(), Some("HTTPS://Example.com/mcp?x=\u{e9}"));
    assert_eq!((row.timeout_seconds, row.auth_type.as_deref()), (Some(3600), Some("bearer")));
    assert_eq!(server::find(&store, "git").await.unwrap(), Some(row));
    let edited = server::update(&store, "git", None, |row, _| {
        row.base_url = Some("https://other.example".to_owned());
        row.timeout_seconds = Some(5);
        row.auth_type = Some("headers".to_owned());
        row.credential_origin = None;
        row.mode = "stdio".to_owned();
        let cleared = secret::Change { field: "bearer_token".to_owned(), sealed: None };
        Ok::<_, StoreError>(changes(vec![cleared, set("header:X-Api-Key", b"2")]))
    });
    let edited = edited.await.unwrap();
    assert_eq!((edited.mode.as_str(), edited.timeout_seconds), ("http", Some(5)));
    assert_eq!((edited.auth_type.as_deref(), &edited.credential_origin), (Some("headers"), &None));
    assert_eq!(server::find(&store, "git").await.unwrap(), Some(edited));
    let fields = secret::list_fields(&store).await.unwrap();
    assert_eq!(fields.into_iter().map(|(_, field)| field).collect::<Vec<_>>(), ["header:X-Api-Key"]);
}

async fn a_name_is_taken_once(database: Database) {
    let store = database.open().await;
    server::insert(&store, sample::server("calc"), vec![]).await.unwrap();
    let error = server::insert(&store, sample::server("calc"), vec![]).await.unwrap_err();
    assert_eq!(error.to_string(), "a server named calc exists");
    assert_eq!(error.kind(), "conflict");
}

async fn an_edit_raises_the_revision_and_changes_the_secrets_with_it(database: Database) {
    let store = database.open().await;
    let secrets = vec![set("env:A", b"a"), set("env:B", b"b")];
    server::insert(&store, sample::server("calc"), secrets).await.unwrap();
    let row = server::update(&store, "calc", Some(1), |row, kept| {
        assert_eq!((kept.fields, kept.login), (vec!["env:A".to_owned(), "env:B".to_owned()], None));
        row.enabled = false;
        row.name = "other".to_owned();
        let cleared = secret::Change { field: "env:B".to_owned(), sealed: None };
        Ok::<_, StoreError>(changes(vec![set("env:A", b"new"), cleared]))
    });
    let row = row.await.unwrap();
    assert_eq!((row.revision, row.enabled, row.name.as_str()), (2, false, "calc"));
    assert_eq!(server::find(&store, "calc").await.unwrap(), Some(row.clone()));
    let secrets = secret::load_all(&store, &row.id).await.unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].sealed, b"new");
}

async fn a_stale_revision_changes_nothing(database: Database) {
    let store = database.open().await;
    let before = server::insert(&store, sample::server("calc"), vec![]).await.unwrap();
    let change = |row: &mut server::Row, _| {
        row.enabled = false;
        Ok::<_, StoreError>(changes(vec![set("env:A", b"a")]))
    };
    let error = server::update(&store, "calc", Some(9), change).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { expected: 9, found: 1 }));
    assert_eq!(server::find(&store, "calc").await.unwrap(), Some(before.clone()));
    assert!(secret::load_all(&store, &before.id).await.unwrap().is_empty());
}

async fn an_edit_that_is_refused_changes_nothing(database: Database) {
    let store = database.open().await;
    let before = server::insert(&store, sample::server("calc"), vec![]).await.unwrap();
    let refused = server::update(&store, "calc", None, |row, _| {
        row.enabled = false;
        Err::<server::Changes, _>(StoreError::BadCursor)
    });
    assert!(refused.await.is_err());
    assert_eq!(server::find(&store, "calc").await.unwrap(), Some(before));
    // and the next edit is not kept waiting by what the refused one held
    server::update(&store, "calc", None, |_, _| Ok::<_, StoreError>(changes(vec![]))).await.unwrap();
}

async fn deleting_a_server_deletes_its_secrets(database: Database) {
    let store = database.open().await;
    let row = server::insert(&store, sample::server("calc"), vec![set("env:A", b"a")]).await.unwrap();
    assert_eq!(server::delete(&store, "calc").await.unwrap(), row);
    assert!(secret::load_all(&store, &row.id).await.unwrap().is_empty());
    assert!(secret::list_fields(&store).await.unwrap().is_empty());
    assert_eq!(server::delete(&store, "calc").await.unwrap_err().to_string(), "there is no such server");
}

async fn a_list_is_filtered_and_paged_by_name(database: Database) {
    let store = database.open().await;
    for name in ["d", "b", "a", "c", "a_b", "a-b"] {
        let mut new = sample::server(name);
        new.enabled = name != "c";
        server::insert(&store, new, vec![]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = server::list(&store, &server::Filter::default(), &Page::new(Some(2), cursor)).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.name));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a", "a-b", "a_b", "b", "c", "d"]);
    let names = async |filter: server::Filter| {
        let listed = server::list(&store, &filter, &Page::default()).await.unwrap();
        listed.items.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names(server::Filter { enabled: Some(false), q: None }).await, ["c"]);
    assert_eq!(names(server::Filter { enabled: None, q: Some("A_".to_owned()) }).await, ["a_b"]);
}
