//! Agents and their keys.

use atryum::clock;
use atryum::identity::{AgentKey, Keyring, Refusal};
use atryum::store::{Page, Store, StoreError, agent, agent_key, setting};
use atryum::vault::{KeySource, SecretText, Vault, VaultError};

use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_key_is_known_once_it_is_published_and_not_after_it_is_revoked,
    a_key_or_an_agent_that_has_expired_is_refused,
    deleting_an_agent_takes_its_keys_with_it,
    a_copy_of_the_database_does_not_hold_a_key,
    the_last_use_of_a_key_is_written,
    agents_are_edited_like_servers,
    with_another_seed_no_key_is_known_and_none_is_made_over_them,
);

const HOUR_MS: i64 = 60 * 60 * 1000;

async fn vault(store: &Store) -> Vault {
    let value = SecretText::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    Vault::unlock(KeySource::Value { name: "a test".to_owned(), value }, store).await.unwrap()
}

async fn keyring(store: &Store) -> Keyring {
    Keyring::load(store.clone(), &vault(store).await).await.unwrap()
}

fn new_key(keyring: &Keyring, key: &AgentKey, expires_at: Option<i64>) -> agent_key::NewKey {
    agent_key::NewKey { prefix: key.shown_prefix().to_owned(), digest: keyring.digest(key), expires_at }
}

fn new_agent(name: &str, expires_at: Option<i64>) -> agent::NewAgent {
    agent::NewAgent { name: name.to_owned(), servers: r#"["git*"]"#.to_owned(), expires_at }
}

/// Adds an agent with a key and publishes it.
async fn add(store: &Store, keyring: &Keyring, name: &str) -> (agent::Row, agent_key::Row, AgentKey) {
    let key = AgentKey::generate().unwrap();
    let (agent, row) = agent::insert(store, new_agent(name, None), new_key(keyring, &key, None)).await.unwrap();
    keyring.reload().await.unwrap();
    (agent, row, key)
}

async fn a_key_is_known_once_it_is_published_and_not_after_it_is_revoked(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    let now = clock::now_ms();
    let key = AgentKey::generate().unwrap();
    let text = key.text().expose();
    assert_eq!(keyring.identify(text, now).unwrap_err(), Refusal::Unknown);
    let (row, first) = agent::insert(&store, new_agent("ada", None), new_key(&keyring, &key, None)).await.unwrap();
    keyring.reload().await.unwrap();
    let ada = keyring.identify(text, now).unwrap();
    assert_eq!((&ada.id, ada.name.as_str(), &ada.key_id), (&row.id, "ada", &first.id));
    assert!(ada.may_reach("github") && !ada.may_reach("calc"));

    let second = AgentKey::generate().unwrap();
    agent_key::insert(&store, &row.id, new_key(&keyring, &second, None)).await.unwrap();
    agent_key::revoke(&store, &row.id, &first.id, now).await.unwrap();
    let revoked = agent_key::revoke(&store, &row.id, &first.id, now + 1).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(now));
    keyring.reload().await.unwrap();
    assert_eq!(keyring.identify(text, now).unwrap_err(), Refusal::Unknown);
    assert_eq!(keyring.identify(second.text().expose(), now).unwrap().name, "ada");
    assert_eq!(agent_key::list(&store, &row.id).await.unwrap().len(), 2);
    let other = agent_key::revoke(&store, "another agent", &first.id, now).await.unwrap_err();
    assert_eq!(other.to_string(), "there is no such key");
}

async fn a_key_or_an_agent_that_has_expired_is_refused(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    let now = clock::now_ms();
    let (key, agents_key, old) =
        (AgentKey::generate().unwrap(), AgentKey::generate().unwrap(), AgentKey::generate().unwrap());
    let short = new_key(&keyring, &key, Some(now + HOUR_MS));
    let (row, _) = agent::insert(&store, new_agent("a", None), short).await.unwrap();
    agent_key::insert(&store, &row.id, new_key(&keyring, &old, Some(now - 1))).await.unwrap();
    let agents = new_agent("b", Some(now + HOUR_MS));
    agent::insert(&store, agents, new_key(&keyring, &agents_key, None)).await.unwrap();
    keyring.reload().await.unwrap();
    assert_eq!(keyring.identify(old.text().expose(), now).unwrap_err(), Refusal::Unknown);
    for key in [&key, &agents_key] {
        assert!(keyring.identify(key.text().expose(), now + HOUR_MS - 1).is_ok());
        assert_eq!(keyring.identify(key.text().expose(), now + HOUR_MS).unwrap_err(), Refusal::Expired);
    }
}

async fn deleting_an_agent_takes_its_keys_with_it(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    let (row, _, key) = add(&store, &keyring, "ada").await;
    assert_eq!(agent::delete(&store, "ada").await.unwrap(), row);
    keyring.reload().await.unwrap();
    assert_eq!(keyring.identify(key.text().expose(), 0).unwrap_err(), Refusal::Unknown);
    assert!(agent_key::list(&store, &row.id).await.unwrap().is_empty());
    assert!(matches!(agent::delete(&store, "ada").await, Err(StoreError::NotFound { .. })));
}

async fn a_copy_of_the_database_does_not_hold_a_key(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    let (_, row, key) = add(&store, &keyring, "ada").await;
    let text = key.text().expose();
    assert_eq!((row.prefix.len(), row.digest.len()), (10, 64));
    assert!(text.starts_with(&row.prefix) && !format!("{row:?}").contains(&text[10..]));
    // what is kept does not let anybody in
    assert_eq!(keyring.identify(&row.digest, 0).unwrap_err(), Refusal::Malformed);
}

async fn the_last_use_of_a_key_is_written(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    let (agent, _, key) = add(&store, &keyring, "ada").await;
    for now in [5_000, 7_000, 6_000] {
        keyring.identify(key.text().expose(), now).unwrap();
    }
    let last_use = async || agent_key::list(&store, &agent.id).await.unwrap()[0].last_used_at;
    assert_eq!(last_use().await, None);
    keyring.flush().await.unwrap();
    assert_eq!(last_use().await, Some(7_000));
    keyring.identify(key.text().expose(), 6_500).unwrap();
    keyring.flush().await.unwrap();
    assert_eq!(last_use().await, Some(7_000));
}

async fn agents_are_edited_like_servers(database: Database) {
    let store = database.open().await;
    let keyring = keyring(&store).await;
    add(&store, &keyring, "b").await;
    add(&store, &keyring, "a").await;
    let key = AgentKey::generate().unwrap();
    let taken = agent::insert(&store, new_agent("a", None), new_key(&keyring, &key, None)).await.unwrap_err();
    assert_eq!(taken.to_string(), "an agent named a exists");
    let edit = |expected| {
        agent::update(&store, "a", Some(expected), |row| {
            row.servers = "[]".to_owned();
            Ok::<_, StoreError>(())
        })
    };
    let row = edit(1).await.unwrap();
    assert_eq!(agent::find(&store, "a").await.unwrap(), Some(row));
    assert!(matches!(edit(1).await, Err(StoreError::Stale { expected: 1, found: 2 })));
    let first = agent::list(&store, &Page::new(Some(1), None)).await.unwrap();
    let second = agent::list(&store, &Page::new(Some(1), first.next_cursor)).await.unwrap();
    assert_eq!((first.items[0].name.as_str(), second.items[0].name.as_str()), ("a", "b"));
    assert_eq!(second.next_cursor, None);
}

async fn with_another_seed_no_key_is_known_and_none_is_made_over_them(database: Database) {
    let store = database.open().await;
    let ring = keyring(&store).await;
    let (_, _, key) = add(&store, &ring, "ada").await;
    database.run("DELETE FROM setting WHERE key = 'vault_seed'").await;
    let source = || KeySource::File(database.path("key"));
    assert!(matches!(Vault::unlock(source(), &store).await, Err(VaultError::Missing { .. })));
    // the seed of another database
    let other = Database::sqlite().await;
    Vault::unlock(source(), &other.open().await).await.unwrap();
    let seed = setting::find(&other.open().await, setting::VAULT_SEED).await.unwrap().unwrap();
    setting::put(&store, setting::VAULT_SEED, &seed).await.unwrap();
    let ring = Keyring::load(store.clone(), &Vault::unlock(source(), &store).await.unwrap()).await.unwrap();
    assert_eq!(ring.identify(key.text().expose(), 0).unwrap_err(), Refusal::Unknown);
}
