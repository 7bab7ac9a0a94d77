//! Layers, names, problems.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const HOME: (&str, &str) = ("HOME", "/home/ann");

fn folder_with(file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "atryum.toml", file, 0o600);
    folder
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str, mode: u32) {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn load(variables: &[(&str, &str)], values: &[(&'static str, &str)], file: &str) -> Result<Config, ConfigError> {
    let folder = folder_with(file);
    let variables = variables.iter().copied().chain([HOME]);
    let values = values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Config::load_in(&Environment::of(variables, folder.path()), &Flags { file: None, values })
}

fn complaint(variables: &[(&str, &str)], values: &[(&'static str, &str)], file: &str) -> String {
    load(variables, values, file).unwrap_err().to_string()
}

#[test]
fn without_settings_every_default_holds() {
    let config = load(&[], &[], "").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data_dir, Path::new("/home/ann/.local/share/atryum"));
    assert_eq!(config.database_url(), "sqlite:/home/ann/.local/share/atryum/atryum.db?mode=rwc");
    assert_eq!(config.key_source().to_string(), "/home/ann/.config/atryum/master.key");
    assert_eq!(config.upstream.line_bytes_max, 16 << 20);
    assert_eq!(config.http.body_bytes_max, 4 << 20);
    assert_eq!(config.gate.approval_timeout_seconds, 600);
    assert!(config.http.workers >= 1 && config.http.allowed_hosts.is_empty() && !config.demo);
    assert!(config.settings().iter().all(|setting| setting.source == Source::Default));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[upstream]\nmax_processes = 3\nidle_seconds = 5";
    let variables = [("ATRYUM_LISTEN", "127.0.0.1:2"), ("ATRYUM_UPSTREAM__IDLE_SECONDS", "6")];
    let config = load(&variables, &[("listen", "127.0.0.1:3")], file).unwrap();
    assert_eq!((config.listen.port(), config.upstream.idle_seconds, config.upstream.max_processes), (3, 6, 3));
    assert_eq!(config.source_of("listen").to_string(), "--listen");
    assert_eq!(config.source_of("upstream.idle_seconds").to_string(), "ATRYUM_UPSTREAM__IDLE_SECONDS");
    assert!(config.source_of("upstream.max_processes").to_string().ends_with("atryum.toml:3"));
}

#[test]
fn an_unknown_key_in_the_file_names_its_line_and_the_nearest_key() {
    let complaint = complaint(&[], &[], "demo = true\n[upstream]\n\nmax_proceses = 3");
    assert!(
        complaint.ends_with("atryum.toml:4: unknown key upstream.max_proceses; did you mean upstream.max_processes?"),
        "{complaint}"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_led_to_the_right_one() {
    let complaint = complaint(&[], &[], "[http]\nidle_seconds = 3");
    assert!(complaint.contains("did you mean upstream.idle_seconds?"), "{complaint}");
}

#[test]
fn an_unknown_section_is_noticed_even_when_it_is_empty() {
    assert!(complaint(&[], &[], "[jurnal]").contains("unknown key jurnal"));
    assert!(complaint(&[], &[], "[zzz.yyy]\nx = 1").ends_with("unknown key zzz.yyy.x"));
}

#[test]
fn an_unknown_variable_names_the_nearest_one() {
    let complaint = complaint(&[("ATRYUM_LISTN", "x")], &[], "");
    assert_eq!(complaint, "environment: unknown key ATRYUM_LISTN; did you mean ATRYUM_LISTEN?");
}

#[test]
fn variables_of_the_command_line_and_of_kubernetes_are_no_keys() {
    let variables = [
        ("ATRYUM_TOKEN", "t"),
        ("ATRYUM_URL", "u"),
        ("ATRYUM_AGENT_KEY", "k"),
        ("ATRYUM_SERVICE_HOST", "10.0.0.1"),
        ("ATRYUM_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("ATRYUM_PORT", "tcp://10.0.0.1:8080"),
    ];
    load(&variables, &[], "").unwrap();
}

#[test]
fn a_value_of_the_wrong_kind_says_what_was_expected_and_what_was_found() {
    for (file, expected) in [
        (
            "listen = 8080",
            "listen must be an IP address or localhost, a colon and a port, such as 127.0.0.1:8080, not 8080",
        ),
        ("[http]\nworkers = \"4\"", "http.workers must be a whole number from 1 to 1024, not \"4\""),
        ("[http]\nworkers = 0", "http.workers must be a whole number from 1 to 1024, not 0"),
        ("[http]\nworkers = -1", "http.workers must be a whole number from 1 to 1024, not -1"),
        ("[http]\nallowed_hosts = \"a\"", "http.allowed_hosts must be a list of texts, not \"a\""),
        (
            "[http]\nallowed_hosts = [1]",
            "http.allowed_hosts must be a list of texts, not a list of other things than texts",
        ),
        ("demo = \"yes\"", "demo must be true or false, not \"yes\""),
        ("demo = 1.5", "demo must be true or false, not a float"),
        ("[journal]\ndurability = \"none\"", "journal.durability must be one of process, disk, not \"none\""),
        (
            "public_url = \"ftp://x\"",
            "public_url must be an http or https URL without user, query or fragment, not \"ftp://x\"",
        ),
        ("data_dir = \"\"", "data_dir must be a path, not empty"),
    ] {
        let complaint = complaint(&[], &[], file);
        assert!(complaint.ends_with(expected), "{complaint}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let complaint = complaint(&[("ATRYUM_DEMO", "perhaps"), ("ATRYUM_NOPE", "")], &[("listen", "x")], "zzz = 1");
    assert_eq!(complaint.lines().count(), 4, "{complaint}");
}

#[test]
fn text_in_the_environment_is_read_generously() {
    let variables = [
        ("ATRYUM_DEMO", "Yes"),
        ("ATRYUM_HTTP__WORKERS", " 3 "),
        ("ATRYUM_HTTP__ALLOWED_HOSTS", "a.example, b.example,"),
        ("ATRYUM_JOURNAL__DURABILITY", "disk"),
        ("ATRYUM_LISTEN", "localhost:0"),
    ];
    let config = load(&variables, &[], "").unwrap();
    assert!(config.demo && config.http.workers == 3);
    assert_eq!(config.http.allowed_hosts, ["a.example", "b.example"]);
    assert_eq!(config.journal.durability, Durability::Disk);
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
}

#[test]
fn a_secret_can_come_from_a_file_that_a_variable_names() {
    let folder = folder_with("");
    write(&folder, "token", "s3cret\n", 0o644);
    let environment = Environment::of([("ATRYUM_ADMIN_TOKEN_FILE", "token"), HOME], folder.path());
    let config = Config::load_in(&environment, &Flags::default()).unwrap();
    assert_eq!(config.admin_token.as_ref().unwrap().expose(), "s3cret");
    assert!(config.source_of("admin_token").to_string().starts_with("ATRYUM_ADMIN_TOKEN_FILE ("));
}

#[test]
fn a_variable_and_its_file_exclude_each_other_and_the_file_must_be_there() {
    let both = [("ATRYUM_ADMIN_TOKEN", "a"), ("ATRYUM_ADMIN_TOKEN_FILE", "token")];
    assert!(complaint(&both, &[], "").starts_with("both ATRYUM_ADMIN_TOKEN and ATRYUM_ADMIN_TOKEN_FILE are set"));
    let complaint = complaint(&both[1..], &[], "");
    assert!(complaint.starts_with("ATRYUM_ADMIN_TOKEN_FILE: cannot read "), "{complaint}");
}

#[test]
fn no_secret_is_shown_anywhere() {
    let variables = [
        ("ATRYUM_ADMIN_TOKEN", "canary"),
        ("ATRYUM_MASTER_KEY", "canary"),
        ("ATRYUM_DATABASE_URL", "postgres://canary@localhost/atryum"),
    ];
    let config = load(&variables, &[], "").unwrap();
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    assert_eq!(config.settings().iter().filter(|setting| setting.shown == "***").count(), 3);
    let complaint = complaint(&[("ATRYUM_DATABASE_URL", "mysql://canary@h/d")], &[], "");
    assert!(!complaint.contains("canary") && complaint.contains("database_url must be"), "{complaint}");
}

#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "atryum.toml", "admin_token = \"canary\"", 0o644);
    let error = Config::load_in(&Environment::of([HOME], folder.path()), &Flags::default()).unwrap_err().to_string();
    assert!(error.contains("holds admin_token and can be read by everybody; chmod 600"), "{error}");
    write(&folder, "atryum.toml", "admin_token = \"canary\"", 0o640);
    Config::load_in(&Environment::of([HOME], folder.path()), &Flags::default()).unwrap();
}

#[test]
fn an_address_that_others_could_reach_is_refused_with_its_source() {
    for address in ["0.0.0.0:8080", "192.168.1.5:80", "[::]:8080", "[::ffff:127.0.0.1]:8080"] {
        let complaint = complaint(&[("ATRYUM_LISTEN", address)], &[], "");
        assert!(
            complaint.starts_with(&format!("ATRYUM_LISTEN: cannot listen on {address}: other machines")),
            "{complaint}"
        );
    }
    load(&[("ATRYUM_LISTEN", "[::1]:8080")], &[], "").unwrap();
    load(&[("ATRYUM_LISTEN", "127.8.9.1:8080")], &[], "").unwrap();
}

#[test]
fn a_key_beside_the_data_is_refused() {
    let variables = [("ATRYUM_DATA_DIR", "/d"), ("ATRYUM_MASTER_KEY_PATH", "/d/master.key")];
    assert!(complaint(&variables, &[], "").contains("lies in the data directory"));
}

#[test]
fn a_timeout_above_its_maximum_is_refused() {
    let complaint = complaint(&[("ATRYUM_UPSTREAM__REQUEST_TIMEOUT_SECONDS", "601")], &[], "");
    assert!(complaint.starts_with("upstream.request_timeout_seconds is greater than"), "{complaint}");
}

#[test]
fn without_a_home_the_state_needs_a_place() {
    let folder = folder_with("");
    let error = Config::load_in(&Environment::of([], folder.path()), &Flags::default()).unwrap_err().to_string();
    assert!(error.contains("data_dir has no default, because neither HOME nor XDG_DATA_HOME is set"), "{error}");
    let set = [("ATRYUM_DATA_DIR", "/d"), ("XDG_CONFIG_HOME", "/c")];
    Config::load_in(&Environment::of(set, folder.path()), &Flags::default()).unwrap();
}

#[test]
fn a_path_may_begin_at_the_home_directory() {
    assert_eq!(load(&[("ATRYUM_DATA_DIR", "~/state")], &[], "").unwrap().data_dir, Path::new("/home/ann/state"));
}

#[test]
fn the_public_url_is_what_was_set_or_the_address() {
    let address = "127.0.0.1:4711".parse().unwrap();
    assert_eq!(load(&[], &[], "").unwrap().public_url(address), "http://127.0.0.1:4711");
    let config = load(&[("ATRYUM_PUBLIC_URL", "https://a.example/x/")], &[], "").unwrap();
    assert_eq!(config.public_url(address), "https://a.example/x");
}

#[test]
fn a_named_file_must_be_there_and_be_toml() {
    let complaint_of = |name: &str| {
        let folder = folder_with("a = \n");
        let flags = Flags { file: Some(name.into()), values: vec![] };
        Config::load_in(&Environment::of([HOME], folder.path()), &flags).unwrap_err().to_string()
    };
    assert!(complaint_of("other.toml").starts_with("--config: cannot read "));
    assert!(complaint_of("atryum.toml").contains("atryum.toml:1: "), "{}", complaint_of("atryum.toml"));
}

#[test]
fn the_variable_names_a_file_and_the_flag_names_another() {
    let folder = folder_with("[http]\nworkers = 1");
    write(&folder, "two.toml", "[http]\nworkers = 2", 0o600);
    write(&folder, "three.toml", "[http]\nworkers = 3", 0o600);
    let environment = Environment::of([("ATRYUM_CONFIG", "two.toml"), HOME], folder.path());
    let workers = |flags| Config::load_in(&environment, &flags).unwrap().http.workers;
    assert_eq!(workers(Flags::default()), 2);
    assert_eq!(workers(Flags { file: Some("three.toml".into()), values: vec![] }), 3);
}

#[test]
fn rust_log_sets_the_level_unless_our_own_variable_does() {
    let level = |variables: &[(&str, &str)]| load(variables, &[], "").unwrap().log.level;
    assert_eq!(level(&[("RUST_LOG", "debug")]), "debug");
    assert_eq!(level(&[("RUST_LOG", "debug"), ("ATRYUM_LOG__LEVEL", "warn")]), "warn");
}

#[test]
fn the_example_names_every_key_and_holds_when_it_is_uncommented() {
    let example = example();
    for key in KEYS {
        assert!(example.contains(&format!("\n#{} = ", key.parts().1)), "{}", key.name);
    }
    let uncommented: Vec<_> = example.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let settings = uncommented.iter().filter(|line| line.starts_with('[') || line.contains(" = "));
    let file: Vec<_> = settings.filter(|line| !line.starts_with(' ')).copied().collect();
    load(&[], &[], &file.join("\n")).unwrap();
}

#[test]
fn the_example_in_the_repository_is_the_one_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("atryum.example.toml");
    assert!(fs::read_to_string(path).unwrap() == example(), "run: atryum config example > atryum.example.toml");
}

#[test]
fn the_schema_knows_every_key() {
    let schema = schema();
    for key in KEYS {
        let (section, name) = key.parts();
        let holder = section.map_or(&schema, |section| &schema["properties"][section]);
        assert!(holder["properties"][name]["description"].is_string(), "{}", key.name);
    }
    assert_eq!(schema["properties"]["http"]["properties"]["workers"]["maximum"], 1024);
}
