//! An operator who logs the gateway in at a server that wants OAuth, and the operator's browser.

use serde_json::{Value, json};
use url::Url;

use super::app::App;
use super::eventually;
use super::guarded::Guarded;
use super::http::{Answer, Client};
use super::provider::{Provider, Said};
use super::remote::Remote;

/// The server as operators see it.
pub async fn server(app: &App, name: &str) -> Value {
    let answer = app.operator().get(&format!("/api/v1/servers/{name}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

/// Waits until the status of the server's credentials asks for that.
pub async fn wanted(app: &App, name: &str, action: &str) -> Value {
    eventually(&format!("{name} asks for {action}"), async || {
        let server = server(app, name).await;
        (server["credentials"]["action"] == action).then_some(server)
    })
    .await
}

/// A login that was begun.
pub struct Begun {
    pub flow_id: String,
    pub authorize_url: String,
    /// What the browser that clicked Connect was given for its way back; empty: none.
    pub cookie: String,
}

/// Clicks Connect.
pub async fn begin(operator: &Client, name: &str) -> Begun {
    let answer = operator.post(&format!("/api/v1/servers/{name}/connect"), json!({})).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    let text = |member: &str| answer.json[member].as_str().expect("a text").to_owned();
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
    Begun { flow_id: text("flow_id"), authorize_url: text("authorize_url"), cookie: cookie.to_owned() }
}

impl Begun {
    pub fn query(&self, member: &str) -> Option<String> {
        let url = Url::parse(&self.authorize_url).expect("an address");
        url.query_pairs().find(|(name, _)| name == member).map(|(_, value)| value.into_owned())
    }

    pub fn state(&self) -> String {
        self.query("state").expect("a state")
    }

    /// The path that a provider sends the browser back to, with these members and the state.
    pub fn callback(&self, members: &[(&str, &str)]) -> String {
        callback(&[members, &[("state", &self.state())]].concat())
    }

    /// What has become of it.
    pub async fn outcome(&self, app: &App, name: &str) -> Value {
        let answer = app.operator().get(&format!("/api/v1/servers/{name}/connect/{}", self.flow_id)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json
    }

    /// It failed, and its reason holds those words.
    pub async fn failed(&self, app: &App, name: &str, words: &str) {
        let outcome = self.outcome(app, name).await;
        assert_eq!(outcome["status"], "failed", "{outcome}");
        let reason = outcome["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(words), "{words:?} is not in {reason:?}");
    }
}

/// The path of a callback.
pub fn callback(members: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("/oauth/callback?{}", query.extend_pairs(members).finish())
}

/// The browser opens an address of the gateway.
pub async fn come_back(app: &App, url: &str, cookie: &str) -> Answer {
    let path = url.strip_prefix(&app.url).unwrap_or(url);
    assert!(path.starts_with("/oauth/callback"), "{url}");
    let browser = app.anonymous();
    let browser = if cookie.is_empty() { browser } else { browser.header("cookie", cookie) };
    browser.get(path).await
}

/// Connect, a person who agrees, and back; succeeds.
pub async fn connect(app: &App, name: &str, guarded: &Guarded) {
    let begun = begin(&app.operator(), name).await;
    let back = guarded.agree(&begun.authorize_url).await;
    let page = come_back(app, &back, "").await;
    let outcome = begun.outcome(app, name).await;
    assert_eq!(outcome["status"], "succeeded", "{outcome} {page:?}");
    assert_eq!(outcome["reason"], Value::Null, "{outcome}");
    assert_eq!(page.status, 200, "{page:?}");
    let server = server(app, name).await;
    let words = (&server["connection"]["status"], &server["credentials"]["status"]);
    assert_eq!(words, (&json!("ready"), &json!("ready")), "{server}");
}

/// An MCP server and an authorization server that both do as they are told, and a gateway that has the former as `s`.
pub struct Pair {
    pub app: App,
    pub remote: Remote,
    pub provider: Provider,
}

impl Pair {
    /// All is well, and nobody has connected yet. The one token that is taken is `one`.
    pub async fn start() -> Self {
        let (app, remote, provider) = (App::start().await, Remote::start(), Provider::well_behaved());
        app.allow_all().await;
        let resource = json!({"resource": remote.url, "authorization_servers": [provider.origin]});
        provider.says("GET /resource", Said::json(200, &resource));
        provider.says("POST /token", Said::json(200, &tokens()));
        let this = Self { app, remote, provider };
        this.takes(&["one"]);
        this.app.remote("s", &this.remote.url).await;
        wanted(&this.app, "s", "connect").await;
        this
    }

    /// The MCP server takes these tokens from now on.
    pub fn takes(&self, tokens: &[&str]) {
        let challenge = format!(r#"Bearer scope="read", resource_metadata="{}/resource""#, self.provider.origin);
        self.remote.guard(&challenge, tokens);
    }

    /// Clicks Connect with the operator's token.
    pub async fn begin(&self) -> Begun {
        begin(&self.app.operator(), "s").await
    }

    /// A whole login, however it ends.
    pub async fn log_in(&self) -> Begun {
        let begun = self.begin().await;
        come_back(&self.app, &begun.callback(&[("code", "code")]), "").await;
        begun
    }

    /// A whole login that succeeds.
    pub async fn connect(&self) {
        let begun = self.log_in().await;
        let outcome = begun.outcome(&self.app, "s").await;
        assert_eq!(outcome["status"], "succeeded", "{outcome}");
    }

    pub async fn server(&self) -> Value {
        server(&self.app, "s").await
    }

    /// How often somebody asked for that.
    pub fn times(&self, what: &str) -> usize {
        self.provider.asked().iter().filter(|asked| *asked == what).count()
    }
}

/// What a token endpoint gives out when all is well.
pub fn tokens() -> Value {
    json!({"access_token": "one", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "first", "scope": "read"})
}
