//! Each edit that an operator can make is told in the audit; a route that was forgotten here fails.

use std::cell::RefCell;
use std::collections::BTreeSet;

use atryum::http::routes::{Access, INVENTORY};
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::connecting::{connect, wanted};
use crate::support::guarded::Guarded;
use crate::support::http::{Answer, Session};

/// What can be posted and changes nothing, so that nothing is told of it.
const LOOKS: [(&str, &str); 3] = [
    ("POST", "/api/v1/rules/test"),
    ("POST", "/api/v1/approvals/{id}/remember"),
    // A signature is no event: it stands beside them, and with them in every export.
    ("POST", "/api/v1/audit/checkpoint"),
];

/// An operator at work, and what was tried already.
struct Acts<'a> {
    app: &'a App,
    done: RefCell<BTreeSet<(String, String)>>,
}

impl Acts<'_> {
    async fn events(&self) -> Vec<Value> {
        self.app.operator().get("/api/v1/audit?limit=50").await.json["items"].as_array().expect("items").clone()
    }

    /// Takes the route with `{name}`, `{tool}` and `{id}` filled in; what happens must be told as `kind`, by an operator.
    async fn act(&self, method: &str, route: &str, ids: &[&str], body: Value, kind: &str) -> Answer {
        let mut path = route.to_owned();
        for (place, id) in ["{name}", "{tool}", "{id}"].iter().filter(|place| route.contains(**place)).zip(ids) {
            path = path.replace(place, id);
        }
        let last = self.events().await[0]["seq"].as_i64().unwrap();
        let operator = self.app.operator().header("content-type", "application/json");
        let text = if method == "DELETE" { String::new() } else { body.to_string() };
        let answer = operator.send(method, &path, text).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        self.is_told(last, method, route, kind).await;
        answer
    }

    async fn is_told(&self, last: i64, method: &str, route: &str, kind: &str) {
        let events = self.events().await;
        let told = events.iter().filter(|event| event["seq"].as_i64().unwrap() > last);
        let told: Vec<_> = told.filter(|event| event["kind"] == kind).collect();
        assert_eq!(told.len(), 1, "{method} {route} is told as {kind}: {events:#?}");
        assert!(told[0]["actor"].as_str().unwrap().starts_with("operator:"), "{}", told[0]);
        self.done.borrow_mut().insert((method.to_owned(), route.to_owned()));
    }

    async fn servers(&self) {
        let draft = json!({"name": "calc", "mode": "stdio", "command": "/bin/false"});
        self.act("POST", "/api/v1/servers/test", &[], draft.clone(), "server.draft_tested").await;
        self.act("POST", "/api/v1/servers", &[], draft, "server.created").await;
        let one = "/api/v1/servers/{name}";
        self.act("PATCH", one, &["calc"], json!({"cwd": "/"}), "server.updated").await;
        self.act("POST", "/api/v1/servers/{name}/test", &["calc"], json!({}), "server.tested").await;
        self.act("POST", "/api/v1/servers/{name}/restart", &["calc"], json!({}), "server.restarted").await;
        self.act("DELETE", one, &["calc"], json!({}), "server.deleted").await;
        let guarded = Guarded::start().await;
        self.app.server_from(json!({"name": "g", "base_url": guarded.mcp()})).await;
        wanted(self.app, "g", "connect").await;
        self.act("POST", "/api/v1/servers/{name}/connect", &["g"], json!({}), "oauth_flow.begun").await;
        connect(self.app, "g", &guarded).await;
        self.act("DELETE", "/api/v1/servers/{name}/credential", &["g"], json!({}), "credential.deleted").await;
    }

    async fn rules(&self) {
        let created = self.act("POST", "/api/v1/rules", &[], json!({"action": "deny"}), "rule.created").await;
        let id = created.json["id"].as_str().unwrap().to_owned();
        let order = json!({"ids": [id]});
        self.act("PUT", "/api/v1/rules/order", &[], order, "rule_set.reordered").await;
        self.act("PUT", "/api/v1/rules/default", &[], json!({"action": "deny"}), "rule_set.default_changed").await;
        self.act("POST", "/api/v1/rules/simulate", &[], json!({}), "rule_set.simulated").await;
        self.act("PATCH", "/api/v1/rules/{id}", &[&id], json!({"action": "ask"}), "rule.updated").await;
        self.act("DELETE", "/api/v1/rules/{id}", &[&id], json!({}), "rule.deleted").await;
        self.app.operator().put("/api/v1/rules/default", json!({"action": "ask"})).await;
    }

    async fn approvals(&self) {
        self.app.nasty("n", &[]).await;
        let session = Session::open(&self.app.agent("asker").await, "n", "2025-11-25", json!({})).await;
        let _one = session.open_call("echo", json!({"text": "one"}), None).await;
        let (id, digest) = self.asked().await;
        let of = |verb: &str| format!("/api/v1/approvals/{{id}}/{verb}");
        self.act("POST", &of("extend"), &[&id], json!({"seconds": 60}), "approval.extended").await;
        let edited = json!({"digest": digest, "arguments_text": "{\"text\":\"other\"}"});
        self.act("POST", &of("approve"), &[&id], edited, "approval.approved").await;
        let told = self.events().await;
        let told = told.iter().find(|event| event["kind"] == "approval.approved").unwrap();
        for member in ["digest", "edited_arguments_digest"] {
            assert!(told["data"][member].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{told}");
        }
        let _two = session.open_call("echo", json!({"text": "two"}), None).await;
        let (id, digest) = self.asked().await;
        let remember = json!({"expires_at": "2027-06-01T00:00:00Z"});
        let body = json!({"digest": digest, "remember": remember});
        let last = self.events().await[0]["seq"].as_i64().unwrap();
        self.act("POST", &of("deny"), &[&id], body, "approval.denied").await;
        self.is_told(last, "POST", &of("deny"), "rule.created").await;
    }

    async fn asked(&self) -> (String, Value) {
        let approval = self.app.pending_approval().await;
        (approval["id"].as_str().unwrap().to_owned(), approval["digest"].clone())
    }

    /// What `approvals` called is pinned by now.
    async fn tools(&self) {
        let (tools, review) = ("/api/v1/servers/{name}/tools", "/api/v1/servers/{name}/tools/{tool}/review");
        let listed = self.app.operator().get(&tools.replace("{name}", "n")).await;
        let echo = listed.json["items"].as_array().unwrap().iter().find(|item| item["name"] == "echo").unwrap().clone();
        self.act("POST", review, &["n", "echo"], json!({"digest": echo["digest"]}), "tool.reviewed").await;
        let strict = json!({"definition_changed": "deny"});
        self.act("PATCH", "/api/v1/settings", &[], strict, "settings.updated").await;
    }

    async fn agents(&self) {
        self.act("POST", "/api/v1/agents", &[], json!({"name": "bob"}), "agent.created").await;
        self.act("PATCH", "/api/v1/agents/{name}", &["bob"], json!({"servers": ["a"]}), "agent.updated").await;
        let key = self.act("POST", "/api/v1/agents/{name}/keys", &["bob"], json!({}), "agent_key.created").await;
        let id = key.json["id"].as_str().unwrap().to_owned();
        self.act("DELETE", "/api/v1/agents/{name}/keys/{id}", &["bob", &id], json!({}), "agent_key.revoked").await;
        self.act("DELETE", "/api/v1/agents/{name}", &["bob"], json!({}), "agent.deleted").await;
    }

    async fn channels(&self) {
        let draft = json!({"name": "ops", "kind": "command", "command": ["/bin/false"]});
        self.act("POST", "/api/v1/channels", &[], draft, "channel.created").await;
        let one = "/api/v1/channels/{name}";
        self.act("PATCH", one, &["ops"], json!({"enabled": false}), "channel.updated").await;
        self.act("POST", "/api/v1/channels/{name}/test", &["ops"], json!({}), "channel.tested").await;
        self.act("DELETE", one, &["ops"], json!({}), "channel.deleted").await;
    }

    async fn logins(&self) {
        let link = self.act("POST", "/api/v1/login-links", &[], json!({}), "login_link.made").await;
        let code = link.json["url"].as_str().unwrap().split("#code=").nth(1).unwrap().to_owned();
        let last = self.events().await[0]["seq"].as_i64().unwrap();
        let login = self.app.anonymous().post("/api/v1/login", json!({ "code": code })).await;
        self.is_told(last, "POST", "/api/v1/login", "login.began").await;
        let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let csrf = login.json["csrf_token"].as_str().unwrap().to_owned();
        let last = self.events().await[0]["seq"].as_i64().unwrap();
        let person = self.app.anonymous().header("cookie", &cookie).header("x-csrf-token", &csrf);
        assert_eq!(person.post("/api/v1/logout", json!({})).await.status, 204);
        self.is_told(last, "POST", "/api/v1/logout", "login.ended").await;
    }
}

#[actix_rt::test]
async fn every_edit_of_an_operator_is_told_by_an_event_of_its_own() {
    let app = App::start().await;
    let acts = Acts { app: &app, done: RefCell::default() };
    acts.servers().await;
    acts.rules().await;
    acts.approvals().await;
    acts.tools().await;
    acts.agents().await;
    acts.channels().await;
    acts.logins().await;
    let done = acts.done.into_inner();
    for route in INVENTORY.iter().filter(|route| !matches!(route.access, Access::Agent) && route.method != "GET") {
        let is_done = done.contains(&(route.method.to_owned(), route.path.to_owned()));
        let is_look = LOOKS.contains(&(route.method, route.path));
        assert!(is_done || is_look, "what event tells of {} {}? Let this test take it", route.method, route.path);
    }
}

#[actix_rt::test]
async fn refused_credentials_are_told_together_by_where_they_came_from() {
    let mut app = App::start().await;
    app.nasty("n", &[]).await;
    for n in 0..3 {
        assert_eq!(app.anonymous().bearer(&format!("guess-{n}")).get("/api/v1/me").await.status, 401);
    }
    assert_eq!(app.anonymous().post("/api/v1/login", json!({"code": "guess"})).await.status, 401);
    let agent = app.anonymous().bearer("atr_not-a-key");
    for _ in 0..200 {
        assert_eq!(agent.post("/mcp/n", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await.status, 401);
    }
    app.terminate().await;
    let app = app.kill_and_restart().await;
    let events = app.operator().get("/api/v1/audit?kind=login.refused").await.json["items"].clone();
    let events = events.as_array().unwrap();
    assert!(events.len() <= 4, "{events:#?}");
    let count = |claimed: &str| -> u64 {
        let of = events.iter().filter(|event| event["data"]["claimed"] == claimed);
        of.map(|event| event["data"]["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("operator"), count("agent")), (4, 200), "{events:#?}");
    assert!(events.iter().all(|event| event["subject"] == "address:127.0.0.1"), "{events:#?}");
    assert!(!json!(events).to_string().contains("guess"), "{events:#?}");
}
