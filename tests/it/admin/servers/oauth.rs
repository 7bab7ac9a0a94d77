//! How a login by OAuth is written and read: what is said of it beforehand, what is shown, and what an edit takes away.

use atryum::oauth::registration::Registration;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::held::{ISSUER, hold};
use crate::support::http::Answer;

const URL: &str = "https://example.com/mcp";

async fn register(app: &App, auth: Value) -> Answer {
    app.server_from(json!({"name": "git", "base_url": URL, "auth": auth})).await
}

async fn patch(app: &App, patch: Value) -> Answer {
    let answer = app.operator().patch("/api/v1/servers/git", patch.clone()).await;
    assert_eq!(answer.status, 200, "{patch}: {answer:?}");
    assert_eq!(read(app).await.json, answer.json);
    answer
}

async fn read(app: &App) -> Answer {
    app.operator().get("/api/v1/servers/git").await
}

/// What was typed, as it is shown.
fn typed(answer: &Answer) -> Value {
    let oauth = &answer.json["auth"]["oauth"];
    let names = ["client_id", "client_secret_set", "authorize_url", "token_url", "use_default_scopes", "scopes"];
    names.iter().map(|name| oauth[*name].clone()).collect()
}

fn reason(answer: &Answer) -> &str {
    let credentials = &answer.json["credentials"];
    assert_eq!((&credentials["status"], &credentials["action"]), (&json!("missing"), &json!("connect")), "{answer:?}");
    credentials["reason"].as_str().expect("a reason")
}

/// Whether a login is shown as held.
fn is_held(answer: &Answer) -> bool {
    let oauth = &answer.json["auth"]["oauth"];
    assert_eq!(oauth["connected_by"].is_null(), oauth["connected_at"].is_null(), "{answer:?}");
    !oauth["connected_by"].is_null()
}

fn manual() -> Value {
    json!({"client_id": "mine", "client_secret": "s3cr3t", "authorize_url": "https://as.example/authorize",
           "token_url": "https://as.example/token", "use_default_scopes": false, "scopes": ["read", "write"]})
}

#[actix_rt::test]
async fn a_server_that_nobody_logged_in_to_is_shown_in_the_shape_of_the_contract() {
    let app = App::start().await;
    let created = register(&app, json!({"type": "oauth"})).await;
    let oauth = json!({"client_id": null, "client_secret_set": false, "authorize_url": null, "token_url": null,
        "use_default_scopes": true, "scopes": [], "registration": null, "issuer": null, "granted_scopes": [],
        "expires_at": null, "connected_by": null, "connected_at": null});
    let auth = json!({"type": "oauth", "bearer_token_set": false, "header_names": [], "oauth": oauth});
    assert_eq!(created.json["auth"], auth);
    assert!(reason(&created).contains("nobody has logged in"), "{created:?}");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([created.json]));
}

#[actix_rt::test]
async fn a_manual_configuration_is_kept_as_it_was_typed_and_its_secret_is_not_shown() {
    let app = App::start().await;
    let created = register(&app, json!({ "oauth": manual() })).await;
    let expected =
        json!(["mine", true, "https://as.example/authorize", "https://as.example/token", false, ["read", "write"]]);
    assert_eq!((&created.json["auth"]["type"], typed(&created)), (&json!("oauth"), expected));
    assert_eq!(created.json["auth"]["oauth"]["registration"], "manual");
    assert!(!created.text.contains("s3cr3t") && !app.log().contains("s3cr3t"), "{created:?}");
    let app = app.kill_and_restart().await;
    assert_eq!(read(&app).await.json["auth"], created.json["auth"]);
}

#[actix_rt::test]
async fn the_type_of_auth_follows_from_what_is_given() {
    let blank = json!({"client_id": "", "client_secret": "", "authorize_url": null, "token_url": "",
                       "use_default_scopes": true, "scopes": []});
    for (written, expected) in [
        (json!({"oauth": {}}), "oauth"),
        (json!({"oauth": blank}), "oauth"),
        (json!({"oauth": {"client_id": "mine"}}), "oauth"),
        (json!({"oauth": {"client_id": "mine"}, "bearer_token": "", "headers": {}}), "oauth"),
        (json!({"type": "oauth", "oauth": null}), "oauth"),
        (json!({"oauth": null}), "none"),
        (json!({"type": "none", "oauth": {}}), "none"),
        (json!({"bearer_token": "t", "oauth": blank}), "bearer"),
        (json!({"headers": {"X-A": "1"}, "oauth": null}), "headers"),
    ] {
        let app = App::start().await;
        let created = register(&app, written.clone()).await;
        assert_eq!(created.json["auth"]["type"], expected, "{written}");
        assert_eq!(created.json["auth"]["oauth"].is_object(), expected == "oauth", "{written}");
    }
}

#[actix_rt::test]
async fn each_fault_is_told_at_its_place() {
    let app = App::start().await;
    for (auth, pointer) in [
        (json!({"oauth": 7}), "/auth/oauth"),
        (json!({"oauth": {"clientid": "x"}}), "/auth/oauth/clientid"),
        (json!({"oauth": {"issuer": ISSUER}}), "/auth/oauth/issuer"),
        (json!({"oauth": {"client_id": "a\nb"}}), "/auth/oauth/client_id"),
        (json!({"oauth": {"client_secret": "s3cr3t"}}), "/auth/oauth/client_secret"),
        (json!({"oauth": {"client_id": "", "client_secret": "s3cr3t"}}), "/auth/oauth/client_secret"),
        (json!({"oauth": {"client_id": "x", "client_secret": "s3cr3t\n"}}), "/auth/oauth/client_secret"),
        (json!({"oauth": {"client_id": "x", "client_secret": ["s3cr3t"]}}), "/auth/oauth/client_secret"),
        (json!({"oauth": {"authorize_url": "http://as.example/a"}}), "/auth/oauth/authorize_url"),
        (json!({"oauth": {"authorize_url": "as.example"}}), "/auth/oauth/authorize_url"),
        (json!({"oauth": {"token_url": "http://192.168.0.1/t"}}), "/auth/oauth/token_url"),
        (json!({"oauth": {"token_url": "https://169.254.169.254/"}}), "/auth/oauth/token_url"),
        (json!({"oauth": {"token_url": "https://x:s3cr3t@as.example/"}}), "/auth/oauth/token_url"),
        (json!({"oauth": {"use_default_scopes": false}}), "/auth/oauth/scopes"),
        (json!({"oauth": {"use_default_scopes": false, "scopes": null}}), "/auth/oauth/scopes"),
        (json!({"oauth": {"use_default_scopes": true, "scopes": ["a"]}}), "/auth/oauth/scopes"),
        (json!({"oauth": {"scopes": "a b"}}), "/auth/oauth/scopes"),
        (json!({"oauth": {"scopes": ["a", "a b"]}}), "/auth/oauth/scopes/1"),
        (json!({"oauth": {"scopes": ["a", "a"]}}), "/auth/oauth/scopes/1"),
        (json!({"type": "bearer", "oauth": {"client_id": "x"}}), "/auth/oauth"),
        (json!({"bearer_token": "t", "oauth": {"client_id": "x"}}), "/auth/oauth"),
        (json!({"type": "oauth", "bearer_token": "s3cr3t"}), "/auth/bearer_token"),
        (json!({"type": "oauth", "headers": {"X-A": "s3cr3t"}}), "/auth/headers"),
    ] {
        let body = json!({"name": "git", "base_url": URL, "auth": auth});
        for path in ["/api/v1/servers", "/api/v1/servers/test"] {
            let answer = app.operator().post(path, body.clone()).await;
            let error = &answer.json["errors"][0];
            assert_eq!((answer.status, error["pointer"].as_str()), (422, Some(pointer)), "{body}: {answer:?}");
            assert!(!answer.text.contains("s3cr3t"), "{answer:?}");
        }
    }
    let local = json!({"name": "calc", "command": "cat", "auth": {"oauth": {"client_id": "x"}}});
    let answer = app.operator().post("/api/v1/servers", local).await;
    assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!("/auth")), "{answer:?}");
    app.server_from(json!({"name": "calc", "command": "cat"})).await;
    let answer = app.operator().patch("/api/v1/servers/calc", json!({"auth": {"type": "oauth"}})).await;
    assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!("/auth")), "{answer:?}");
}

#[actix_rt::test]
async fn each_member_is_kept_replaced_and_cleared_by_what_is_said_of_it() {
    let app = App::start().await;
    register(&app, json!({"oauth": {"client_id": "mine", "client_secret": "s3cr3t"}})).await;
    let (authorize, token) = ("https://as.example/authorize", "http://127.0.0.1:9/token");
    for (oauth, expected) in [
        (json!({}), json!(["mine", true, null, null, true, []])),
        (json!({"client_secret": ""}), json!(["mine", true, null, null, true, []])),
        (json!({"scopes": []}), json!(["mine", true, null, null, true, []])),
        (json!({"scopes": ["b", "a"]}), json!(["mine", true, null, null, false, ["b", "a"]])),
        (json!({"use_default_scopes": false}), json!(["mine", true, null, null, false, ["b", "a"]])),
        (json!({"scopes": []}), json!(["mine", true, null, null, false, []])),
        (json!({"use_default_scopes": true}), json!(["mine", true, null, null, true, []])),
        (json!({"use_default_scopes": false, "scopes": ["c"]}), json!(["mine", true, null, null, false, ["c"]])),
        (json!({"scopes": null}), json!(["mine", true, null, null, true, []])),
        (json!({"scopes": ["c"]}), json!(["mine", true, null, null, false, ["c"]])),
        (json!({"use_default_scopes": null}), json!(["mine", true, null, null, true, []])),
        (json!({"authorize_url": authorize}), json!(["mine", true, authorize, null, true, []])),
        (json!({"client_secret": null}), json!(["mine", false, authorize, null, true, []])),
        (json!({"token_url": token, "client_secret": "s3cr3t-2"}), json!(["mine", true, authorize, token, true, []])),
        (json!({"authorize_url": "", "client_secret": ""}), json!(["mine", true, null, token, true, []])),
        (json!({"client_id": "other", "client_secret": "s3cr3t-3"}), json!(["other", true, null, token, true, []])),
        (json!({"client_id": null}), json!([null, false, null, token, true, []])),
        (json!(null), json!([null, false, null, null, true, []])),
    ] {
        let edited = patch(&app, json!({"auth": {"oauth": oauth}})).await;
        assert_eq!(typed(&edited), expected, "{oauth}");
        assert_eq!(edited.json["auth"]["type"], "oauth", "{oauth}");
        assert!(!edited.text.contains("s3cr3t"), "{edited:?}");
    }
    assert!(reason(&read(&app).await).contains("nobody has logged in"));
}

#[actix_rt::test]
async fn a_client_secret_is_for_one_client_and_one_place_and_what_took_it_away_is_said() {
    let app = App::start().await;
    register(&app, json!({ "oauth": manual() })).await;
    let secret = json!({"auth": {"oauth": {"client_secret": "s3cr3t"}}});
    for stays in [
        json!({"base_url": "https://EXAMPLE.com:443/elsewhere"}),
        json!({"auth": {"oauth": {"token_url": "https://AS.example:443/other"}}}),
        json!({"auth": {"oauth": {"authorize_url": "https://elsewhere.example/"}}}),
        json!({"auth": {"oauth": {"client_id": "mine", "scopes": ["c"]}}}),
        json!({"timeout_seconds": 7, "enabled": false}),
    ] {
        assert_eq!(typed(&patch(&app, stays.clone()).await)[1], true, "{stays}");
    }
    for (goes, why) in [
        (json!({"base_url": "https://evil.example/mcp"}), "the base URL moved away from https://example.com"),
        (json!({"auth": {"oauth": {"token_url": "https://evil.example/token"}}}), "the token URL was changed"),
        (json!({"auth": {"oauth": {"token_url": null}}}), "the token URL was changed"),
        (json!({"auth": {"oauth": {"token_url": "https://as.example/token"}}}), "the token URL was changed"),
        (json!({"auth": {"oauth": {"client_id": "another"}}}), "the client id was changed"),
    ] {
        let edited = patch(&app, goes.clone()).await;
        assert_eq!(typed(&edited)[1], false, "{goes}");
        assert!(reason(&edited).contains(&format!("the client secret was removed when {why}")), "{edited:?}");
        let later = patch(&app, json!({"timeout_seconds": 9})).await;
        assert_eq!(later.json["credentials"], edited.json["credentials"], "it goes on being said");
        let given = patch(&app, secret.clone()).await;
        assert!(reason(&given).contains("nobody has logged in"), "{given:?}");
        assert_eq!(typed(&given)[1], true);
    }
    let with = json!({"base_url": URL, "auth": {"oauth": {"client_id": "third", "client_secret": "s3cr3t"}}});
    assert!(reason(&patch(&app, with).await).contains("nobody has logged in"), "what is given anew is not missed");
}

#[actix_rt::test]
async fn what_a_login_brought_is_shown_without_its_tokens() {
    let app = App::start().await;
    register(&app, json!({"type": "oauth"})).await;
    app.server_from(json!({"name": "other", "base_url": URL, "auth": {"type": "oauth"}})).await;
    let app = hold(app, "git", "given-to-us", Registration::Dynamic).await;
    let shown = read(&app).await;
    let oauth = &shown.json["auth"]["oauth"];
    let known = ["client_id", "registration", "issuer", "granted_scopes", "expires_at", "connected_by"];
    let known: Vec<_> = known.iter().map(|name| oauth[*name].clone()).collect();
    let expires = "2100-01-01T00:00:00.000Z";
    assert_eq!(json!(known), json!(["given-to-us", "dynamic", ISSUER, ["read"], expires, "ann"]));
    assert!(oauth["connected_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{oauth}");
    assert_eq!(oauth["client_secret_set"], false);
    assert_eq!(shown.json["credentials"], json!({"status": "ready", "reason": null, "action": null}));
    let listed = app.operator().get("/api/v1/servers").await;
    assert_eq!(listed.json["items"][0], shown.json);
    assert_eq!(listed.json["items"][1]["auth"]["oauth"]["connected_by"], json!(null));
    assert!(!format!("{shown:?}{listed:?}{}", app.log()).contains("s3cr3t"), "{shown:?}");
}

#[actix_rt::test]
async fn an_edit_of_what_a_login_is_for_forgets_it_and_says_why_until_the_next_one() {
    let mut app = App::start().await;
    register(&app, json!({"type": "oauth"})).await;
    for (edit, why) in [
        (json!({"base_url": "https://evil.example/mcp"}), "the base URL moved away from https://example.com"),
        (json!({"auth": {"oauth": {"client_id": "mine"}}}), "the client id was changed"),
        (json!({"auth": {"oauth": {"token_url": "https://as.example/other"}}}), "the token URL was changed"),
        (json!({"auth": {"oauth": {"authorize_url": "https://as.example/other"}}}), "the authorize URL was changed"),
        (json!({"auth": {"oauth": null}}), "the client id was changed"),
    ] {
        app = hold(app, "git", "another", Registration::Manual).await;
        for other in [
            json!({"timeout_seconds": 7}),
            json!({"enabled": false}),
            json!({"enabled": true, "auth": {}}),
            json!({"auth": {"oauth": {"scopes": ["write"]}}}),
            json!({"auth": {"type": "oauth", "bearer_token": "", "oauth": {"client_secret": ""}}}),
        ] {
            assert!(is_held(&patch(&app, other.clone()).await), "{other}");
        }
        let edited = patch(&app, edit.clone()).await;
        assert!(!is_held(&edited), "{edit}");
        assert!(reason(&edited).starts_with(&format!("the login was removed when {why}")), "{edited:?}");
        let later = patch(&app, json!({"timeout_seconds": 9})).await;
        assert_eq!(later.json["credentials"], edited.json["credentials"], "it goes on being said");
    }
    app = hold(app, "git", "x", Registration::Dynamic).await;
    app.kill();
    let url = format!("sqlite:{}", app.dir().join("data/atryum.db").display());
    crate::support::database::run_sql(&url, "DELETE FROM credential").await;
    app = app.kill_and_restart().await;
    assert!(reason(&read(&app).await).contains("nobody has logged in"), "the last login ended what was missing before");
}

#[actix_rt::test]
async fn another_type_of_auth_leaves_nothing_of_a_login() {
    for other in [json!({"bearer_token": "t"}), json!({"headers": {"X-A": "1"}}), json!({"type": "none"}), json!(null)]
    {
        let app = App::start().await;
        register(&app, json!({ "oauth": manual() })).await;
        let app = hold(app, "git", "mine", Registration::Manual).await;
        assert!(is_held(&read(&app).await));
        assert_eq!(patch(&app, json!({ "auth": other })).await.json["auth"]["oauth"], json!(null), "{other}");
        let back = patch(&app, json!({"auth": {"type": "oauth"}})).await;
        assert_eq!((typed(&back), is_held(&back)), (json!([null, false, null, null, true, []]), false), "{other}");
        assert_eq!(back.json["auth"]["oauth"]["issuer"], json!(null));
        assert!(reason(&back).contains("nobody has logged in"), "{back:?}");
    }
}

#[actix_rt::test]
async fn an_edit_that_is_refused_takes_nothing_away() {
    let app = App::start().await;
    register(&app, json!({ "oauth": manual() })).await;
    let app = hold(app, "git", "mine", Registration::Manual).await;
    let before = read(&app).await;
    for refused in [
        json!({"auth": {"oauth": {"client_id": "other", "token_url": "http://as.example"}}}),
        json!({"base_url": "http://169.254.169.254"}),
        json!({"auth": {"type": "bearer", "bearer_token": "a b"}}),
        json!({"auth": {"type": "none"}, "timeout_seconds": 0}),
    ] {
        assert_eq!(app.operator().patch("/api/v1/servers/git", refused.clone()).await.status, 422, "{refused}");
    }
    let stale = app.operator().header("if-match", "\"1\"").patch("/api/v1/servers/git", json!({"auth": null})).await;
    assert_eq!(stale.status, 412);
    let after = read(&app).await;
    assert_eq!((&after.json["auth"], &after.json["revision"]), (&before.json["auth"], &before.json["revision"]));
    assert!(is_held(&after));
}

#[actix_rt::test]
async fn who_writes_back_what_is_shown_changes_nothing() {
    let app = App::start().await;
    register(&app, json!({"type": "oauth"})).await;
    let app = hold(app, "git", "given-to-us", Registration::Dynamic).await;
    let shown = read(&app).await;
    let written = |shown: &Answer| {
        let oauth = &shown.json["auth"]["oauth"];
        let names = ["client_id", "authorize_url", "token_url", "use_default_scopes", "scopes"];
        let mut members: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), oauth[*name].clone())).collect();
        members.insert("client_secret".into(), json!(""));
        json!({"base_url": shown.json["base_url"], "auth": {"type": "oauth", "bearer_token": "", "oauth": members}})
    };
    let same = patch(&app, written(&shown)).await;
    assert_eq!(same.json["auth"], shown.json["auth"]);
    let nothing_typed = patch(&app, json!({"auth": {"oauth": {"client_id": null}}})).await;
    assert_eq!(nothing_typed.json["auth"], shown.json["auth"], "what was written back was never taken for typed");
    patch(&app, json!({"auth": {"oauth": manual()}})).await;
    let app = hold(app, "git", "mine", Registration::Manual).await;
    let shown = read(&app).await;
    let same = patch(&app, written(&shown)).await;
    assert_eq!(same.json["auth"], shown.json["auth"]);
    let typed_now = patch(&app, json!({"auth": {"oauth": {"client_id": "mine", "client_secret": "s3cr3t"}}})).await;
    assert!(is_held(&typed_now), "another secret of the same client takes no login away");
}

#[actix_rt::test]
async fn a_draft_is_tried_as_a_server_that_nobody_logged_in_to() {
    let app = App::start().await;
    let draft = json!({"name": "draft", "base_url": "http://127.0.0.1:1/mcp", "auth": {"oauth": manual()}});
    let tried = app.operator().post("/api/v1/servers/test", draft).await;
    assert_eq!((tried.status, &tried.json["ok"]), (200, &json!(false)), "{tried:?}");
    assert_eq!(tried.json["credentials"]["status"], "missing", "{tried:?}");
    assert!(!tried.text.contains("s3cr3t"), "{tried:?}");
    assert_eq!(app.operator().get("/api/v1/servers").await.json["items"], json!([]));
}
