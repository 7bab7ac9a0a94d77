//! `atryum vault rotate` beside a gateway: what agents and servers see of it is nothing.

use serde_json::{Value, json};

use crate::cli::run::{Done, atryum, done};
use crate::support::app::{App, Settings, python, repo};
use crate::support::http::{Client, Session};
use crate::support::postgres::create_database;

/// 32 bytes, all different.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// `atryum vault rotate` with what the gateway runs with.
fn rotate(app: &App, settings: &[(&str, &str)], arguments: &[&str]) -> Done {
    let arguments = [&["vault", "rotate"], arguments].concat();
    let mut command = atryum(&arguments);
    command.env("XDG_CONFIG_HOME", app.dir().join("config")).env("ATRYUM_DATA_DIR", app.dir().join("data"));
    done(command.envs(settings.iter().copied()))
}

/// A server that is given a secret, and the key of an agent that may call it.
async fn prepare(app: &App) -> String {
    app.allow_all().await;
    app.server_from(json!({
        "name": "n", "mode": "stdio", "command": python(), "args": [repo("tests/fixture-stdio/nasty.py"), "stderr=0"],
        "env": {"API_KEY": "canary-2"},
    }))
    .await;
    app.agent_key("ann").await
}

/// What the agent's server was given.
async fn secret(app: &App, key: &str) -> Value {
    let session = Session::open(&Client::new(&app.url).bearer(key), "n", "2025-11-25", json!({})).await;
    let answer = session.call("env", json!({})).await;
    let text = answer["result"]["content"][0]["text"].as_str().expect("text");
    serde_json::from_str::<Value>(text).expect("an object")["env"]["API_KEY"].clone()
}

#[actix_rt::test]
async fn after_a_change_of_the_master_key_servers_have_their_secrets_and_agents_their_keys() {
    let mut app = App::start().await;
    let key = prepare(&app).await;
    assert_eq!(secret(&app, &key).await, "canary-2");
    let file = app.dir().join("config/atryum/master.key");
    let master_key = std::fs::read_to_string(&file).unwrap();
    assert_eq!(app.terminate().await, Some(0));
    let rotated = rotate(&app, &[], &[]).ok();
    let lines: Vec<_> = rotated.out.lines().collect();
    assert_eq!(lines[0], "sealed anew with a new master key: the seed and 1 other secrets");
    assert_eq!(lines[1], format!("the new key is in {}", file.display()));
    assert!(lines[2].starts_with("the key from before is in ") && lines[2].contains("backups from before need it"));
    let new_master_key = std::fs::read_to_string(&file).unwrap();
    assert_ne!(new_master_key, master_key);
    assert!(!rotated.out.contains(new_master_key.trim()) && rotated.err.is_empty(), "{rotated:?}");
    let app = app.kill_and_restart().await;
    assert_eq!(secret(&app, &key).await, "canary-2");
    let told = app.operator().get("/api/v1/audit?kind=vault.master_key_changed").await.json["items"][0].clone();
    assert_eq!(told["actor"], "cli", "{told}");
}

#[actix_rt::test]
async fn a_key_from_a_variable_is_changed_for_one_in_a_file_which_is_then_named() {
    let settings = [("ATRYUM_MASTER_KEY", KEY)];
    let mut app = Settings::default().with("ATRYUM_MASTER_KEY", KEY).start().await;
    let key = prepare(&app).await;
    assert_eq!(app.terminate().await, Some(0));
    let file = app.dir().join("new.key");
    let file = file.to_str().unwrap();
    let unsaid = rotate(&app, &settings, &[]);
    assert!(unsaid.code == 1 && unsaid.err.contains("comes from ATRYUM_MASTER_KEY"), "{unsaid:?}");
    let inside = app.dir().join("data/new.key");
    let inside = rotate(&app, &settings, &["--new-key-file", inside.to_str().unwrap()]);
    assert!(inside.code == 2 && inside.err.contains("lies in the data directory"), "{inside:?}");
    let rotated = rotate(&app, &settings, &["--new-key-file", file]).ok();
    let said = format!("the new key is in {file}: set ATRYUM_MASTER_KEY_FILE to that, in place of ATRYUM_MASTER_KEY\n");
    assert!(rotated.out.contains(&said), "{rotated:?}");
    let again = rotate(&app, &settings, &["--new-key-file", file, "-o", "json"]).ok();
    assert_eq!(again.json(), json!({"secrets": null, "key": file, "key_before": null}));
    // as the message says
    let app = app.restart_with(&[("ATRYUM_MASTER_KEY_FILE", file)]).await;
    assert_eq!(secret(&app, &key).await, "canary-2");
}

#[actix_rt::test]
async fn a_gateway_that_runs_is_to_be_stopped_first() {
    refused_beside(App::start().await, &[]).await;
}

#[actix_rt::test]
async fn a_gateway_that_runs_is_to_be_stopped_first_on_postgresql() {
    let url = create_database().await;
    let app = Settings::default().with("ATRYUM_DATABASE_URL", &url).start().await;
    refused_beside(app, &[("ATRYUM_DATABASE_URL", &url)]).await;
}

async fn refused_beside(app: App, settings: &[(&str, &str)]) {
    let key = prepare(&app).await;
    let config = app.dir().join("config/atryum");
    let master_key = std::fs::read_to_string(config.join("master.key")).unwrap();
    let refused = rotate(&app, settings, &[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.starts_with("atryum: another atryum is using this database ("), "{refused:?}");
    assert!(
        refused.err.ends_with("stop every gateway, change the master key, and start them again; nothing was changed\n")
    );
    assert_eq!(std::fs::read_to_string(config.join("master.key")).unwrap(), master_key);
    assert_eq!(std::fs::read_dir(config).unwrap().count(), 1);
    assert_eq!(secret(&app, &key).await, "canary-2");
}

#[test]
fn where_there_is_no_database_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let refused = done(
        atryum(&["vault", "rotate"])
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env("ATRYUM_DATA_DIR", folder.path().join("data")),
    );
    assert!(refused.code == 1 && refused.err.contains("there is no database at"), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
