//! `atryum server`.

use serde_json::json;

use super::run::{atryum, demo, done, fed, operator};
use crate::support::app::{ADMIN_TOKEN, App};
use crate::support::database::run_sql;
use crate::support::eventually;
use crate::support::provider::{Provider, Said};

#[actix_rt::test]
async fn a_server_is_added_seen_tested_and_removed() {
    let app = App::start().await;
    let binary = env!("CARGO_BIN_EXE_atryum");
    let added = operator(&app, &["server", "add", "mine", "--env", "K=s3cret", "--", binary, "__demo-server"]).ok();
    assert!(added.err.contains(&format!("{}/mcp/mine", app.url)), "{added:?}");
    assert!(!format!("{added:?}").contains("s3cret"));

    let listed = operator(&app, &["server", "list"]).ok();
    let line = listed.out.lines().nth(1).unwrap();
    assert!(line.starts_with("mine  stdio  yes"), "{line}");

    let shown = operator(&app, &["server", "show", "mine", "-o", "json"]).ok().json();
    assert_eq!((shown["args"][0].as_str(), shown["env_names"][0].as_str()), (Some("__demo-server"), Some("K")));

    let tested = operator(&app, &["server", "test", "mine"]).ok();
    assert!(tested.out.contains("tools 5, prompts -, resources -"), "{tested:?}");
    assert!(tested.out.lines().next().unwrap().starts_with("ok  "), "{tested:?}");

    let tools = operator(&app, &["server", "tools", "mine"]).ok();
    assert!(tools.out.contains("\ndelete_everything  new     Deletes every note."), "{tools:?}");

    operator(&app, &["server", "remove", "mine"]).ok();
    assert_eq!(operator(&app, &["server", "list", "-o", "json"]).ok().json(), serde_json::json!([]));
}

#[actix_rt::test]
async fn a_remote_server_is_added_with_its_login_and_seen_without_it() {
    let app = App::start().await;
    // Nobody listens there.
    let url = "http://127.0.0.1:1/mcp?x=y";
    let mut adding = atryum(&["server", "add", "git", "--url", url, "--bearer-token-stdin", "--timeout", "5"]);
    let added = fed(adding.env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN), "s3cret-token\n").ok();
    assert!(added.err.contains(&format!("{}/mcp/git", app.url)), "{added:?}");
    let arguments =
        ["server", "add", "docs", "--url", url, "--header", "X-Api-Key=s3cret-key", "--header", "X-B=s3cret"];
    let other = operator(&app, &arguments).ok();

    let shown = operator(&app, &["server", "show", "git"]).ok();
    let line = |name: &str| shown.out.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!((line("mode "), line("base url "), line("timeout ")), (Some("http"), Some(url), Some("5")), "{shown:?}");
    assert_eq!((line("auth type "), line("auth "), line("shared ")), (Some("bearer"), Some("type   bearer"), None));
    let docs = operator(&app, &["server", "show", "docs", "-o", "json"]).ok();
    let auth = &docs.json()["auth"];
    assert_eq!((&auth["type"], &auth["header_names"]), (&json!("headers"), &json!(["X-Api-Key", "X-B"])));
    assert_eq!(docs.json()["timeout_seconds"], 30);

    let listed = operator(&app, &["server", "list"]).ok();
    let cells: Vec<_> = listed.out.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["git", "http", "yes", "unknown", "ready", url, "-"]);
    let tested = operator(&app, &["server", "test", "git"]);
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(!format!("{added:?}{other:?}{shown:?}{docs:?}{listed:?}{tested:?}").contains("s3cret"));
}

#[actix_rt::test]
async fn a_token_is_replaced_from_standard_input() {
    let app = App::start().await;
    operator(&app, &["server", "add", "git", "--url", "http://127.0.0.1:1/mcp", "--header", "X-A=s3cret"]).ok();
    let set = |input: &str| {
        let mut setting = atryum(&["server", "set-token", "git"]);
        fed(setting.env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN), input)
    };
    assert_eq!(set("s3cret-token\n").ok().out, "git has a new token\n");
    let shown = operator(&app, &["server", "show", "git", "-o", "json"]).ok().json();
    let auth = json!({"type": "bearer", "bearer_token_set": true, "header_names": [], "oauth": null});
    assert_eq!(shown["auth"], auth);
    let nothing = set("\n");
    assert!(nothing.code == 2 && nothing.err.contains("no token on standard input"), "{nothing:?}");
    let refused = set("two words");
    assert!(refused.code == 1 && refused.err.contains("/auth/bearer_token: "), "{refused:?}");
    assert_eq!(operator(&app, &["server", "show", "git", "-o", "json"]).ok().json()["revision"], 2);
}

#[actix_rt::test]
async fn a_login_by_oauth_is_configured_and_seen_without_its_secret() {
    let app = App::start().await;
    let url = "http://127.0.0.1:1/mcp";
    let fed = |arguments: &[&str], input: &str| {
        let mut command = atryum(arguments);
        fed(command.env("ATRYUM_URL", &app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN), input)
    };
    let plain = operator(&app, &["server", "add", "wiki", "--url", url, "--oauth"]).ok();
    assert!(plain.out.contains("oauth") && plain.out.contains("connect"), "{plain:?}");
    let manual = ["--client-id", "me", "--client-secret-stdin", "--token-url", "https://as.example/token"];
    let arguments = [&["server", "add", "git", "--url", url, "--scope", "a", "--scope", "b"], &manual[..]].concat();
    let added = fed(&arguments, "s3cret\n").ok();
    let shown = operator(&app, &["server", "show", "git"]).ok();
    let line = |name: &str| shown.out.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(
        (line("auth type "), line("client id "), line("client secret ")),
        (Some("oauth"), Some("me"), Some("yes"))
    );
    assert_eq!((line("token url "), line("scopes ")), (Some("https://as.example/token"), Some("a,b")), "{shown:?}");
    assert_eq!((line("registration "), line("auth next ")), (Some("manual"), Some("connect")), "{shown:?}");

    let other = ["server", "set-oauth", "git", "--client-id", "other", "--default-scopes", "-o", "json"];
    let set = operator(&app, &other).ok();
    let oauth = &set.json()["auth"]["oauth"];
    assert_eq!((&oauth["client_id"], &oauth["client_secret_set"]), (&json!("other"), &json!(false)));
    assert_eq!((&oauth["use_default_scopes"], &oauth["token_url"]), (&json!(true), &json!("https://as.example/token")));
    assert!(set.err.contains("atryum server connect git"), "{set:?}");
    let again = fed(&["server", "set-oauth", "git", "--client-secret-stdin"], "s3cret\n").ok();
    let gone = operator(&app, &["server", "set-oauth", "git", "--no-client-secret", "-o", "json"]).ok();
    assert_eq!(gone.json()["auth"]["oauth"]["client_secret_set"], false);
    let nothing = fed(&["server", "set-oauth", "git", "--client-secret-stdin"], "\n");
    assert!(nothing.code == 2 && nothing.err.contains("no client secret on standard input"), "{nothing:?}");
    let refused = operator(&app, &["server", "set-oauth", "git", "--token-url", "http://as.example"]);
    assert!(refused.code == 1 && refused.err.contains("/auth/oauth/token_url: "), "{refused:?}");
    assert!(!format!("{plain:?}{added:?}{shown:?}{set:?}{again:?}{gone:?}{refused:?}").contains("s3cret"));
}

#[actix_rt::test]
async fn the_address_of_a_server_and_that_of_the_gateway_are_told_apart() {
    let app = App::start().await;
    let arguments = ["server", "add", "git", "--gateway-url", &app.url, "--url", "https://example.com/mcp"];
    let nowhere = "http://127.0.0.1:1";
    done(atryum(&arguments).env("ATRYUM_URL", nowhere).env("ATRYUM_TOKEN", ADMIN_TOKEN)).ok();
    let shown = operator(&app, &["server", "show", "git", "-o", "json"]).ok().json();
    assert_eq!(shown["base_url"], "https://example.com/mcp");
    let help = done(&mut atryum(&["server", "add", "--help"])).ok();
    assert!(help.out.contains("Here --url is the address of the server that is added"), "{help:?}");
    let twice = operator(&app, &["server", "--url", nowhere, "add", "x", "--url", "https://example.com/mcp"]);
    assert_eq!(
        twice.code, 2,
        "a gateway named before the verb is not taken for the server, nor the other way: {twice:?}"
    );
}

#[actix_rt::test]
async fn what_a_remote_server_cannot_have_is_refused_before_or_by_the_gateway() {
    let app = App::start().await;
    for arguments in [
        &["--url", "https://example.com", "--timeout", "0"][..],
        &["--url", "https://example.com", "--", "cat"],
        &["--url", "https://example.com", "--shared"],
        &["--url", "https://example.com", "--header", "no-value"],
        &["--client-id", "me", "--", "cat"],
    ] {
        let refused = operator(&app, &[&["server", "add", "x"], arguments].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    let refused = operator(&app, &["server", "add", "x", "--url", "http://169.254.169.254/", "--header", "Host=y"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("/base_url: ") && refused.err.contains("/auth/headers/Host: "), "{refused:?}");
}

#[actix_rt::test]
async fn tools_are_shown_with_what_the_rules_say_to_an_agent() {
    let app = demo().await;
    let tools = operator(&app, &["server", "tools", "demo", "--agent", "demo"]).ok();
    let decision = |tool: &str| {
        let line = tools.out.lines().find(|line| line.starts_with(tool)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((decision("clock"), decision("delete_everything")), ("allow".into(), "deny".into()));
    assert_eq!(decision("transfer_money"), "ask");
}

#[actix_rt::test]
async fn a_server_that_cannot_be_used_fails_its_test_with_the_reason() {
    let app = App::start().await;
    operator(&app, &["server", "add", "gone", "--", "no-such-command"]).ok();
    let tested = operator(&app, &["server", "test", "gone"]);
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(tested.err.contains("command not found: no-such-command"), "{tested:?}");
}

#[actix_rt::test]
async fn a_server_is_disabled_and_enabled() {
    let app = demo().await;
    assert_eq!(operator(&app, &["server", "disable", "demo"]).ok().out, "demo is disabled\n");
    assert_eq!(operator(&app, &["server", "show", "demo", "-o", "json"]).ok().json()["enabled"], false);
    operator(&app, &["server", "enable", "demo"]).ok();
    assert_eq!(operator(&app, &["server", "show", "demo", "-o", "json"]).ok().json()["enabled"], true);
}

#[actix_rt::test]
async fn each_field_that_is_wrong_is_named() {
    let app = App::start().await;
    let refused = operator(&app, &["server", "add", "Not_A_Name", "--cwd", "relative", "--", "x"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("\n  /name: ") && refused.err.contains("\n  /cwd: "), "{refused:?}");
}

#[actix_rt::test]
async fn what_is_not_there_and_who_is_not_known_are_told_apart() {
    let app = App::start().await;
    let missing = operator(&app, &["server", "show", "nope"]);
    assert_eq!((missing.code, missing.err.contains("nope")), (1, true), "{missing:?}");
    let unknown = done(atryum(&["server", "list"]).env("ATRYUM_URL", &app.url));
    assert!(unknown.code == 1 && unknown.err.contains("atryum login LINK"), "{unknown:?}");
}

#[actix_rt::test]
async fn a_gateway_that_is_not_there_is_said_to_be_so() {
    let unreachable = done(atryum(&["server", "list", "--url", "http://127.0.0.1:1"]).env("ATRYUM_TOKEN", ADMIN_TOKEN));
    assert_eq!(unreachable.code, 1);
    assert!(unreachable.err.starts_with("atryum: cannot reach the gateway at http://127.0.0.1:1: "), "{unreachable:?}");
}

/// A server that asks for a login at a provider.
fn asking() -> Provider {
    let provider = Provider::well_behaved();
    let at = format!("{}/.well-known/oauth-protected-resource/mcp", provider.origin);
    let challenge = format!("Bearer resource_metadata=\"{at}\"");
    provider.says("POST /mcp", Said::Whole(401, vec![("www-authenticate", challenge)], String::new()));
    provider
}

#[actix_rt::test]
async fn a_login_is_begun_here_and_made_in_a_browser() {
    let (app, provider) = (App::start().await, asking());
    app.remote("s", &provider.mcp()).await;
    let begun = operator(&app, &["server", "connect", "s", "--no-wait"]);
    assert_eq!(begun.code, 3, "{begun:?}");
    assert!(begun.out.starts_with(&format!("{}/authorize?", provider.origin)), "{begun:?}");

    let token = ADMIN_TOKEN.to_owned();
    let url = app.url.clone();
    let waiting = std::thread::spawn(move || {
        let mut waiting = atryum(&["server", "connect", "s", "-o", "json"]);
        fed(waiting.env("ATRYUM_URL", url).env("ATRYUM_TOKEN", token), "")
    });
    let database = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    eventually("the second login was begun", async || {
        (provider.asked().iter().filter(|asked| *asked == "POST /register").count() == 2).then_some(())
    })
    .await;
    // The person says no; here, that nobody comes back in time.
    eventually("it is told that the login is over", async || {
        run_sql(&database, "UPDATE oauth_flow SET expires_at = 1000").await;
        waiting.is_finished().then_some(())
    })
    .await;
    let ended = waiting.join().expect("it ends");
    assert_eq!((ended.code, &ended.json()["status"]), (1, &json!("expired")), "{ended:?}");
    assert!(ended.err.contains("nobody came back"), "{ended:?}");

    let nothing = operator(&app, &["server", "disconnect", "s"]);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(nothing.err.contains("nothing is held"), "{nothing:?}");
}
