//! A gateway with a server that wants OAuth, and a person who has logged in there: the MCP server and who gives out its
//! tokens both answer as they are told.

use serde_json::{Value, json};
use url::Url;

use super::app::{App, Settings};
use super::eventually;
use super::http::{Answer, Session};
use super::provider::{Provider, Said};
use super::remote::Remote;

pub const TOKEN: &str = "POST /token";

/// See the module.
pub struct LoggedIn {
    pub app: App,
    pub remote: Remote,
    pub provider: Provider,
}

/// The access token of that number.
pub fn access(number: usize) -> String {
    format!("s3cret-access-token-{number}")
}

/// The refresh token of that number.
pub fn refresh(number: usize) -> String {
    format!("s3cret-refresh-token-{number}")
}

/// The tokens of that number, which do for so long; `None`: nobody says how long.
pub fn tokens(number: usize, seconds: impl Into<Option<i64>>) -> Value {
    let mut tokens = json!({"access_token": access(number), "token_type": "Bearer", "refresh_token": refresh(number)});
    if let Some(seconds) = seconds.into() {
        tokens["expires_in"] = json!(seconds);
    }
    tokens
}

pub fn said(tokens: &Value) -> Said {
    Said::json(200, tokens)
}

/// What a token endpoint says when it says no.
pub fn refusal(error: &str) -> Said {
    Said::json(400, &json!({"error": error, "error_description": "as this test wants it"}))
}

impl LoggedIn {
    /// With these tokens, which the server takes.
    pub async fn start(first: &Value) -> Self {
        Self::start_then(first, said(first)).await
    }

    /// With these tokens, and this for whoever wants the next ones.
    pub async fn start_then(first: &Value, then: Said) -> Self {
        Self::start_with(Settings::default(), json!({"type": "oauth"}), (first, then)).await
    }

    pub async fn start_with(settings: Settings, auth: Value, (first, then): (&Value, Said)) -> Self {
        let (app, remote, provider) = (settings.start().await, Remote::start(), Provider::start());
        let metadata = provider.metadata(&provider.origin);
        provider.says("GET /.well-known/oauth-authorization-server", Said::json(200, &metadata));
        let resource = json!({"resource": remote.url, "authorization_servers": [provider.origin]});
        provider.says("GET /resource", Said::json(200, &resource));
        provider.says("POST /register", Said::json(201, &json!({"client_id": "registered"})));
        app.allow_all().await;
        let server = json!({"name": "n", "mode": "http", "base_url": remote.url, "timeout_seconds": 20, "auth": auth});
        app.server_from(server).await;
        let this = Self { app, remote, provider };
        this.takes(&[1, 2]);
        this.log_in_then(first, then).await;
        this
    }

    /// From now on the server takes these tokens and no others.
    pub fn takes(&self, numbers: &[usize]) {
        let tokens: Vec<_> = numbers.iter().map(|number| access(*number)).collect();
        let challenge =
            format!("Bearer resource_metadata=\"{}/resource\", error=\"invalid_token\"", self.provider.origin);
        self.remote.guard(&challenge, &tokens.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// A person logs in, and this is given out.
    pub async fn log_in(&self, tokens: &Value) -> Answer {
        self.log_in_then(tokens, said(tokens)).await
    }

    async fn log_in_then(&self, tokens: &Value, then: Said) -> Answer {
        self.provider.says_in_turn(TOKEN, vec![said(tokens), then]);
        let begun = self.app.operator().post("/api/v1/servers/n/connect", json!({})).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        let url = Url::parse(begun.json["authorize_url"].as_str().expect("an address")).expect("a URL");
        let state = url.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        let iss: String = url::form_urlencoded::byte_serialize(self.provider.origin.as_bytes()).collect();
        self.app.anonymous().get(&format!("/oauth/callback?code=c&state={state}&iss={iss}")).await
    }

    pub async fn session(&self) -> Session {
        self.session_of("ann").await
    }

    pub async fn session_of(&self, agent: &str) -> Session {
        Session::open(&self.app.agent(agent).await, "n", "2025-11-25", json!({})).await
    }

    pub async fn server(&self) -> Value {
        self.app.operator().get("/api/v1/servers/n").await.json
    }

    /// The server, when its credentials have come to be that.
    pub async fn credentials(&self, status: &str) -> Value {
        eventually(&format!("credentials are {status}"), async || {
            let server = self.server().await;
            (server["credentials"]["status"] == status).then_some(server)
        })
        .await
    }

    /// How often a refresh was asked for.
    pub fn refreshes(&self) -> usize {
        self.provider.refreshes()
    }

    /// With what each request of that method arrived.
    pub fn shown(&self, method: &str) -> Vec<String> {
        let seen = self.remote.seen(method);
        seen.iter().map(|request| request.header("authorization").unwrap_or("none").to_owned()).collect()
    }
}
