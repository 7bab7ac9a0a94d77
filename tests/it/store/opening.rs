//! What is opened and what is refused.

use std::os::unix::fs::PermissionsExt as _;

use atryum::store::{Durability, Store, StoreError, audit, setting};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, Iterable as _, QueryTrait as _};

use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    what_is_written_is_there_when_it_is_opened_again,
    a_schema_newer_than_the_binary_is_refused_by_name,
    every_column_of_every_entity_is_in_the_schema,
);

async fn what_is_written_is_there_when_it_is_opened_again(database: Database) {
    let store = database.open().await;
    store.ping().await.unwrap();
    setting::put(&store, "a", "1").await.unwrap();
    setting::put(&store, "a", "2").await.unwrap();
    assert_eq!(setting::put_if_absent(&store, "a", "3").await.unwrap(), "2");
    assert_eq!(setting::put_if_absent(&store, "b", "4").await.unwrap(), "4");
    let told = audit::events_after(&store, 1, 0, 10).await.unwrap();
    let told = told.iter().filter(|link| link.kind != "seat.taken");
    let told: Vec<_> = told.map(|link| (&*link.kind, &*link.subject)).collect();
    let set = |key| ("setting.set", key);
    assert_eq!(told, [set("setting:a"), set("setting:a"), set("setting:b")], "what was there is not set");
    store.close().await.unwrap();
    let store = Store::open_with(database.url(), Durability::Disk).await.unwrap();
    assert_eq!(setting::find(&store, "a").await.unwrap().as_deref(), Some("2"));
    assert_eq!(setting::find(&store, "c").await.unwrap(), None);
}

#[tokio::test]
async fn a_second_process_is_refused_a_file_until_the_first_closes() {
    let database = Database::sqlite().await;
    let first = database.open().await;
    let second = database.try_open().await.unwrap_err();
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    assert!(second.to_string().starts_with("another atryum is using this database ("), "{second}");
    first.ping().await.unwrap();
    let other_handle = first.clone();
    first.close().await.unwrap();
    database.open().await.ping().await.unwrap();
    assert!(setting::put(&other_handle, "a", "1").await.is_err());
}

async fn a_schema_newer_than_the_binary_is_refused_by_name(database: Database) {
    database.open().await.close().await.unwrap();
    database.run("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_leap', 0)").await;
    let error = database.try_open().await.unwrap_err();
    assert!(matches!(&error, StoreError::Newer { migration } if migration == "m20991231_000001_leap"), "{error}");
    assert!(error.to_string().contains("run the newer binary, or restore a backup"), "{error}");
    // the refusal lets go of the database
    database.run("DELETE FROM seaql_migrations WHERE version = 'm20991231_000001_leap'").await;
    database.open().await;
}

async fn every_column_of_every_entity_is_in_the_schema(database: Database) {
    let _store = database.open().await;
    let connection = sea_orm::Database::connect(database.url()).await.unwrap();
    macro_rules! check {
        ($($table:ident),+) => {
            $(
                let select = entity::$table::Entity::find();
                connection.query_all(select.as_query()).await.unwrap();
                assert!(entity::$table::Column::iter().count() > 1);
            )+
        };
    }
    check!(
        agent, agent_key, approval, credential, invocation, login, login_link, news, oauth_flow, rule, seat, secret,
        server
    );
    check!(setting);
}

#[tokio::test]
async fn a_locked_file_is_named_with_the_process_that_holds_it() {
    let database = Database::sqlite().await;
    let _first = database.open().await;
    let error = database.try_open().await.unwrap_err().to_string();
    let lock = database.path("atryum.db.lock");
    assert!(error.contains(&lock.display().to_string()), "{error}");
    assert!(error.contains(&format!("by process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    setting::put(&store, "a", "1").await.unwrap();
    for name in ["atryum.db", "atryum.db-wal", "atryum.db-shm", "atryum.db.lock"] {
        let mode = std::fs::metadata(database.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_left_alone() {
    let database = Database::sqlite().await;
    let text = "not a database\n".repeat(1_000);
    std::fs::write(database.path("atryum.db"), &text).unwrap();
    let error = database.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(database.path("atryum.db")).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_alone() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    setting::put(&store, "a", &"x".repeat(100_000)).await.unwrap();
    store.close().await.unwrap();
    let file = database.path("atryum.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // all but the first page, which says what kind of file it is
    bytes[4_096..].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    let error = database.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("restore a backup"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn a_missing_file_is_only_made_when_the_url_says_so() {
    let database = Database::sqlite().await;
    let url = format!("sqlite:{}", database.path("other.db").display());
    let error = Store::open(&url).await.unwrap_err();
    assert!(error.to_string().contains("add ?mode=rwc"), "{error}");
    assert!(!database.path("other.db").exists());
    for url in ["mysql://x", "sqlite::memory:", "sqlite:a?mode=memory"] {
        assert!(matches!(Store::open(url).await, Err(StoreError::Url { .. })), "{url}");
    }
}

#[tokio::test]
async fn a_password_in_the_url_is_in_no_message() {
    let url = "postgres://atryum:hunter2@127.0.0.1:1/x";
    let error = Store::open(url).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(!format!("{error} {error:?} {}", std::error::Error::source(&error).unwrap()).contains("hunter2"));
}
