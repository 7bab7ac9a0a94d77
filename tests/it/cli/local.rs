//! The commands that look at this machine: config, doctor, completions.

use std::fs;

use super::run::{Done, atryum, demo, done};
use crate::support::app::ADMIN_TOKEN;

fn at_home(folder: &tempfile::TempDir, arguments: &[&str]) -> Done {
    done(atryum(arguments).env("HOME", folder.path()).current_dir(folder.path()))
}

#[test]
fn config_shows_each_value_with_its_source_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("atryum.toml"), "[upstream]\nmax_processes = 7\n").unwrap();
    let mut command = atryum(&["config", "show", "--listen", "127.0.0.1:99", "-o", "json"]);
    command.env("HOME", folder.path()).env("ATRYUM_ADMIN_TOKEN", "canary").current_dir(folder.path());
    let shown = done(&mut command).ok();
    assert!(!shown.out.contains("canary"));
    let settings = shown.json();
    let of = |key: &str| {
        let setting = settings.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].to_string(), setting["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("listen"), ("\"127.0.0.1:99\"".into(), "--listen".into()));
    assert_eq!(of("upstream.max_processes"), ("7".into(), "atryum.toml:2".into()));
    assert_eq!(of("admin_token"), ("\"***\"".into(), "ATRYUM_ADMIN_TOKEN".into()));
    assert_eq!(of("demo"), ("false".into(), "default".into()));
}

#[test]
fn config_check_tells_a_good_file_from_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(at_home(&folder, &["config", "check"]).ok().out.starts_with("the configuration holds"));
    fs::write(folder.path().join("atryum.toml"), "lisen = \"127.0.0.1:1\"").unwrap();
    let bad = at_home(&folder, &["config", "check"]);
    assert_eq!((bad.code, bad.err.as_str()), (1, "atryum: atryum.toml:1: unknown key lisen; did you mean listen?\n"));
}

#[test]
fn the_schema_is_json_and_the_example_is_the_repositorys() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(at_home(&folder, &["config", "schema"]).ok().json()["additionalProperties"], false);
    let example = include_str!("../../../atryum.example.toml");
    assert_eq!(at_home(&folder, &["config", "example"]).ok().out.trim(), example.trim());
}

#[test]
fn doctor_on_a_fresh_machine_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let found = at_home(&folder, &["doctor", "--url", "http://127.0.0.1:1"]).ok();
    assert!(
        found.out.contains("the first start makes it") && found.out.contains("start it: atryum serve"),
        "{found:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "doctor changes nothing");
}

#[actix_rt::test]
async fn doctor_looks_at_the_running_gateway_and_its_servers() {
    let app = demo().await;
    let mut command = atryum(&["doctor", "-o", "json"]);
    command.env("HOME", app.dir()).env("XDG_CONFIG_HOME", app.dir().join("config")).current_dir(app.dir());
    command.env("ATRYUM_DATA_DIR", app.dir().join("data")).env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN);
    let found = done(&mut command).ok().json();
    let status = |check: &str| {
        let mut findings = found.as_array().unwrap().iter();
        findings.find(|finding| finding["check"].as_str().unwrap().starts_with(check)).unwrap()["status"].clone()
    };
    for check in ["configuration", "data directory", "database", "master key", "gateway"] {
        assert_eq!(status(check), "ok", "{check}: {found}");
    }
    assert_ne!(status("server demo"), "failed", "{found}");
}

#[test]
fn doctor_fails_when_the_key_is_gone_but_the_database_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join(".local/share/atryum");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("atryum.db"), b"SQLite format 3\0").unwrap();
    let found = at_home(&folder, &["doctor", "--url", "http://127.0.0.1:1"]);
    assert!(found.code == 1 && found.out.contains("bring the key back from a backup"), "{found:?}");
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = done(&mut atryum(&["completions", shell])).ok();
        assert!(script.out.contains("approval"), "{shell}");
    }
}

#[test]
fn help_names_no_hidden_command_and_a_mistake_is_exit_code_two() {
    let help = done(&mut atryum(&["--help"])).ok();
    assert!(help.out.contains("approval") && !help.out.contains("__"), "{help:?}");
    assert_eq!(done(&mut atryum(&["server", "ad"])).code, 2);
    assert_eq!(done(&mut atryum(&[])).code, 2);
}
