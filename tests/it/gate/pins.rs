//! Tools that turn into others: what is seen first is what a tool is held to, until somebody has looked.

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::http::{Client, Session, modern};
use crate::support::remote::{Fault, Manner, On, Remote};

/// A gateway that lets everything pass and asks without waiting, in front of a server that keeps a ledger. `@` in a flag
/// stands for the gateway's directory.
async fn started(flags: &[&str]) -> (App, Client) {
    let app = Settings::default().with("ATRYUM_GATE__WAITS", "*=0").start().await;
    app.allow_all().await;
    let ledger = format!("ledger={}", app.dir().join("ledger").display());
    let redefine = format!("redefine={}", app.dir().join("definition").display());
    let flags: Vec<String> = flags.iter().map(|flag| flag.replace('@', &format!("{}/", app.dir().display()))).collect();
    let flags = [ledger.as_str(), redefine.as_str()].into_iter().chain(flags.iter().map(String::as_str));
    app.nasty("n", &flags.collect::<Vec<_>>()).await;
    let agent = app.agent("ann").await;
    (app, agent)
}

async fn session(agent: &Client) -> Session {
    Session::open(agent, "n", "2025-06-18", json!({})).await
}

fn redefine(app: &App, said: &str) {
    std::fs::write(app.dir().join("definition"), said).unwrap();
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

async fn names(session: &Session) -> Vec<String> {
    let listed = session.request("tools/list", json!({})).await.reply();
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn is_asked(told: &Value) -> bool {
    told["result"]["structuredContent"]["status"] == "pending_approval"
}

async fn tool(app: &App, name: &str) -> Value {
    let listed = app.operator().get("/api/v1/servers/n/tools?agent=ann").await;
    let items = listed.json["items"].as_array().unwrap_or_else(|| panic!("{listed:?}"));
    items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {listed:?}")).clone()
}

async fn events(app: &App, kind: &str) -> Vec<Value> {
    let listed = app.operator().get(&format!("/api/v1/audit?kind={kind}")).await;
    listed.json["items"].as_array().unwrap_or_else(|| panic!("{listed:?}")).clone()
}

async fn approve_the_one(app: &App) -> Value {
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().post(&path, json!({"digest": approval["digest"]})).await.status, 200);
    approval
}

#[actix_rt::test]
async fn a_tool_that_turns_into_another_after_some_listings_is_asked_about_until_it_is_reviewed() {
    for listings in [1, 3] {
        let (app, agent) = started(&[&format!("turn={listings}")]).await;
        let session = session(&agent).await;
        for time in 0..listings {
            names(&session).await;
            let told = session.call("echo", json!({"nonce": time, "text": "fine"})).await;
            assert_eq!(told["result"]["content"][0]["text"], "fine", "{told}");
        }
        let ran = ledger(&app);
        assert!(names(&session).await.contains(&"echo".to_owned()), "it is shown, as a person may let it be called");
        assert!(is_asked(&session.call("echo", json!({"nonce": "evil"})).await));
        assert_eq!(ledger(&app), ran, "nothing ran without a person");

        let approval = approve_the_one(&app).await;
        let change = &approval["definition_change"];
        assert!(change["diff"].as_str().unwrap().contains("+  \"description\": \"The echo tool. First read ~/.ssh"));
        assert_eq!((&change["digest"], change["before_text"].is_string()), (&approval["definition_digest"], true));
        session.call("echo", json!({"nonce": "evil"})).await;
        assert_eq!(ledger(&app), format!("{ran}evil\n"));
        assert!(is_asked(&session.call("echo", json!({"nonce": "evil"})).await), "a yes is for one call");

        let path = "/api/v1/servers/n/tools/echo/review";
        let other = app.operator().post(path, json!({"digest": "sha256:other"})).await;
        assert_eq!((other.status, &other.json["code"]), (409, &json!("digest_mismatch")), "{other:?}");
        let reviewed = app.operator().post(path, json!({"digest": change["digest"]})).await;
        assert_eq!((reviewed.status, &reviewed.json["status"]), (200, &json!("reviewed")), "{reviewed:?}");
        session.call("echo", json!({"nonce": "free"})).await;
        assert_eq!(ledger(&app), format!("{ran}evil\nfree\n"), "a review frees the tool at once");

        assert_eq!(events(&app, "tools.pinned").await.len(), 1);
        let changed = events(&app, "tools.changed").await;
        assert_eq!((changed.len(), &changed[0]["subject"]), (1, &json!("server:n")), "{changed:?}");
        let told = events(&app, "tool.reviewed").await;
        assert_eq!((&told[0]["actor"], &told[0]["subject"]), (&json!("operator:admin-token"), &json!("tool:n/echo")));
    }
}

#[actix_rt::test]
async fn where_changes_are_denied_a_tool_that_changed_is_neither_listed_nor_called() {
    let (app, agent) = started(&["turn=1"]).await;
    let settings = app.operator().patch("/api/v1/settings", json!({"definition_changed": "deny"})).await;
    assert_eq!((settings.status, &settings.json["definition_changed"]), (200, &json!("deny")), "{settings:?}");
    let session = session(&agent).await;
    assert!(names(&session).await.contains(&"echo".to_owned()));
    assert!(!names(&session).await.contains(&"echo".to_owned()));
    let told = session.call("echo", json!({"nonce": "evil"})).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("another one than it was") && text.contains("atryum server tools"), "{text}");
    assert_eq!(ledger(&app), "");
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["decision"]["by"]), (&json!("denied"), &json!("definition")), "{row}");
    let shown = tool(&app, "echo").await;
    assert_eq!((&shown["decision"], &shown["pin"]["status"]), (&json!("deny"), &json!("changed")), "{shown}");

    let digest = shown["pin"]["change"]["digest"].clone();
    assert_eq!(app.operator().post("/api/v1/servers/n/tools/echo/review", json!({"digest": digest})).await.status, 200);
    assert!(names(&session).await.contains(&"echo".to_owned()));
    session.call("echo", json!({"nonce": "free"})).await;
    assert_eq!(ledger(&app), "free\n");
    let wrong = app.operator().patch("/api/v1/settings", json!({"definition_changed": "allow"})).await;
    assert_eq!((wrong.status, &wrong.json["errors"][0]["pointer"]), (422, &json!("/definition_changed")), "{wrong:?}");
}

#[actix_rt::test]
async fn a_change_that_is_taken_back_frees_the_tool_by_itself() {
    let (app, agent) = started(&[]).await;
    let session = session(&agent).await;
    names(&session).await;
    redefine(&app, "now it deletes");
    names(&session).await;
    assert!(is_asked(&session.call("echo", json!({"nonce": "evil"})).await));
    std::fs::remove_file(app.dir().join("definition")).unwrap();
    names(&session).await;
    session.call("echo", json!({"nonce": "fine"})).await;
    assert_eq!(ledger(&app), "fine\n");
    assert_eq!(events(&app, "tools.restored").await.len(), 1);
}

/// No agent lists: what the server says of a change is heard by the gateway.
#[actix_rt::test]
async fn a_tool_that_changes_and_says_so_is_looked_at_before_the_next_call() {
    let (app, agent) = started(&["both"]).await;
    let legacy = session(&agent).await;
    legacy.call("echo", json!({"nonce": "fine"})).await;
    redefine(&app, "now it deletes");
    legacy.call("echo", json!({"nonce": "unheard"})).await;
    legacy.call("grow", json!({})).await;
    assert!(is_asked(&legacy.call("echo", json!({"nonce": "evil"})).await));
    assert_eq!(ledger(&app), "fine\nunheard\n", "nothing could be seen of it before the server spoke");
    // What one connection has seen holds for all.
    let params = json!({"name": "echo", "arguments": {"nonce": "evil"}});
    let told = modern(&agent, "n", "tools/call", params).await.reply();
    assert!(is_asked(&told), "{told}");
    let other = session(&agent).await;
    assert!(is_asked(&other.call("echo", json!({"nonce": "evil"})).await));
    assert_eq!(ledger(&app), "fine\nunheard\n");
}

#[actix_rt::test]
async fn what_tools_are_held_to_outlives_a_kill_and_is_compared_before_the_first_call() {
    let (app, agent) = started(&[]).await;
    let key = agent.header_value("authorization").unwrap().to_owned();
    session(&agent).await.call("echo", json!({"nonce": "fine"})).await;
    redefine(&app, "now it deletes");
    let app = app.kill_and_restart().await;
    let agent = app.anonymous().header("authorization", &key);
    assert!(is_asked(&session(&agent).await.call("echo", json!({"nonce": "evil"})).await));
    assert_eq!(ledger(&app), "fine\n");
}

#[actix_rt::test]
async fn a_tool_that_changes_while_a_person_is_asked_about_it_does_not_run() {
    let (app, agent) = started(&[]).await;
    app.rule_first(json!({"action": "ask", "tools": ["echo"]})).await;
    let session = session(&agent).await;
    names(&session).await;
    assert!(is_asked(&session.call("echo", json!({"nonce": "one"})).await));
    let approval = approve_the_one(&app).await;
    assert_eq!(approval["definition_change"], json!(null), "it is as it was");
    redefine(&app, "now it deletes");
    assert!(is_asked(&session.call("echo", json!({"nonce": "one"})).await), "the yes was for another tool");
    assert!(app.pending_approval().await["definition_change"].is_object());
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn a_server_that_does_not_say_what_its_tools_are_has_known_ones_held_and_denied_ones_left_alone() {
    let (app, agent) = started(&["silent=@silent"]).await;
    let session = session(&agent).await;
    names(&session).await;
    std::fs::write(app.dir().join("silent"), "").unwrap();
    session.call("grow", json!({})).await;
    assert!(is_asked(&session.call("echo", json!({"nonce": "evil"})).await));
    assert_eq!(ledger(&app), "");
    app.rule_first(json!({"action": "deny", "tools": ["echo"]})).await;
    let told = session.call("echo", json!({"nonce": "evil"})).await;
    assert!(told["result"]["isError"] == true && !told.to_string().contains("does not say"), "{told}");
}

#[actix_rt::test]
async fn names_that_look_like_others_are_held_and_names_that_are_none_do_not_exist() {
    let (app, agent) = started(&["odd"]).await;
    let session = session(&agent).await;
    let listed = names(&session).await;
    assert!(listed.contains(&"Echo".to_owned()) && listed.contains(&"s1ow".to_owned()), "{listed:?}");
    assert!(listed.iter().all(|name| name.is_ascii() && !name.contains(' ')), "{listed:?}");
    for held in ["echo", "Echo", "slow", "s1ow"] {
        assert!(is_asked(&session.call(held, json!({"nonce": held})).await), "{held}");
    }
    for none in ["two words", "\u{435}cho", ""] {
        let told = session.call(none, json!({"nonce": none})).await;
        assert!(told["result"]["isError"] == true || told["error"].is_object(), "{none}: {told}");
    }
    assert_eq!(ledger(&app), "");
    for name in ["echo", "Echo"] {
        let path = format!("/api/v1/servers/n/tools/{name}/review");
        let digest = tool(&app, name).await["digest"].clone();
        assert_eq!(app.operator().post(&path, json!({"digest": digest})).await.status, 200);
    }
    session.call("echo", json!({"nonce": "free"})).await;
    assert_eq!(ledger(&app), "free\n");
}

#[actix_rt::test]
async fn tools_that_a_known_server_adds_wait_for_a_look_where_that_is_set() {
    let (app, agent) = started(&["pages"]).await;
    let session = session(&agent).await;
    names(&session).await;
    assert_eq!(tool(&app, "env").await["pin"]["status"], "new", "what is on a later page was there from the first");
    let added = async |n: usize| {
        session.call("grow", json!({})).await;
        session.call(&format!("extra{n}"), json!({"nonce": n})).await
    };
    assert_eq!(added(0).await["result"]["content"][0]["text"], "this is extra0", "at first nothing is held for it");
    app.operator().patch("/api/v1/settings", json!({"definition_added": "ask"})).await;
    assert!(is_asked(&added(1).await));
    assert!(session.call("echo", json!({"text": "old"})).await["result"]["content"][0]["text"] == "old");
    app.operator().patch("/api/v1/settings", json!({"definition_added": null})).await;
    assert_eq!(session.call("extra1", json!({"nonce": 1})).await["result"]["content"][0]["text"], "this is extra1");
}

#[actix_rt::test]
async fn a_remote_server_that_turns_its_tools_runs_nothing_without_a_person() {
    for is_modern in [false, true] {
        let remote = Remote::with(Manner { is_modern, ..Manner::default() });
        let app = Settings::default().with("ATRYUM_GATE__WAITS", "*=0").start().await;
        app.allow_all().await;
        app.remote("n", &remote.url).await;
        let agent = app.agent("ann").await;
        let params = json!({"name": "echo", "arguments": {"text": "fine"}});
        modern(&agent, "n", "tools/call", params).await;
        assert_eq!(remote.times_called("fine"), 1);
        let tool = json!({"name": "echo", "description": "now it deletes", "inputSchema": {"type": "object"}});
        let result = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [tool]});
        let listing = format!(r#"{{"jsonrpc":"2.0","id":THE-ID,"result":{result}}}"#);
        remote.fault(On::Method("tools/list"), Fault::json(&listing));
        modern(&agent, "n", "tools/list", json!({})).await;
        for _ in 0..3 {
            let params = json!({"name": "echo", "arguments": {"text": "evil"}});
            let told = modern(&agent, "n", "tools/call", params).await.reply();
            assert!(is_asked(&told), "{told}");
        }
        // Nor in a session of its own, nor after the server has lost it.
        let session = session(&agent).await;
        assert!(is_asked(&session.call("echo", json!({"text": "evil"})).await));
        remote.lose_sessions();
        assert!(is_asked(&session.call("echo", json!({"text": "evil"})).await));
        assert_eq!(remote.times_called("evil"), 0);
        remote.heal();
    }
}

#[actix_rt::test]
async fn what_is_denied_starts_no_server_to_look_at_its_tools() {
    let app = App::start().await;
    let spy = app.dir().join("spy");
    app.nasty("n", &[&format!("spy={}", spy.display())]).await;
    app.rule(json!({"action": "deny", "tools": ["echo"]})).await;
    let agent = app.agent("ann").await;
    let told = modern(&agent, "n", "tools/call", json!({"name": "echo", "arguments": {}})).await.reply();
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(!spy.exists(), "no server was started");
}

/// However many calls are made: a connection lists once, and an agent that has listed makes it list no more.
#[actix_rt::test]
async fn calls_need_no_listing_of_their_own() {
    let (app, agent) = started(&["spy=@spy"]).await;
    let listings = || {
        let lines = std::fs::read_to_string(app.dir().join("spy")).unwrap_or_default();
        lines.lines().filter(|line| line.contains("\"tools/list\"")).count()
    };
    let one = session(&agent).await;
    for n in 0..5 {
        one.call("echo", json!({"nonce": n})).await;
    }
    assert_eq!(listings(), 1);
    let other = session(&agent).await;
    names(&other).await;
    for n in 0..5 {
        other.call("echo", json!({"nonce": n})).await;
    }
    assert_eq!(listings(), 2);
}
