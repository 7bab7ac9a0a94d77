//! A gateway with a server of each kind, whose secrets are all known, and a look at everything that can be read of it.

use base64::Engine as _;
use serde_json::{Value, json};
use url::Url;

use super::canary::{Canaries, Seen};
use crate::cli::run::{atryum, done};
use crate::support::app::{ADMIN_TOKEN, App, Settings, python, repo};
use crate::support::http::{Answer, Client, Session};
use crate::support::logged_in::TOKEN;
use crate::support::login::{Login, code_of, log_in};
use crate::support::provider::{Provider, Said};
use crate::support::remote::Remote;

/// The servers with a login.
pub const REMOTE: [&str; 4] = ["bearer", "header", "dynamic", "typed"];

pub struct Scene {
    pub app: App,
    pub canaries: Canaries,
    pub seen: Seen,
    /// of PostgreSQL
    pub database: Option<String>,
    pub remote: Remote,
    pub provider: Provider,
    pub browser: Option<Login>,
    pub agent_key: String,
    /// the ids of flows, by server
    pub flows: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
    tokens: usize,
}

pub fn decoded(key: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(key).expect("a key")
}

pub fn in_a_url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Scene {
    pub async fn start(settings: Settings, variables: Vec<(String, String)>) -> Self {
        let app = settings.with("ATRYUM_LOG__LEVEL", "trace").with("ATRYUM_LOG__FORMAT", "json").start().await;
        let (canaries, seen) = (Canaries::default(), Seen::default());
        let (remote, provider) = (Remote::start(), Provider::start());
        let (browser, agent_key, flows) = (None, String::new(), Vec::new());
        Self {
            app,
            canaries,
            seen,
            database: None,
            remote,
            provider,
            browser,
            agent_key,
            flows,
            settings: variables,
            tokens: 0,
        }
    }

    /// Puts a secret into every place.
    pub async fn plant(&mut self) {
        self.app.allow_all().await;
        self.canaries.add("operator's token", ADMIN_TOKEN);
        self.agent_key = self.app.agent_key("ann").await;
        // Its first letters tell keys apart.
        let shown = self.agent_key.get(10..).expect("a key").to_owned();
        self.canaries.add("agent key", shown);
        let link = self.app.operator().post("/api/v1/login-links", json!({})).await;
        self.canaries.add("code of a login link", code_of(link.json["url"].as_str().expect("a link")));
        let browser = log_in(&self.app).await;
        self.canaries.add("session", &browser.token).add("session's token", &browser.csrf);
        self.browser = Some(browser);

        let (provider, origin) = (&self.provider, &self.provider.origin);
        provider.says("GET /.well-known/oauth-authorization-server", Said::json(200, &provider.metadata(origin)));
        let resource = json!({"resource": self.remote.url, "authorization_servers": [origin]});
        provider.says("GET /resource", Said::json(200, &resource));
        let secret = self.canaries.plant("dynamic-client-secret");
        let registered = json!({"client_id": "registered", "client_secret": secret,
            "registration_access_token": self.canaries.plant("registration-token")});
        provider.says("POST /register", Said::json(201, &registered));

        let url = self.remote.url.clone();
        let (bearer, header) = (self.canaries.plant("bearer"), self.canaries.plant("header"));
        let (client_secret, env) = (self.canaries.plant("typed-client-secret"), self.canaries.plant("environment"));
        let typed = json!({"client_id": "typed-in", "client_secret": client_secret,
            "authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token")});
        for (name, auth) in [
            ("bearer", json!({"bearer_token": bearer})),
            ("header", json!({"headers": {"X-Api-Key": header}})),
            ("dynamic", json!({"type": "oauth"})),
            ("typed", json!({"oauth": typed})),
        ] {
            let server = json!({"name": name, "base_url": url, "timeout_seconds": 2, "auth": auth});
            self.keep("created", self.app.operator().post("/api/v1/servers", server).await, 201);
        }
        let args = [repo("tests/fixture-stdio/nasty.py").display().to_string(), "banner".into()];
        let child =
            json!({"name": "child", "mode": "stdio", "command": python(), "args": args, "env": {"API_KEY": env}});
        self.keep("created", self.app.operator().post("/api/v1/servers", child).await, 201);
        self.plant_channels().await;
    }

    /// A channel of each kind that has secrets; one address works, the others don't.
    async fn plant_channels(&mut self) {
        let origin = &self.provider.origin;
        let key = b"cnry-signing-key-9f8A7b6C5d+/~!x";
        let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key));
        self.canaries.add("signing key", key).add("signing secret", &secret);
        let token = self.canaries.plant("channel-token");
        let path = "T0/cnry-webhook-path-9f8A7b6C5d";
        self.canaries.add("path of a webhook", path).add("topic", "cnry-topic-9f8A7b6C5d");
        self.provider.says(&format!("POST /{path}"), Said::json(200, &json!({})));
        for channel in [
            json!({"name": "signed", "kind": "webhook", "url": format!("{origin}/{path}"), "secret": secret}),
            json!({"name": "chat", "kind": "slack", "url": format!("http://127.0.0.1:1/{path}")}),
            json!({"name": "phone", "kind": "ntfy", "url": format!("{origin}/cnry-topic-9f8A7b6C5d"), "token": token}),
        ] {
            self.keep("channel", self.app.operator().post("/api/v1/channels", channel).await, 201);
        }
    }

    /// They are used, and one that is redirected, refused and gone says so.
    async fn use_channels(&mut self) {
        for name in ["signed", "chat", "phone"] {
            let tested = self.app.operator().post(&format!("/api/v1/channels/{name}/test"), json!({})).await;
            self.keep("test of a channel", tested, 200);
        }
        let here = "/T0/cnry-webhook-path-9f8A7b6C5d";
        let redirect = Said::redirect(&format!("{}{here}?again", self.provider.origin));
        for said in [redirect, Said::html(403), Said::Raw(b"HTTP/1.1 ".to_vec()), Said::html(410)] {
            self.provider.says(&format!("POST {here}"), said);
            let tested = self.app.operator().post("/api/v1/channels/signed/test", json!({})).await;
            assert_eq!(tested.json["ok"], false, "{tested:?}");
            self.keep("test of a channel", tested, 200);
        }
        let wrong = json!({"url": format!("ftp://x{here}"), "secret": "cnry-webhook-path-9f8A7b6C5d"});
        let refused = self.app.operator().patch("/api/v1/channels/signed", wrong).await;
        self.keep("edit of a channel", refused, 422);
    }

    /// Remembers what somebody was answered.
    pub fn keep(&mut self, what: &str, answer: Answer, status: u16) -> Answer {
        assert!(status == 0 || answer.status == status, "{what}: {answer:?}");
        self.seen.add(format!("{what}: {}", answer.status), format!("{:?}\n{}", answer.headers, answer.text));
        answer
    }

    pub fn agent(&self) -> Client {
        self.app.anonymous().bearer(&self.agent_key)
    }

    /// The next tokens, in the order that they are given out.
    pub fn next_tokens(&mut self, seconds: i64) -> Value {
        self.tokens += 1;
        let access = self.canaries.plant(&format!("access-token-{}", self.tokens));
        let refresh = self.canaries.plant(&format!("refresh-token-{}", self.tokens));
        json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": seconds})
    }

    /// How many there were.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// From now on the servers with OAuth take these only.
    pub fn guard(&self, tokens: &[&Value]) {
        let challenge = format!("Bearer resource_metadata=\"{}/resource\"", self.provider.origin);
        let tokens: Vec<_> = tokens.iter().map(|tokens| tokens["access_token"].as_str().expect("a token")).collect();
        self.remote.guard(&challenge, &tokens);
    }

    /// Begins a login in a browser; the state.
    pub async fn begin(&mut self, name: &'static str) -> (Client, String) {
        let browser = self.browser.as_ref().expect("a login");
        let begun = browser.client(&self.app).post(&format!("/api/v1/servers/{name}/connect"), json!({})).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        self.flows.push((name, begun.json["flow_id"].as_str().expect("an id").to_owned()));
        let url = Url::parse(begun.json["authorize_url"].as_str().expect("an address")).expect("a URL");
        let state = url.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        self.canaries.add("state", &state);
        let cookie = begun.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
        self.canaries.add("cookie of a flow", cookie.split_once('=').expect("a value").1);
        (self.app.anonymous().header("cookie", &cookie), state)
    }

    /// Comes back from a login with a new code.
    pub async fn come_back(&mut self, name: &'static str, more: &str) -> Answer {
        let (client, state) = self.begin(name).await;
        let code = self.canaries.plant(&format!("code-{}", self.flows.len()));
        let iss = in_a_url(&self.provider.origin);
        let path = format!("/oauth/callback?code={}&state={}&iss={iss}{more}", in_a_url(&code), in_a_url(&state));
        let answer = client.get(&path).await;
        self.keep(&format!("callback {more}"), answer, 0)
    }

    /// What goes well, so that each secret is used.
    pub async fn use_all(&mut self) {
        for name in ["bearer", "header", "child"] {
            self.call(name, "echo", json!({"text": "well"})).await;
            let tested = self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
            assert_eq!(tested.json["ok"], true, "{tested:?}");
            self.keep("test", tested, 200);
        }
        for name in ["dynamic", "typed"] {
            let (first, second) = (self.next_tokens(3600), self.next_tokens(3600));
            self.guard(&[&first, &second]);
            self.provider.says_in_turn(TOKEN, vec![Said::json(200, &first), Said::json(200, &second)]);
            assert_eq!(self.come_back(name, "").await.status, 200);
            self.call(name, "echo", json!({"text": "well"})).await;
            self.guard(&[&second]);
            self.call(name, "echo", json!({"text": "well"})).await;
        }
        self.use_channels().await;
        let sent = format!("{:?}", self.remote.ledger());
        for what in ["bearer", "header", "access-token-1", "access-token-2", "access-token-3", "access-token-4"] {
            assert!(sent.contains(&super::canary::canary(what)), "{what} was never used");
        }
    }

    /// Calls a tool in a session of its own.
    pub async fn call(&mut self, name: &str, tool: &str, arguments: Value) -> Answer {
        let session = Session::open(&self.agent(), name, "2025-11-25", json!({})).await;
        let answer = session.request("tools/call", json!({"name": tool, "arguments": arguments})).await;
        self.keep(&format!("{tool} of {name}"), answer, 0)
    }

    /// Every GET there is, by the list of them; the commands; the processes.
    pub async fn look_everywhere(&mut self) {
        let paths = self.paths().await;
        assert!(paths.len() > 40, "{paths:?}");
        for path in paths {
            let answer = self.app.operator().get(&path).await;
            assert_ne!(answer.status, 500, "{path}: {answer:?}");
            self.keep(&path, answer, 0);
        }
        self.run_commands();
        self.look_at_processes();
    }

    /// What is left behind: the database, the files, the log.
    pub async fn look_behind(&mut self) {
        if let Some(url) = self.database.clone() {
            for row in crate::support::database::all_rows(&url).await {
                self.seen.add("a row", row);
            }
        }
        self.seen.add_files(&self.app.dir().join("data"));
        assert_eq!(self.app.terminate().await, Some(0));
        self.seen.add_files(&self.app.dir().join("data"));
        self.seen.add("the log", self.app.log());
    }

    async fn paths(&mut self) -> Vec<String> {
        let api = self.app.operator().get("/api/v1/openapi.json").await;
        let api = if api.status == 200 {
            api.json
        } else {
            serde_json::from_str(&std::fs::read_to_string(repo("openapi.json")).expect("a file")).expect("JSON")
        };
        let known = api["paths"].as_object().expect("paths");
        let paths = known.iter().filter(|(_, methods)| methods["get"].is_object()).map(|(path, _)| path.clone());
        let ids = |answer: Answer| -> Vec<String> {
            let items = answer.json["items"].as_array().cloned().unwrap_or_default();
            items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
        };
        let operator = self.app.operator();
        let servers: Vec<_> = operator.get("/api/v1/servers").await.json["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["name"].as_str().expect("a name").to_owned())
            .collect();
        let invocations = ids(operator.get("/api/v1/invocations?limit=200").await);
        let rules = ids(operator.get("/api/v1/rules").await);
        let mut found = vec!["/".to_owned(), "/ui/".to_owned(), "/oauth/client-metadata.json".to_owned()];
        for path in paths {
            let filled: Vec<String> = match path.as_str() {
                _ if path.contains("/connect/{id}") => {
                    self.flows.iter().map(|(name, id)| format!("/api/v1/servers/{name}/connect/{id}")).collect()
                }
                _ if path.starts_with("/api/v1/servers/{name}") => {
                    servers.iter().map(|name| path.replace("{name}", name)).collect()
                }
                _ if path.starts_with("/api/v1/channels/{name}") => {
                    ["signed", "chat", "phone"].map(|name| path.replace("{name}", name)).into()
                }
                _ if path.starts_with("/api/v1/agents/{name}") => vec![path.replace("{name}", "ann")],
                _ if path.starts_with("/api/v1/invocations/{id}") => {
                    invocations.iter().map(|id| path.replace("{id}", id)).collect()
                }
                _ if path.starts_with("/api/v1/rules/{id}") => {
                    rules.iter().map(|id| path.replace("{id}", id)).collect()
                }
                _ => vec![path.replace("{id}", "nobody").replace("{name}", "nobody")],
            };
            found.extend(filled);
        }
        found
    }

    fn run_commands(&mut self) {
        for arguments in [
            &["doctor"][..],
            &["config", "show"],
            &["server", "list", "-o", "json"],
            &["server", "show", "bearer", "-o", "json"],
            &["server", "show", "header"],
            &["server", "show", "dynamic", "-o", "json"],
            &["server", "show", "typed"],
            &["server", "show", "child", "-o", "json"],
            &["agent", "list", "-o", "json"],
            &["channel", "list", "-o", "json"],
            &["channel", "show", "signed"],
        ] {
            let mut command = atryum(arguments);
            command.env("ATRYUM_URL", &self.app.url).env("ATRYUM_TOKEN", ADMIN_TOKEN);
            command.env("ATRYUM_ADMIN_TOKEN", ADMIN_TOKEN).env("RUST_LOG", "trace").current_dir(self.app.dir());
            command.env("XDG_CONFIG_HOME", self.app.dir().join("config"));
            command.env("ATRYUM_DATA_DIR", self.app.dir().join("data"));
            let done = done(command.envs(self.settings.iter().cloned()));
            assert!(!done.out.is_empty(), "{arguments:?}: {done:?}");
            self.seen.add(format!("{arguments:?}"), format!("{}{}", done.out, done.err));
        }
    }

    /// What every process of this machine tells of itself that the gateway started.
    fn look_at_processes(&mut self) {
        let mut ours = vec![self.app.pid];
        let parent = |pid: u32| -> Option<u32> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
        };
        let entries = std::fs::read_dir("/proc").expect("a folder").flatten();
        let mut all: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        all.sort_unstable();
        for pid in all {
            if parent(pid).is_some_and(|parent| ours.contains(&parent)) {
                ours.push(pid);
                let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let environment =
                    String::from_utf8_lossy(&environment).replace(&super::canary::canary("environment"), "");
                self.seen.add(format!("the variables of {pid}"), environment);
            }
        }
        for pid in ours {
            self.seen.add(
                format!("the command line of {pid}"),
                std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
            );
        }
    }

    /// The verifiers are known only now: from what the provider was shown.
    pub async fn judge(&mut self) {
        for verifier in self.provider.shown("code_verifier") {
            self.canaries.add("verifier", verifier);
        }
        let hits = self.canaries.hits(&self.seen);
        assert!(hits.is_empty(), "{} places show a secret:\n{}", hits.len(), hits.join("\n"));
        assert!(
            self.seen.bytes() > 1 << 20 && self.seen.places() > 200,
            "{} {}",
            self.seen.bytes(),
            self.seen.places()
        );
    }

    pub async fn status(&mut self, name: &str) {
        let path = format!("/api/v1/servers/{name}");
        let server = self.app.operator().get(&path).await;
        self.keep(&path, server, 200);
        let path = format!("{path}/logs");
        let logs = self.app.operator().get(&path).await;
        self.keep(&path, logs, 200);
    }
}
