//! The vault: when it opens, and when it stays shut.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use atryum::store::{Store, credential, oauth_flow, secret, server, setting};
use atryum::vault::{KeySource, SecretText, Slot, Vault, VaultError};

use crate::store::sample;
use crate::support::database::{Database, on_both_databases};

/// 32 bytes, all different, and 32 others.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

on_both_databases!(
    a_new_database_gets_a_key_file_and_opens_with_it_again,
    a_database_that_was_sealed_gets_no_new_key,
    a_database_that_holds_a_login_gets_no_new_key,
    a_wrong_key_is_refused_and_what_was_looked_at_is_named,
    a_secret_opens_with_the_key_it_was_sealed_with_and_in_its_slot_only,
);

fn value(key: &str) -> KeySource {
    KeySource::Value { name: "ATRYUM_MASTER_KEY".to_owned(), value: SecretText::new(key) }
}

pub fn file(path: &Path) -> KeySource {
    KeySource::File(path.to_owned())
}

async fn refused(source: KeySource, store: &Store) -> VaultError {
    Vault::unlock(source, store).await.expect_err("a refusal")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn a_new_database_gets_a_key_file_and_opens_with_it_again(database: Database) {
    let store = database.open().await;
    let path = database.path("keys/deep/master.key");
    let vault = Vault::unlock(file(&path), &store).await.unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let sealed = vault.seal(&Slot::of_server("1", "env:A"), &SecretText::new("a secret")).unwrap();
    let key = fs::read_to_string(&path).unwrap();
    let again = Vault::unlock(file(&path), &store).await.unwrap();
    assert_eq!(again.open(&Slot::of_server("1", "env:A"), &sealed).unwrap().expose(), "a secret");
    // the same key may come from the configuration
    let again = Vault::unlock(value(&key), &store).await.unwrap();
    assert_eq!(again.open(&Slot::of_server("1", "env:A"), &sealed).unwrap().expose(), "a secret");
    // and is not in the database
    let seed = setting::find(&store, setting::VAULT_SEED).await.unwrap().unwrap();
    assert!(!seed.contains(key.trim()));
}

async fn a_database_that_was_sealed_gets_no_new_key(database: Database) {
    let store = database.open().await;
    let path = database.path("master.key");
    Vault::unlock(file(&path), &store).await.unwrap();
    fs::remove_file(&path).unwrap();
    let error = refused(file(&path), &store).await;
    assert!(matches!(&error, VaultError::Missing { looked_at } if *looked_at == path.display().to_string()));
    assert!(!path.exists());
    // not even when somebody removes the seed while there are secrets
    let sealed = secret::Change { field: "env:A".to_owned(), sealed: Some(vec![1]) };
    server::insert(&store, sample::server("calc"), vec![sealed]).await.unwrap();
    database.run("DELETE FROM setting WHERE key = 'vault_seed'").await;
    assert!(matches!(refused(file(&path), &store).await, VaultError::Missing { .. }));
    assert!(!path.exists());
    // and a key that is there makes no new seed
    let error = refused(value(KEY), &store).await;
    assert!(
        error.to_string().contains("not the seed that they hang on (it is not there): restore a backup"),
        "{error}"
    );
    assert_eq!(setting::find(&store, setting::VAULT_SEED).await.unwrap(), None);
}

async fn a_database_that_holds_a_login_gets_no_new_key(database: Database) {
    let store = database.open().await;
    let path = database.path("master.key");
    let server = server::insert(&store, sample::server("calc"), Vec::new()).await.unwrap();
    credential::put(&store, sample::credential(&server.id), server.revision).await.unwrap();
    assert!(matches!(refused(file(&path), &store).await, VaultError::Missing { .. }));
    credential::delete(&store, &server.id).await.unwrap();
    Vault::unlock(file(&path), &store).await.unwrap();
}

async fn a_wrong_key_is_refused_and_what_was_looked_at_is_named(database: Database) {
    let store = database.open().await;
    Vault::unlock(value(KEY), &store).await.unwrap();
    let error = refused(value(OTHER_KEY), &store).await;
    let said = "the master key in ATRYUM_MASTER_KEY is not the one that this database was sealed with; give the one that \
                is, or restore the backup that belongs to this key";
    assert_eq!(error.to_string(), said);
    let path = database.path("master.key");
    fs::write(&path, OTHER_KEY).unwrap();
    set_mode(&path, 0o600);
    let error = refused(file(&path), &store).await;
    assert!(matches!(&error, VaultError::Wrong { looked_at } if *looked_at == path.display().to_string()));
    Vault::unlock(value(KEY), &store).await.unwrap();
}

async fn a_secret_opens_with_the_key_it_was_sealed_with_and_in_its_slot_only(database: Database) {
    let store = database.open().await;
    let vault = Vault::unlock(value(KEY), &store).await.unwrap();
    let new = sample::server("calc");
    let sealed = vault.seal(&Slot::of_server(&new.id, "env:A"), &SecretText::new("hunter2")).unwrap();
    let change = secret::Change { field: "env:A".to_owned(), sealed: Some(sealed) };
    let row = server::insert(&store, new, vec![change]).await.unwrap();
    let stored = secret::load_all(&store, &row.id).await.unwrap().remove(0);
    assert_eq!(vault.open(&Slot::of_server(&row.id, "env:A"), &stored.sealed).unwrap().expose(), "hunter2");
    assert!(vault.open(&Slot::of_server(&row.id, "env:B"), &stored.sealed).is_err());
    assert!(vault.open(&Slot::of_server("another server", "env:A"), &stored.sealed).is_err());
    let here = Slot::of_server(&row.id, "env:A");
    assert!(vault.open(&here.sent_to("https://mcp.example"), &stored.sealed).is_err());
    // tables that name their rows and fields alike are told apart
    let (one, other) = (credential::Sealed::ClientSecret, oauth_flow::Sealed::ClientSecret);
    let sealed = vault.seal(&Slot::of_credential(&row.id, one), &SecretText::new("hunter2")).unwrap();
    assert!(vault.open(&Slot::of_credential(&row.id, one), &sealed).is_ok());
    assert!(vault.open(&Slot::of_credential(&row.id, credential::Sealed::Access), &sealed).is_err());
    assert!(vault.open(&Slot::of_flow(&row.id, other), &sealed).is_err());
    assert_eq!(format!("{vault:?}"), "Vault");
}

#[tokio::test]
async fn a_key_that_is_not_32_bytes_in_base64_is_refused() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let path = database.path("master.key");
    for key in ["", "not base64!", "c2hvcnQ=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ=="] {
        assert!(matches!(refused(value(key), &store).await, VaultError::Malformed { .. }), "{key}");
        fs::write(&path, key).unwrap();
        set_mode(&path, 0o600);
        assert!(matches!(refused(file(&path), &store).await, VaultError::Malformed { .. }), "{key}");
    }
    // a refused key leaves no trace: the right one is still free to be the first
    assert_eq!(setting::find(&store, setting::VAULT_SEED).await.unwrap(), None);
    fs::write(&path, format!("  {KEY}\r\n")).unwrap();
    Vault::unlock(file(&path), &store).await.unwrap();
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let path = database.path("master.key");
    fs::write(&path, KEY).unwrap();
    for exposed in [0o640, 0o604, 0o660, 0o644, 0o610] {
        set_mode(&path, exposed);
        let error = refused(file(&path), &store).await;
        assert!(matches!(error, VaultError::Exposed { mode, .. } if mode == exposed), "{error}");
        // nor through a link, which anybody can read
        let link = database.path(&format!("link {exposed}"));
        symlink(&path, &link).unwrap();
        assert!(matches!(refused(file(&link), &store).await, VaultError::Exposed { .. }));
    }
    for private in [0o600, 0o400] {
        set_mode(&path, private);
        Vault::unlock(file(&path), &store).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_file_that_cannot_be_made_or_read_is_named() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    fs::write(database.path("a file"), "").unwrap();
    let path = database.path("a file/master.key");
    let error = refused(file(&path), &store).await;
    assert!(error.to_string().contains("a file/master.key"), "{error}");
    let folder = database.path("a folder");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o700);
    assert!(matches!(refused(file(&folder), &store).await, VaultError::File { .. }));
}

#[tokio::test]
async fn a_start_that_was_cut_off_while_it_made_the_key_can_be_made_again() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let path = database.path("master.key");
    fs::write(database.path("master.key.new"), "half a k").unwrap();
    Vault::unlock(file(&path), &store).await.unwrap();
    assert!(!database.path("master.key.new").exists());
    // and so can one that had made the key but not told the database
    database.run("DELETE FROM setting WHERE key = 'vault_seed'").await;
    Vault::unlock(file(&path), &store).await.unwrap();
}
