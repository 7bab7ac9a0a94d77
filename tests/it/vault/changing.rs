//! The master key is changed: everything goes on, and whenever it is cut off, one key opens everything.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use atryum::store::{Store, channel, envelope, secret, server, setting};
use atryum::vault::{KeySource, Rotated, SecretText, Vault, VaultError, rotate};

use super::kept::Kept;
use crate::store::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    everything_opens_with_the_new_key_and_nothing_with_the_one_from_before,
    every_column_that_holds_bytes_is_sealed_anew,
    a_secret_that_does_not_open_is_named_and_nothing_is_changed,
    one_that_was_cut_off_before_its_commit_leaves_the_key_as_it_was_and_can_be_done_again,
    one_that_was_cut_off_after_its_commit_is_finished_by_the_next_start,
    one_that_was_cut_off_after_its_commit_is_finished_by_the_next_one,
    a_key_from_a_variable_gets_a_successor_in_a_file,
);

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn value(key: &str) -> KeySource {
    KeySource::Value { name: "ATRYUM_MASTER_KEY".to_owned(), value: SecretText::new(key) }
}

fn file(path: &Path) -> KeySource {
    KeySource::File(path.to_owned())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The name that a key from before was given.
fn before(rotated: &Rotated) -> PathBuf {
    rotated.key_before.clone().expect("a name").into()
}

/// A database with a secret in every place, whose key is in the file.
async fn filled(database: &Database) -> (Store, PathBuf, Kept) {
    let store = database.open().await;
    let path = database.path("keys/master.key");
    let vault = Vault::unlock(file(&path), &store).await.unwrap();
    let kept = Kept::put(&store, &vault, "calc").await;
    (store, path, kept)
}

async fn everything_opens_with_the_new_key_and_nothing_with_the_one_from_before(database: Database) {
    let (store, path, kept) = filled(&database).await;
    let more = Kept::put(&store, &Vault::unlock(file(&path), &store).await.unwrap(), "other").await;
    let (key, sealed) = (read(&path), kept.sealed(&store).await);
    let digest = Vault::unlock(file(&path), &store).await.unwrap().subkey("agents").digest("a key");
    let rotated = rotate(&file(&path), None, &store).await.unwrap();
    assert_eq!((rotated.secrets, &rotated.key), (Some(20), &path.display().to_string()));
    let vault = Vault::unlock(file(&path), &store).await.unwrap();
    kept.demand_readable(&store, &vault).await;
    more.demand_readable(&store, &vault).await;
    assert_eq!(vault.subkey("agents").digest("a key"), digest, "what hangs on a subkey goes on");
    // the key from before is kept, for its owner alone, and opens nothing any more
    assert_ne!(read(&path), key);
    assert_eq!(read(&before(&rotated)), key);
    for path in [&path, &before(&rotated)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    assert!(matches!(Vault::unlock(value(&key), &store).await, Err(VaultError::Wrong { .. })));
    for ((slot, _), sealed) in kept.slots().into_iter().zip(sealed) {
        assert!(vault.open(&slot, &sealed).is_err(), "{slot:?} is as it was");
    }
    // and once more
    let again = rotate(&file(&path), None, &store).await.unwrap();
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
    assert_ne!(before(&again), before(&rotated));
}

async fn every_column_that_holds_bytes_is_sealed_anew(database: Database) {
    let store = database.open().await;
    let named: BTreeSet<_> =
        envelope::COLUMNS.iter().map(|column| (column.table.to_owned(), column.name.to_owned())).collect();
    store.close().await.unwrap();
    assert_eq!(database.binary_columns().await, named, "a column is missing in store::envelope::COLUMNS");
}

async fn a_secret_that_does_not_open_is_named_and_nothing_is_changed(database: Database) {
    let (store, path, kept) = filled(&database).await;
    let (key, sealed) = (read(&path), kept.sealed(&store).await);
    let seed = setting::find(&store, setting::VAULT_SEED).await.unwrap();
    // that of another server, as if somebody had moved it
    let moved = secret::Change { field: "env:A".to_owned(), sealed: Some(sealed[0].clone()) };
    let row = server::insert(&store, sample::server("thief"), vec![moved]).await.unwrap();
    let error = rotate(&file(&path), None, &store).await.unwrap_err();
    let said = format!("belongs elsewhere (secret {} env:A)", row.id);
    assert!(error.to_string().contains(&said), "{error}");
    assert_eq!(read(&path), key);
    assert_eq!(kept.sealed(&store).await, sealed);
    assert_eq!(setting::find(&store, setting::VAULT_SEED).await.unwrap(), seed);
    // without it, it can be done
    server::delete(&store, "thief").await.unwrap();
    rotate(&file(&path), None, &store).await.unwrap();
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
}

async fn one_that_was_cut_off_before_its_commit_leaves_the_key_as_it_was_and_can_be_done_again(database: Database) {
    let (store, path, kept) = filled(&database).await;
    let (key, next) = (read(&path), path.with_file_name("master.key.next"));
    fs::write(&next, KEY).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
    assert_eq!((read(&path), read(&next)), (key.clone(), KEY.to_owned()), "another database may need either");
    let rotated = rotate(&file(&path), None, &store).await.unwrap();
    assert_eq!((read(&path), read(&before(&rotated))), (KEY.to_owned(), key));
    assert!(!next.exists());
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
}

/// As a change leaves it that is cut off between its commit and the first thing after it.
async fn cut_off_after_commit(database: &Database) -> (Store, PathBuf, Kept) {
    let (store, path, kept) = filled(database).await;
    let rotated = rotate(&file(&path), None, &store).await.unwrap();
    fs::rename(&path, path.with_file_name("master.key.next")).unwrap();
    fs::rename(before(&rotated), &path).unwrap();
    (store, path, kept)
}

async fn one_that_was_cut_off_after_its_commit_is_finished_by_the_next_start(database: Database) {
    let (store, path, kept) = cut_off_after_commit(&database).await;
    let (old, new) = (read(&path), read(&path.with_file_name("master.key.next")));
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
    assert_eq!(read(&path), new);
    assert!(!path.with_file_name("master.key.next").exists());
    let files = fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    let kept_keys: Vec<_> = files.filter(|file| *file != path).map(|file| read(&file)).collect();
    assert_eq!(kept_keys, [old]);
    // also when the old one got its other name already, and when it was lost
    for is_lost in [false, true] {
        fs::rename(&path, path.with_file_name("master.key.next")).unwrap();
        if !is_lost {
            fs::write(&path, KEY).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
        assert_eq!(read(&path), new);
    }
}

async fn one_that_was_cut_off_after_its_commit_is_finished_by_the_next_one(database: Database) {
    let (store, path, kept) = cut_off_after_commit(&database).await;
    let (old, new) = (read(&path), read(&path.with_file_name("master.key.next")));
    let rotated = rotate(&file(&path), None, &store).await.unwrap();
    assert_eq!(rotated.secrets, None);
    assert_eq!((read(&path), read(&before(&rotated))), (new, old));
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
}

async fn a_key_from_a_variable_gets_a_successor_in_a_file(database: Database) {
    let store = database.open().await;
    let unsealed = rotate(&value(KEY), None, &store).await.unwrap_err();
    assert!(unsealed.to_string().contains("atryum serve makes its master key"), "{unsealed}");
    let kept = Kept::put(&store, &Vault::unlock(value(KEY), &store).await.unwrap(), "calc").await;
    let without = rotate(&value(KEY), None, &store).await.unwrap_err();
    assert!(without.to_string().contains("say with --new-key-file"), "{without}");
    let path = database.path("new/master.key");
    let rotated = rotate(&value(KEY), Some(path.clone()), &store).await.unwrap();
    let expected = Rotated { secrets: Some(10), key: path.display().to_string(), key_before: None };
    assert_eq!(rotated, expected);
    assert!(matches!(Vault::unlock(value(KEY), &store).await, Err(VaultError::Wrong { .. })));
    kept.demand_readable(&store, &Vault::unlock(file(&path), &store).await.unwrap()).await;
    // said twice, it is done once
    let again = rotate(&value(KEY), Some(path.clone()), &store).await.unwrap();
    assert_eq!(again, Rotated { secrets: None, ..expected });
    // a file that others can read is none to put a key in, and a wrong key opens no way
    let exposed = database.path("exposed");
    fs::write(&exposed, KEY).unwrap();
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    let source = value(&read(&path));
    assert!(matches!(rotate(&source, Some(exposed), &store).await, Err(VaultError::Exposed { .. })));
    let other = database.path("other");
    assert!(matches!(rotate(&value(KEY), Some(other.clone()), &store).await, Err(VaultError::Wrong { .. })));
    assert!(!other.exists(), "no key is made for nothing");
    kept.demand_readable(&store, &Vault::unlock(source, &store).await.unwrap()).await;
}

/// Whether a text stands in the files of an SQLite database.
fn stands(database: &Database, bytes: &[u8]) -> bool {
    let files = ["atryum.db", "atryum.db-wal"].map(|name| fs::read(database.path(name)).unwrap_or_default());
    files.iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn of_what_was_sealed_before_nothing_is_left_in_the_file() {
    let database = Database::sqlite().await;
    let (mut store, path, kept) = filled(&database).await;
    let mut servers = vec![kept];
    for name in 0..20 {
        let vault = Vault::unlock(file(&path), &store).await.unwrap();
        servers.push(Kept::put(&store, &vault, &format!("s{name}")).await);
    }
    let mut before = Vec::new();
    for kept in &servers {
        before.extend(kept.sealed(&store).await);
    }
    store.close().await.unwrap();
    // nonce and data key, as the one from before sealed it
    let sealed_keys: Vec<_> = before.iter().map(|envelope| &envelope[1..73]).collect();
    assert!(sealed_keys.iter().all(|key| stands(&database, key)));
    store = database.open().await;
    rotate(&file(&path), None, &store).await.unwrap();
    let present = servers[0].sealed(&store).await;
    store.close().await.unwrap();
    assert_eq!(sealed_keys.iter().filter(|key| stands(&database, key)).count(), 0);
    // nor of what is taken away
    assert!(present.iter().all(|envelope| stands(&database, &envelope[1..73])));
    store = database.open().await;
    server::delete(&store, "calc").await.unwrap();
    channel::delete(&store, "calc").await.unwrap();
    store.close().await.unwrap();
    assert_eq!(present.iter().filter(|envelope| stands(&database, &envelope[1..73])).count(), 0);
}
