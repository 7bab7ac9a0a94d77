//! A person who logs in through the link that the gateway prints.

use serde_json::json;

use super::app::App;
use super::http::Client;

/// Both halves of a login.
pub struct Login {
    pub token: String,
    pub csrf: String,
}

impl Login {
    /// A browser that holds both.
    pub fn client(&self, app: &App) -> Client {
        let cookie = format!("atryum_session={}", self.token);
        app.anonymous().header("cookie", &cookie).header("x-csrf-token", &self.csrf)
    }
}

/// Makes a link and opens it.
pub async fn log_in(app: &App) -> Login {
    let link = app.operator().post("/api/v1/login-links", json!({})).await;
    assert_eq!(link.status, 201, "{link:?}");
    let code = code_of(link.json["url"].as_str().expect("a link"));
    let answer = app.anonymous().post("/api/v1/login", json!({ "code": code })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").expect("a cookie");
    let token = cookie.strip_prefix("atryum_session=").and_then(|rest| rest.split(';').next()).expect("a token");
    Login { token: token.to_owned(), csrf: answer.json["csrf_token"].as_str().expect("a token").to_owned() }
}

/// What stands behind the `#` of a link.
pub fn code_of(link: &str) -> String {
    link.split_once("/ui/#code=").expect("a link").1.to_owned()
}
