//! The master key in a keyring, a real one.

use atryum::vault::{KeySource, KeyringEntry, SecretText, Vault, VaultError, rotate};
use serde_json::json;

use super::kept::Kept;
use crate::cli::run::{atryum, done};
use crate::support::app::Settings;
use crate::support::database::Database;
use crate::support::keyring::Keyring;

const DATA_DIR: &str = "/home/ann/.local/share/atryum";
const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

fn entry(keyring: &Keyring, data_dir: &str) -> KeySource {
    KeySource::Keyring(KeyringEntry::of_master_key(data_dir, keyring.variables()))
}

/// The key that the keyring holds under that name.
fn held(keyring: &Keyring, name: &str) -> String {
    keyring.ask(&["lookup", "application", "atryum", "data_dir", DATA_DIR, "key", name])
}

#[tokio::test]
async fn a_key_is_made_in_the_keyring_changed_there_and_never_made_over_an_older_one() {
    let keyring = Keyring::start();
    let database = Database::sqlite().await;
    let store = database.open().await;
    let source = || entry(&keyring, DATA_DIR);
    let vault = Vault::unlock(source(), &store).await.unwrap();
    let kept = Kept::put(&store, &vault, "calc").await;
    let key = held(&keyring, "master");
    // it is the key indeed: given from elsewhere, it opens the database
    let value = KeySource::Value { name: "a test".to_owned(), value: SecretText::new(key.as_str()) };
    kept.demand_readable(&store, &Vault::unlock(value, &store).await.unwrap()).await;
    let rotated = rotate(&source(), None, &store).await.unwrap();
    kept.demand_readable(&store, &Vault::unlock(source(), &store).await.unwrap()).await;
    let new_key = held(&keyring, "master");
    assert_ne!(new_key, key);
    assert_eq!(held(&keyring, "master.next"), "");
    let before = rotated.key_before.expect("a name");
    let name = before.rsplit_once("key ").expect("a name").1.trim_end_matches(')').to_owned();
    assert_eq!(held(&keyring, &name), key, "{before}");
    // cut off after its commit, in each of the moments that it can be
    let set = |name: &str, key: &str| {
        let at = ["application", "atryum", "data_dir", DATA_DIR, "key", name];
        let store = format!("printf %s {key} | secret-tool store --label=x {}", at.join(" "));
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-c", &store]).env_clear().envs(keyring.variables()).status().unwrap().success());
    };
    for present in [&key, &new_key] {
        set("master.next", &new_key);
        set("master", present);
        kept.demand_readable(&store, &Vault::unlock(source(), &store).await.unwrap()).await;
        assert_eq!(held(&keyring, "master"), new_key);
    }
    assert_eq!(rotate(&source(), None, &store).await.unwrap().secrets, None, "it was all but finished");
    assert_eq!(held(&keyring, "master.next"), "");
    // another gateway of the same person has another key, and a wrong or missing one is refused
    let elsewhere = Vault::unlock(entry(&keyring, "/srv/other"), &store).await.unwrap_err();
    let said = "the OS keyring (application atryum, data_dir /srv/other, key master) was looked at; put the key back";
    assert!(elsewhere.to_string().contains(said), "{elsewhere}");
    set("master", OTHER_KEY);
    assert!(matches!(Vault::unlock(source(), &store).await, Err(VaultError::Wrong { .. })));
    set("master", "nonsense");
    assert!(matches!(Vault::unlock(source(), &store).await, Err(VaultError::Malformed { .. })));
    assert_eq!(held(&keyring, "master"), "nonsense", "what is refused stays");
}

#[tokio::test]
async fn without_a_keyring_it_is_said_what_is_missing_and_no_key_is_made() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let path = std::env::var("PATH").unwrap();
    for (variables, said) in [
        (vec![("PATH".to_owned(), path)], "cannot use the OS keyring: secret-tool: "),
        (vec![("PATH".to_owned(), "/nowhere".to_owned())], "secret-tool is not installed (libsecret-tools on Debian"),
    ] {
        let source = KeySource::Keyring(KeyringEntry::of_master_key(DATA_DIR, variables));
        let error = Vault::unlock(source, &store).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().ends_with("keep the master key in a file (master_key_store = \"file\")"), "{error}");
    }
}

#[actix_rt::test]
async fn a_gateway_keeps_its_key_in_the_keyring_and_nothing_beside_the_configuration() {
    let keyring = Keyring::start();
    let variables = keyring.variables();
    let with = |settings: Settings| variables.iter().fold(settings, |all, (name, value)| all.with(name, value));
    let mut app = with(Settings::default().with("ATRYUM_MASTER_KEY_STORE", "keyring")).start().await;
    app.server_from(json!({"name": "n", "mode": "stdio", "command": "true", "env": {"A": "b"}})).await;
    assert!(!app.dir().join("config").exists());
    assert_eq!(app.terminate().await, Some(0));
    let data = app.dir().join("data");
    let rotated = done(
        atryum(&["vault", "rotate"])
            .env("ATRYUM_MASTER_KEY_STORE", "keyring")
            .env("ATRYUM_DATA_DIR", &data)
            .env("HOME", app.dir())
            .envs(variables.iter().cloned()),
    )
    .ok();
    let said =
        format!("the new key is in the OS keyring (application atryum, data_dir {}, key master)", data.display());
    assert!(rotated.out.contains(&said), "{rotated:?}");
    let app = app.kill_and_restart().await;
    assert_eq!(app.operator().get("/api/v1/servers/n").await.json["env_names"], json!(["A"]));
    assert!(!app.dir().join("config").exists());
}
