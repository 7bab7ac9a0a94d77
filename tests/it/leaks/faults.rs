//! All that goes wrong, with a secret in each place where somebody might tell it.

use serde_json::{Value, json};

use super::canary::canary;
use super::scene::{REMOTE, Scene, in_a_url};
use crate::support::http::Session;
use crate::support::logged_in::TOKEN;
use crate::support::provider::Said;
use crate::support::remote::{Fault, On};

/// What a server says that repeats what it was shown.
fn echoes(secret: &str) -> Vec<Fault> {
    let text = ("content-type", "text/plain");
    let challenge = |rest: &str| format!("Bearer realm=\"{secret}\", error_description=\"not {secret}\", {rest}");
    let (invalid, scope) =
        (challenge("error=\"invalid_token\""), challenge(&format!("error=\"insufficient_scope\", scope=\"{secret}\"")));
    let elsewhere = challenge(&format!("resource_metadata=\"http://127.0.0.1:9/{secret}\""));
    let slashed = secret.replace('/', "\\/");
    let answer = |rest: &str| Fault::json(&format!("{{\"jsonrpc\":\"2.0\",\"id\":THE-ID,{rest}}}"));
    let notice = |method: &str| {
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\"level\":\"error\",\"data\":\"{secret}\",\"x\":\"{secret}\"}}}}\n\n"
        )
    };
    vec![
        Fault::says(401, &[("www-authenticate", &invalid), text], secret),
        Fault::says(401, &[("www-authenticate", &elsewhere), text], secret),
        Fault::says(403, &[("www-authenticate", &scope), text], secret),
        Fault::says(403, &[text], secret),
        Fault::says(400, &[text, ("x-echo", secret)], secret),
        Fault::says(404, &[text], secret),
        Fault::says(405, &[("allow", secret)], secret),
        Fault::says(429, &[("retry-after", secret)], secret),
        Fault::says(500, &[text, ("server", secret)], secret),
        Fault::says(200, &[("content-type", secret)], secret),
        Fault::says(200, &[("content-type", "application/json"), ("mcp-session-id", secret)], secret),
        Fault::says(200, &[("content-type", "application/json"), ("content-encoding", secret)], "{}"),
        Fault::redirect(307, &format!("http://127.0.0.1:9/{}", in_a_url(secret))),
        Fault::redirect(302, &format!("http://127.0.0.1:9/?{secret}")),
        Fault::html(),
        Fault::reset(),
        answer(&format!("\"error\":{{\"code\":-32000,\"message\":\"{secret}\",\"data\":\"{slashed}\"}}")),
        answer(&format!("\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{slashed}\"}}],\"isError\":true}}")),
        answer(&format!("\"result\":{{\"content\":[],\"structuredContent\":{{\"{secret}\":1}}}}")),
        answer(&format!("\"result\":\"{secret}\"")),
        answer(&format!("\"{secret}\":1,\"result\":{{\"x\":{{\"{secret}")),
        Fault::json(&format!("{secret} is no JSON")),
        Fault::json(&json!({"jsonrpc": "2.0", "id": secret, "result": {}}).to_string()),
        Fault::stream(&format!("event: {secret}\nid: {secret}\ndata: {secret}\n\n")),
        Fault::stream(&notice("notifications/message")),
        Fault::stream(&notice(secret)),
    ]
}

impl Scene {
    /// What each server's last login is.
    fn shown(&self, name: &str) -> String {
        match name {
            "bearer" | "header" => canary(name),
            "dynamic" => canary("access-token-2"),
            _ => canary("access-token-4"),
        }
    }

    pub async fn break_servers(&mut self) {
        for name in REMOTE {
            let secret = self.shown(name);
            self.provider.says(TOKEN, Said::json(503, &json!({"error": "temporarily_unavailable"})));
            self.remote.unguard();
            let session = Session::open(&self.agent(), name, "2025-11-25", json!({})).await;
            for (number, fault) in echoes(&secret).into_iter().enumerate() {
                self.remote.fault(On::Method("tools/call"), fault.clone());
                let params = json!({"name": "echo", "arguments": {"text": "x"}});
                let answer = session.request("tools/call", params.clone()).await;
                self.keep(&format!("fault {number} of {name}"), answer, 0);
                self.remote.heal();
                self.remote.fault(On::Every, fault);
                let tested = self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
                self.keep(&format!("test {number} of {name}"), tested, 0);
                let tools = self.app.operator().get(&format!("/api/v1/servers/{name}/tools")).await;
                self.keep(&format!("tools {number} of {name}"), tools, 0);
                self.status(name).await;
                if ["dynamic", "typed"].contains(&name) && number < 4 {
                    // What the server says of its login is followed.
                    let begun = self.app.operator().post(&format!("/api/v1/servers/{name}/connect"), json!({})).await;
                    self.keep(&format!("connect {number} of {name}"), begun, 0);
                }
                self.remote.heal();
                // An operator's look makes it well again.
                let tested = self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
                self.keep(&format!("test after {number} of {name}"), tested, 0);
            }
            let unknown = session.request("tools/call", json!({"name": "nobody", "arguments": {}})).await;
            self.keep("unknown tool", unknown, 0);
        }
        for tool in ["nobody", "raw"] {
            self.call("child", tool, json!({})).await;
        }
    }

    pub async fn break_logins(&mut self) {
        for name in ["dynamic", "typed"] {
            // Who gives out the tokens is what the server said last.
            self.guard(&[]);
            self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
            let told = self.next_tokens(3600);
            // What it is shown by one server is not what another one is told.
            let other = if name == "dynamic" { "typed" } else { "dynamic" };
            self.turn(other, false).await;
            // What a token endpoint is shown both for a code and for a refresh token.
            let words = canary(&format!("{name}-client-secret"));
            let echo = |error: &str| json!({"error": error, "error_description": words, "error_uri": words});
            let html = vec![("content-type", "text/html".to_owned())];
            let with = |key: &str, value: Value| {
                let mut tokens = told.clone();
                tokens[key] = value;
                tokens
            };
            let answers = [
                Said::json(400, &echo("invalid_grant")),
                Said::json(400, &echo(&words)),
                Said::json(401, &echo("invalid_client")),
                Said::json(500, &echo("server_error")),
                Said::Whole(500, html.clone(), words.clone()),
                Said::Whole(200, html, words.clone()),
                Said::json(200, &with("token_type", json!(words))),
                Said::json(200, &with("token_type", told["access_token"].clone())),
                Said::json(200, &with("access_token", json!([words]))),
                Said::json(200, &with("access_token", json!(format!("{words}\n")))),
                Said::json(200, &json!({ "token": words })),
                Said::redirect(&format!("{}/{}", self.provider.origin, in_a_url(&words))),
                Said::Raw(format!("HTTP/1.1 200 {words}\r\n{words}\r\n\r\n").into_bytes()),
                Said::Raw(Vec::new()),
            ];
            for answer in answers {
                self.provider.says(TOKEN, answer.clone());
                let back = self.come_back(name, "").await;
                assert_ne!(back.status, 200, "{answer:?} {back:?}");
                self.status(name).await;
                // The same when it is to be renewed.
                self.guard(&[]);
                let tested = self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
                self.keep("test", tested, 0);
                self.status(name).await;
                self.remote.unguard();
            }
            // Tokens that are also told elsewhere.
            let mut scoped = with("scope", told["access_token"].clone());
            scoped["expires_in"] = json!(words);
            self.guard(&[&told]);
            self.provider.says(TOKEN, Said::json(200, &scoped));
            self.come_back(name, "").await;
            self.status(name).await;
            self.break_renewal(name).await;
            self.turn(other, true).await;
        }
        self.break_callbacks().await;
    }

    async fn turn(&self, name: &str, is_enabled: bool) {
        let edit = json!({ "enabled": is_enabled });
        assert_eq!(self.app.operator().patch(&format!("/api/v1/servers/{name}"), edit).await.status, 200);
    }

    /// A refresh token, and an endpoint that repeats it.
    async fn break_renewal(&mut self, name: &'static str) {
        let number = self.tokens();
        for error in ["server_error", "invalid_grant"] {
            let words =
                format!("{} {}", canary(&format!("{name}-client-secret")), canary(&format!("refresh-token-{number}")));
            let told = json!({"error": error, "error_description": words, "error_uri": words});
            self.provider.says(TOKEN, Said::json(400, &told));
            self.guard(&[]);
            let tested = self.app.operator().post(&format!("/api/v1/servers/{name}/test"), json!({})).await;
            self.keep("test", tested, 0);
            self.status(name).await;
        }
        self.provider.says(TOKEN, Said::json(503, &json!({"error": "temporarily_unavailable"})));
        self.remote.unguard();
    }

    async fn break_callbacks(&mut self) {
        self.guard(&[]);
        self.app.operator().post("/api/v1/servers/dynamic/test", json!({})).await;
        let code = self.canaries.plant("code-of-faults");
        let (code, words) = (in_a_url(&code), "words");
        for number in 0..9 {
            let (client, state) = self.begin("dynamic").await;
            let iss = in_a_url(&self.provider.origin);
            let path = match number {
                0 => format!("/oauth/callback?code={code}&state=x{state}&iss={iss}"),
                1 => format!("/oauth/callback?code={code}&state={state}&state={state}"),
                2 => format!("/oauth/callback?code={code}&code={code}&state={state}"),
                3 => format!("/oauth/callback?error=access_denied&error_description={words}&state={state}&iss={iss}"),
                4 => format!("/oauth/callback?error={words}&state={state}&iss={iss}"),
                5 => format!("/oauth/callback?code={code}&state={state}&iss={words}"),
                6 => format!("/oauth/callback?code={code}&state={state}"),
                7 => format!("/oauth/callback?code={code}"),
                _ => format!("/oauth/callback?state={state}"),
            };
            let answer = client.get(&path).await;
            self.keep(&format!("callback {number}"), answer, 0);
            let foreign = self.app.anonymous().get(&path).await;
            self.keep(&format!("callback {number} in another browser"), foreign, 0);
            let again = client.get(&path).await;
            self.keep(&format!("callback {number} again"), again, 0);
            for method in ["HEAD", "POST", "PUT"] {
                let answer = client.send(method, &path, String::new()).await;
                self.keep(&format!("callback {number} by {method}"), answer, 0);
            }
        }
    }

    /// What people send where it does not belong.
    pub async fn misuse(&mut self) {
        let bearer = canary("bearer");
        for body in [
            json!({"auth": bearer}),
            json!({"auth": {"bearer_token": [bearer]}}),
            json!({"auth": {"bearer_token": {bearer.clone(): 1}}}),
            json!({"auth": {"bearer_token": format!("{bearer}\n")}}),
            json!({"auth": {"bearer_token": format!("ü{bearer}")}}),
            json!({"auth": {"headers": bearer}}),
            json!({"auth": {"headers": {"X-Api-Key": [bearer]}}}),
            json!({"auth": {"headers": {"X-Api-Key": format!("{bearer}\r\nx: y")}}}),
            json!({"auth": {"oauth": bearer}}),
            json!({"auth": {"oauth": {"client_secret": [bearer]}}}),
            json!({"auth": {"oauth": {"client_secret": format!("{bearer}\n")}}}),
            json!({"auth": {"type": "oauth", "bearer_token": bearer}}),
            json!({"env": bearer}),
            json!({"env": {"API_KEY": [bearer]}}),
            json!({"env": {"API_KEY": format!("{bearer}\u{0}")}}),
            json!([bearer]),
            json!(bearer),
        ] {
            for name in ["bearer", "typed", "child"] {
                let answer = self.app.operator().patch(&format!("/api/v1/servers/{name}"), body.clone()).await;
                assert!((400..500).contains(&answer.status), "{body}: {answer:?}");
                self.keep(&format!("PATCH {name}"), answer, 0);
            }
            let answer = self.app.operator().post("/api/v1/servers", body.clone()).await;
            self.keep("POST", answer, 0);
            let answer = self.app.operator().post("/api/v1/servers/test", body).await;
            self.keep("test of a draft", answer, 0);
        }
        let json = self.app.operator().header("content-type", "application/json");
        for text in
            [format!("{{\"auth\": {{\"bearer_token\": \"{bearer}"), format!("{{\"auth\": {bearer}}}"), bearer.clone()]
        {
            let answer = json.send("PATCH", "/api/v1/servers/bearer", text).await;
            self.keep("malformed PATCH", answer, 400);
        }
    }

    /// Logins of people and agents where they are not looked for. After so many wrong ones nobody is let in for a while.
    pub async fn misplace(&mut self) {
        let browser = self.browser.as_ref().expect("a login");
        let (session, csrf) = (browser.token.clone(), browser.csrf.clone());
        let admin = crate::support::app::ADMIN_TOKEN.to_owned();
        for secret in [admin, self.agent_key.clone(), session, csrf] {
            for path in
                ["/mcp/bearer", "/api/v1/servers", "/api/v1/me", "/healthz", "/metrics", "/nowhere", "/oauth/callback"]
            {
                let asked = format!("{path}?access_token={secret}&{secret}={secret}&cursor={secret}&limit={secret}");
                let clients = [
                    self.app.anonymous(),
                    self.app.operator(),
                    self.app.anonymous().bearer(&secret),
                    self.app.anonymous().header("authorization", &secret),
                    self.app.anonymous().header("authorization", &format!("Basic {secret}")),
                    self.app.anonymous().header("cookie", &format!("atryum_session={secret}; {secret}={secret}")),
                    self.app.anonymous().header("x-csrf-token", &secret).header("x-api-key", &secret),
                    self.agent().header("mcp-session-id", &secret).header("last-event-id", &secret),
                    self.agent().header("mcp-protocol-version", &secret),
                    self.app.anonymous().header("x-request-id", &secret).header("traceparent", &secret),
                ];
                for client in clients {
                    let answer = client.get(&asked).await;
                    self.keep(&format!("misplaced at GET {path}"), answer, 0);
                }
                let answer = self.app.operator().post(&asked, json!({ "code": secret })).await;
                self.keep(&format!("misplaced at POST {path}"), answer, 0);
            }
            let answer = self.app.anonymous().post("/api/v1/login", json!({ "code": [secret] })).await;
            self.keep("login", answer, 0);
            let answer = self.app.anonymous().post("/api/v1/login", json!({ "code": secret })).await;
            self.keep("login", answer, 0);
        }
    }
}
