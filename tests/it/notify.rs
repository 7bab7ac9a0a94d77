//! People are told that an approval waits.

mod command;
mod content;
mod retry;
mod told;

use serde_json::{Value, json};

use crate::support::app::{App, Settings};
use crate::support::eventually;
use crate::support::http::Session;
use crate::support::provider::{Provider, Said};
use crate::support::remote::Request;

/// What webhooks are signed with here.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway whose agents don't wait, with a server for which everything is asked, and somebody who can be told.
struct Scene {
    app: App,
    session: Session,
    receiver: Provider,
}

impl Scene {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let app = settings.with("ATRYUM_GATE__WAITS", "*=0").start().await;
        app.nasty("n", &["both"]).await;
        let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
        let receiver = Provider::start();
        for path in ["POST /hook", "POST /"] {
            receiver.says(path, Said::json(200, &json!({})));
        }
        Self { app, session, receiver }
    }

    /// An address of the receiver.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.receiver.origin)
    }

    async fn channel(&self, channel: Value) -> Value {
        let created = self.app.operator().post("/api/v1/channels", channel).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.json
    }

    /// One that posts to `/hook`, signed.
    async fn webhook(&self, name: &str) -> Value {
        self.channel(json!({"name": name, "kind": "webhook", "url": self.url("/hook"), "secret": SECRET})).await
    }

    /// One that runs a line of a shell.
    async fn command(&self, name: &str, line: &str) -> Value {
        self.channel(json!({"name": name, "kind": "command", "command": ["/bin/sh", "-c", line]})).await
    }

    /// Asks a question, and returns it.
    async fn ask(&self, nonce: &str) -> Value {
        self.ask_with(json!({"text": "x", "nonce": nonce})).await
    }

    async fn ask_with(&self, arguments: Value) -> Value {
        let told = self.session.call("echo", arguments).await;
        let id = told["result"]["structuredContent"]["approval_id"].as_str().unwrap_or_else(|| panic!("{told}"));
        self.app.operator().get(&format!("/api/v1/approvals/{id}")).await.json
    }

    async fn deny(&self, approval: &Value) {
        let path = format!("/api/v1/approvals/{}/deny", approval["id"].as_str().unwrap());
        let denied = self.app.operator().post(&path, json!({})).await;
        assert_eq!(denied.status, 200, "{denied:?}");
    }

    async fn channel_named(&self, name: &str) -> Value {
        self.app.operator().get(&format!("/api/v1/channels/{name}")).await.json
    }

    /// What was told by a channel, newest first.
    async fn deliveries(&self, name: &str) -> Vec<Value> {
        let listed = self.app.operator().get(&format!("/api/v1/channels/{name}/deliveries?limit=200")).await;
        listed.json["items"].as_array().unwrap_or_else(|| panic!("{listed:?}")).clone()
    }

    /// The notice of one question, as soon as it is in that state.
    async fn delivery(&self, name: &str, state: &str) -> Value {
        eventually(&format!("{name} has one that is {state}"), async || {
            self.deliveries(name).await.into_iter().find(|delivery| delivery["state"] == state)
        })
        .await
    }

    /// What the receiver got at a path, as soon as there are so many.
    async fn received(&self, path: &str, count: usize) -> Vec<Request> {
        eventually(&format!("{count} at {path}"), async || {
            let all: Vec<_> = self.receiver.ledger().into_iter().filter(|request| request.path == path).collect();
            (all.len() >= count).then_some(all)
        })
        .await
    }
}

/// Whether a message is signed as Standard Webhooks has it: written anew here, with another library.
fn is_signed(request: &Request) -> bool {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let (id, time) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    let signed = format!("{id}.{time}.{}", request.body);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signature = request.header("webhook-signature").unwrap().strip_prefix("v1,").unwrap();
    ring::hmac::verify(&key, signed.as_bytes(), &base64.decode(signature).unwrap()).is_ok()
}
