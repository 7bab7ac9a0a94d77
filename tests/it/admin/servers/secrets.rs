//! What is written and never read: the values of variables, bearer tokens, the values of headers, and client secrets.

use atryum::http::routes::INVENTORY;
use atryum::oauth::registration::Registration;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::database::run_sql;
use crate::support::held::{ACCESS, REFRESH, hold};
use crate::support::http::Session;
use crate::support::remote::{Fault, On, Remote};

const SECRET: &str = "s3cr3t-value-that-nobody-may-read";

#[actix_rt::test]
async fn the_value_of_a_variable_comes_out_nowhere() {
    let app = App::start().await;
    let env = json!({"TOKEN": SECRET, "OTHER": SECRET});
    let created = app.server_from(json!({"name": "calc", "command": "cat", "env": env})).await;
    assert_eq!(created.json["env_names"], json!(["OTHER", "TOKEN"]));
    let edited = app.operator().patch("/api/v1/servers/calc", json!({"env": {"THIRD": SECRET}})).await;
    assert_eq!(edited.json["env_names"], json!(["OTHER", "THIRD", "TOKEN"]), "{edited:?}");
    let tested = app.operator().post("/api/v1/servers/calc/test", json!({})).await;
    let mut seen = vec![created.text, edited.text, tested.text];
    seen.extend(all_that_can_be_read(&app, "calc").await);
    for text in seen {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_sealed(&app);
}

/// Whatever operators can ask for, with this server's name where a name is wanted.
async fn all_that_can_be_read(app: &App, name: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for route in INVENTORY.iter().filter(|route| route.method == "GET" && !route.path.starts_with("/mcp/")) {
        let path = route.path.replace("{name}", name).replace("{id}", "01a20528-c668-70ea-a280-13275a29791b");
        texts.push(app.operator().get(&path).await.text);
    }
    assert!(texts.len() > 20, "{}", texts.len());
    texts
}

/// Neither the database nor the log holds it.
fn assert_sealed(app: &App) {
    for file in ["atryum.db", "atryum.db-wal"] {
        let bytes = std::fs::read(app.dir().join("data").join(file)).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file} holds it in clear");
    }
    assert!(!app.log().contains(SECRET));
}

#[actix_rt::test]
async fn a_token_and_the_value_of_a_header_come_out_nowhere() {
    // Everything of every library.
    let app = Settings::default().with("ATRYUM_LOG__LEVEL", "trace").start().await;
    let (first, second) = (Remote::start(), Remote::start());
    app.allow_all().await;
    let agent = app.agent("ann").await;
    let token = json!({"bearer_token": SECRET});
    let headers = json!({"headers": {"X-Api-Key": SECRET}});
    let mut seen = Vec::new();
    for (name, auth, other) in [("token", &token, &headers), ("headers", &headers, &token)] {
        let path = format!("/api/v1/servers/{name}");
        seen.push(app.server_from(json!({"name": name, "base_url": first.url, "auth": auth})).await.text);
        seen.push(app.operator().patch(&path, json!({"auth": other})).await.text);
        seen.push(app.operator().patch(&path, json!({"auth": auth, "base_url": second.url})).await.text);
        seen.push(app.operator().post(&format!("{path}/test"), json!({})).await.text);
        let session = Session::open(&agent, name, "2025-11-25", json!({})).await;
        seen.push(session.request("tools/call", json!({"name": "echo", "arguments": {"text": "x"}})).await.text);
        second.fault(On::Every, Fault::says(500, &[], &format!("you said {SECRET}")));
        seen.push(session.request("tools/call", json!({"name": "echo", "arguments": {"text": "y"}})).await.text);
        seen.push(app.operator().post(&format!("{path}/test"), json!({})).await.text);
        seen.push(app.operator().post(&format!("{path}/restart"), json!({})).await.text);
        seen.extend(all_that_can_be_read(&app, name).await);
        second.heal();
    }
    let draft = json!({"name": "draft", "base_url": first.url, "auth": token});
    seen.push(app.operator().post("/api/v1/servers/test", draft).await.text);
    for text in seen {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(format!("{:?}", second.ledger()).contains(SECRET), "it was sent where it belongs");
    assert!(app.log().contains("TRACE"), "{}", app.log());
    assert_sealed(&app);
}

/// A secret as it may be written, whether it can be used or not.
fn secret() -> impl Strategy<Value = Value> {
    let spelled = [SECRET.to_owned(), format!("{SECRET}\n"), format!("Bearer {SECRET}"), format!("\u{e9}{SECRET}")];
    let mut texts: Vec<_> = spelled.into_iter().map(Value::from).collect();
    texts.extend([json!(SECRET), json!(SECRET), json!(SECRET), json!(""), json!(null), json!([SECRET])]);
    prop::sample::select(texts)
}

/// An object of some of these members.
fn some_of(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members = members.into_iter().map(|(name, value)| (Just(name), prop::option::of(value)).boxed());
    let members: Vec<_> = members.collect();
    members
        .prop_map(|members| members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
        .boxed()
}

fn words(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(words).prop_map(Value::from).boxed()
}

/// The members of a server in HTTP mode, any of them, right or wrong.
fn anything() -> BoxedStrategy<Value> {
    let headers = some_of(vec![("X-A", secret().boxed()), ("Authorization", secret().boxed())]);
    let oauth = some_of(vec![
        ("client_id", words(&["", "mine", "other", "a\nb"])),
        ("client_secret", secret().boxed()),
        ("token_url", words(&["", "https://as.example/token", "https://as.example/other", "http://as.example"])),
        ("authorize_url", words(&["", "https://as.example/authorize"])),
        ("scopes", Just(json!(["a"])).boxed()),
        ("use_default_scopes", any::<bool>().prop_map(Value::from).boxed()),
    ]);
    let auth = some_of(vec![
        ("type", words(&["none", "bearer", "headers", "oauth", "oauth", "bearer"])),
        ("bearer_token", secret().boxed()),
        ("headers", headers),
        ("oauth", oauth),
    ]);
    some_of(vec![("base_url", words(&["http://127.0.0.1:1/mcp", "http://127.0.0.1:2", "x"])), ("auth", auth)])
}

#[actix_rt::test]
async fn however_a_login_is_written_nothing_that_can_be_read_holds_a_secret() {
    let app = Settings::default().with("ATRYUM_LOG__LEVEL", "trace").start().await;
    let login = json!({"oauth": {"client_id": "mine", "client_secret": SECRET}});
    app.server_from(json!({"name": "n", "base_url": "http://127.0.0.1:1/mcp", "auth": login})).await;
    let app = hold(app, "n", "mine", Registration::Manual).await;
    let mut runner = TestRunner::deterministic();
    let mut taken = [0, 0];
    let demand_none = |text: &str| {
        for secret in [SECRET, ACCESS, REFRESH] {
            assert!(!text.contains(secret), "{text}");
        }
    };
    for text in all_that_can_be_read(&app, "n").await {
        demand_none(&text);
    }
    for turn in 0..150 {
        let members = anything().new_tree(&mut runner).expect("a value").current();
        let edited = app.operator().patch("/api/v1/servers/n", members.clone()).await;
        let mut draft = members;
        draft["name"] = json!(format!("n-{turn}"));
        let created = app.operator().post("/api/v1/servers", draft).await;
        for (answer, count) in [&edited, &created].into_iter().zip(&mut taken) {
            assert!(matches!(answer.status, 200 | 201 | 422), "{answer:?}");
            *count += usize::from(answer.status != 422);
            demand_none(&answer.text);
        }
        demand_none(&app.operator().get("/api/v1/servers/n").await.text);
    }
    assert!(taken.iter().all(|count| (10..140).contains(count)), "some can be used and some can't: {taken:?}");
    for text in all_that_can_be_read(&app, "n").await {
        demand_none(&text);
    }
    demand_none(&app.log());
    assert_sealed(&app);
}

#[actix_rt::test]
async fn a_credential_does_not_open_for_an_address_that_was_changed_beside_the_gateway() {
    let mut app = App::start().await;
    app.server_from(json!({"name": "git", "base_url": "https://example.com", "auth": {"bearer_token": SECRET}})).await;
    app.kill();
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    run_sql(&url, "UPDATE server SET base_url = 'https://evil.example', credential_origin = 'https://evil.example'")
        .await;
    let app = app.kill_and_restart().await;
    let server = app.operator().get("/api/v1/servers/git").await.json;
    let credentials = &server["credentials"];
    assert_eq!((&credentials["status"], &credentials["action"]), (&json!("action_required"), &json!("set_token")));
    assert_eq!(server["connection"]["status"], "action_required");
    assert!(credentials["reason"].as_str().unwrap().starts_with("bearer_token can't be opened"), "{credentials}");
    let given = app.operator().patch("/api/v1/servers/git", json!({"auth": {"bearer_token": "another"}})).await;
    assert_eq!((given.status, &given.json["credentials"]["status"]), (200, &json!("ready")), "{given:?}");
}

#[actix_rt::test]
async fn a_refusal_does_not_repeat_what_was_written() {
    let app = App::start().await;
    for body in [
        json!({"name": "calc", "command": "cat", "env": {"TOKEN": [SECRET]}}),
        json!({"name": "calc", "command": "cat", "env": {"TOKEN": format!("{SECRET}\u{0}")}}),
        json!({"name": "UPPER", "command": "cat", "env": {"TOKEN": SECRET}}),
        json!({"name": "calc", "command": "cat", "env": {"TOKEN": {"value": SECRET}}}),
        json!({"name": "calc", "base_url": format!("https://x:{SECRET}@example.com")}),
        json!({"name": "calc", "base_url": format!("https://example.com/#{SECRET}")}),
        json!({"name": "calc", "base_url": "https://example.com", "auth": {"bearer_token": format!("Bearer {SECRET}")}}),
        json!({"name": "calc", "base_url": "https://example.com", "auth": {"bearer_token": [SECRET]}}),
        json!({"name": "calc", "base_url": "https://example.com", "auth": {"headers": {"X-A": format!("{SECRET}\n")}}}),
        json!({"name": "calc", "base_url": "https://example.com", "auth": {"headers": {"Host": SECRET}}}),
        json!({"name": "calc", "base_url": "https://example.com", "auth": {"type": "oauth", "bearer_token": SECRET}}),
    ] {
        let answer = app.operator().post("/api/v1/servers", body).await;
        assert_eq!(answer.status, 422);
        assert!(!answer.text.contains(SECRET), "{answer:?}");
    }
    assert!(!app.log().contains(SECRET));
}

#[actix_rt::test]
async fn a_variable_is_kept_set_and_removed_by_itself() {
    let app = App::start().await;
    app.server_from(json!({"name": "n", "command": "cat", "env": {"A": "1", "B": "2", "C": "3"}})).await;
    let names = async |patch: serde_json::Value| {
        let answer = app.operator().patch("/api/v1/servers/n", patch).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["env_names"].clone()
    };
    assert_eq!(names(json!({"enabled": true})).await, json!(["A", "B", "C"]), "what is not named is kept");
    assert_eq!(names(json!({"env": {}})).await, json!(["A", "B", "C"]));
    assert_eq!(names(json!({"env": {"B": null, "D": "4", "never-was": null}})).await, json!(["A", "C", "D"]));
    assert_eq!(names(json!({"env": null})).await, json!([]));
}

#[actix_rt::test]
async fn the_process_gets_the_values() {
    let app = App::start().await;
    app.allow_all().await;
    let script = crate::support::app::repo("tests/fixture-stdio/nasty.py");
    let definition = json!({"name": "n", "command": "python3", "args": [script], "env": {"GREETING": "good morning"}});
    app.server_from(definition).await;
    let session = crate::support::http::Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let answer = session.call("env", json!({})).await.to_string();
    assert!(answer.contains("GREETING"), "{answer}");
}
