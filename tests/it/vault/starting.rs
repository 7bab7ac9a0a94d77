//! What becomes of a start, by where the master key is looked for and what is there: the real binary, each with its
//! message.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::support::app::{App, command};

/// 32 bytes, all different.
const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// A gateway's folder: its database holds a secret, and its key is in `config/atryum/master.key`.
async fn sealed() -> (App, String) {
    let mut app = App::start().await;
    app.server_from(json!({"name": "n", "mode": "stdio", "command": "true", "env": {"A": "canary-secret"}})).await;
    assert_eq!(app.terminate().await, Some(0));
    let key = fs::read_to_string(app.dir().join("config/atryum/master.key")).unwrap();
    (app, key.trim().to_owned())
}

/// What is done to a folder before the start, and what the start is to say; nothing: it is to serve.
struct Case {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    prepare: fn(&Path, &str),
    refusal: Option<&'static str>,
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn key_file(dir: &Path) -> std::path::PathBuf {
    dir.join("config/atryum/master.key")
}

const SEALED: [Case; 16] = [
    Case { name: "the file is there", settings: &[], prepare: |_, _| {}, refusal: None },
    Case {
        name: "the file is gone",
        settings: &[],
        prepare: |dir, _| fs::remove_file(key_file(dir)).unwrap(),
        refusal: Some(
            "their master key is missing: {dir}/config/atryum/master.key was looked at; put the key back, no new one",
        ),
    },
    Case {
        name: "the file holds another key",
        settings: &[],
        prepare: |dir, _| put(&key_file(dir), OTHER_KEY, 0o600),
        refusal: Some(
            "the master key in {dir}/config/atryum/master.key is not the one that this database was sealed with",
        ),
    },
    Case {
        name: "the file is empty",
        settings: &[],
        prepare: |dir, _| put(&key_file(dir), "", 0o600),
        refusal: Some("the master key in {dir}/config/atryum/master.key is not 32 bytes in base64"),
    },
    Case {
        name: "the file can be read by the group",
        settings: &[],
        prepare: |dir, key| put(&key_file(dir), key, 0o640),
        refusal: Some("can be read by others (mode 640): chmod 600 it"),
    },
    Case {
        name: "the file is a directory",
        settings: &[],
        prepare: |dir, _| {
            fs::remove_file(key_file(dir)).unwrap();
            fs::create_dir(key_file(dir)).unwrap();
            fs::set_permissions(key_file(dir), fs::Permissions::from_mode(0o700)).unwrap();
        },
        refusal: Some("cannot use the master key file {dir}/config/atryum/master.key: Is a directory"),
    },
    Case {
        name: "the file lies in the data directory",
        settings: &[("ATRYUM_MASTER_KEY_PATH", "{dir}/data/master.key")],
        prepare: |dir, _| {
            fs::rename(key_file(dir), dir.join("data/master.key")).unwrap();
        },
        refusal: Some("master_key_path {dir}/data/master.key lies in the data directory; keep the key elsewhere"),
    },
    Case {
        name: "the variable holds the key",
        settings: &[("ATRYUM_MASTER_KEY", "{key}")],
        prepare: |dir, _| fs::remove_file(key_file(dir)).unwrap(),
        refusal: None,
    },
    Case {
        name: "the variable holds another key, and the file the right one",
        settings: &[("ATRYUM_MASTER_KEY", OTHER_KEY)],
        prepare: |_, _| {},
        refusal: Some("the master key in ATRYUM_MASTER_KEY is not the one that this database was sealed with"),
    },
    Case {
        name: "the variable names a file that holds the key",
        settings: &[("ATRYUM_MASTER_KEY_FILE", "{dir}/mounted")],
        prepare: |dir, _| fs::rename(key_file(dir), dir.join("mounted")).unwrap(),
        refusal: None,
    },
    Case {
        name: "the variable names a file that is not there",
        settings: &[("ATRYUM_MASTER_KEY_FILE", "{dir}/mounted")],
        prepare: |_, _| {},
        refusal: Some("ATRYUM_MASTER_KEY_FILE: cannot read {dir}/mounted: No such file"),
    },
    Case {
        name: "the service manager hands the key over",
        settings: &[("CREDENTIALS_DIRECTORY", "{dir}/credentials")],
        prepare: |dir, key| {
            fs::remove_file(key_file(dir)).unwrap();
            put(&dir.join("credentials/atryum.master_key"), key, 0o440);
        },
        refusal: None,
    },
    Case {
        name: "the service manager hands another key over, and the file holds the right one",
        settings: &[("CREDENTIALS_DIRECTORY", "{dir}/credentials")],
        prepare: |dir, _| put(&dir.join("credentials/atryum.master_key"), OTHER_KEY, 0o400),
        refusal: Some(
            "in CREDENTIALS_DIRECTORY ({dir}/credentials/atryum.master_key) is not the one that this database",
        ),
    },
    Case {
        name: "the service manager hands other things over, and the file is gone",
        settings: &[("CREDENTIALS_DIRECTORY", "{dir}/credentials")],
        prepare: |dir, _| {
            fs::remove_file(key_file(dir)).unwrap();
            put(&dir.join("credentials/of-another"), OTHER_KEY, 0o400);
        },
        refusal: Some("their master key is missing: {dir}/config/atryum/master.key was looked at"),
    },
    Case {
        name: "the keyring cannot be reached, and the file holds the right key",
        settings: &[("ATRYUM_MASTER_KEY_STORE", "keyring")],
        prepare: |_, _| {},
        refusal: Some("cannot use the OS keyring: "),
    },
    Case {
        name: "another word for where it is",
        settings: &[("ATRYUM_MASTER_KEY_STORE", "kms")],
        prepare: |_, _| {},
        refusal: Some("ATRYUM_MASTER_KEY_STORE: master_key_store must be one of file, keyring, not \"kms\""),
    },
];

#[actix_rt::test]
async fn a_database_with_secrets_opens_with_its_own_key_and_gets_no_other() {
    for case in SEALED {
        let (app, key) = sealed().await;
        let dir = app.dir().to_owned();
        (case.prepare)(&dir, &key);
        let files = files(&dir.join("config"));
        let filled = |text: &str| text.replace("{dir}", dir.to_str().unwrap()).replace("{key}", &key);
        let settings: Vec<_> = case.settings.iter().map(|(name, value)| ((*name).to_owned(), filled(value))).collect();
        let Some(refusal) = case.refusal else {
            let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let app = app.restart_with(&settings).await;
            let read = app.operator().get("/api/v1/servers/n").await;
            assert_eq!(read.json["env_names"], json!(["A"]), "{}", case.name);
            continue;
        };
        let ended = command(&dir, &settings, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{}: {said}", case.name);
        assert!(said.contains(&filled(refusal)), "{}: {said}", case.name);
        assert!(!said.contains(&key) && !said.contains(OTHER_KEY), "{}: {said}", case.name);
        assert_eq!(self::files(&dir.join("config")), files, "{}: no key is made, none is taken away", case.name);
    }
}

/// Every file below a folder, with what it holds.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    found.sort();
    found
}
