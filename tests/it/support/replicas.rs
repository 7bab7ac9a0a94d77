//! Several gateways on one PostgreSQL database.

use serde_json::Value;

use super::app::{App, Settings};
use super::eventually;
use super::http::{Client, Session};

/// The master key that they share, as gateways on several machines do.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What one of them is started with.
pub fn settings(database_url: &str) -> Settings {
    Settings::default().with("ATRYUM_DATABASE_URL", database_url).with("ATRYUM_MASTER_KEY", MASTER_KEY)
}

/// One after the other.
pub async fn two(database_url: &str) -> (App, App) {
    (settings(database_url).start().await, settings(database_url).start().await)
}

/// A session with a server that another gateway may have been told of a moment ago.
pub async fn session(app: &App, key: &str, server: &str) -> Session {
    let agent = Client::new(&app.url).bearer(key);
    eventually("the server is known there", async || Session::try_open(&agent, server, "2025-11-25").await).await
}

/// Answers a question: `approve` or `deny`.
pub async fn answer(app: &App, approval: &Value, word: &str) -> Value {
    let path = format!("/api/v1/approvals/{}/{word}", approval["id"].as_str().expect("an id"));
    let body = serde_json::json!({ "digest": approval["digest"], "reason": "use the sandbox account" });
    let body = if word == "approve" { serde_json::json!({ "digest": approval["digest"] }) } else { body };
    let answered = app.operator().post(&path, body).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    answered.json
}
