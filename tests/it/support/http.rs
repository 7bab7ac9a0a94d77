//! A client over real HTTP, and what comes back.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// Long enough for a slow machine; a test that waits this long has failed.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Somebody who calls the gateway.
#[derive(Clone)]
pub struct Client {
    url: String,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The JSON-RPC messages in it, whether it is one or an event stream.
    pub fn messages(&self) -> Vec<Value> {
        if self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            events(&self.text)
        } else {
            vec![self.json.clone()]
        }
    }

    /// The last message: the answer itself.
    pub fn reply(&self) -> Value {
        self.messages().pop().unwrap_or_else(|| panic!("no message in {self:?}"))
    }
}

/// The messages of an event stream's text; events without data are left out.
pub fn events(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")))
        .filter(|data| !data.trim().is_empty())
        .map(|data| serde_json::from_str(data).expect("a message"))
        .collect()
}

impl Client {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: Vec::new() }
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, String::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.clone().header("content-type", "application/json").send("POST", path, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.clone().header("content-type", "application/json").send("PATCH", path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.clone().header("content-type", "application/json").send("PUT", path, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, String::new()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: String) -> Answer {
        let mut stream = self.open(method, path, body).await;
        let mut text = Vec::new();
        while let Some(chunk) = stream.chunk().await {
            text.extend(chunk);
        }
        let text = String::from_utf8(text).expect("UTF-8");
        Answer {
            status: stream.status,
            headers: stream.headers.clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// A POST to a gateway that may be gone at any moment; `None` when it was.
    pub async fn try_post(&self, path: &str, body: String) -> Option<Answer> {
        let mut stream = self.try_open("POST", path, body).await.ok()?;
        let mut text = Vec::new();
        while let Some(chunk) = stream.body.next().await {
            text.extend(chunk.ok()?);
        }
        let text = String::from_utf8(text).ok()?;
        let is_stream = text.starts_with("event:") || text.starts_with(':') || text.starts_with("id:");
        let json =
            if is_stream { events(&text).pop().unwrap_or_default() } else { serde_json::from_str(&text).ok()? };
        Some(Answer { status: stream.status, headers: stream.headers, json, text })
    }

    /// A GET from a gateway that may be gone at any moment; its JSON if it was there and could give it.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        let mut stream = self.try_open("GET", path, String::new()).await.ok()?;
        let mut text = Vec::new();
        while let Some(chunk) = stream.body.next().await {
            text.extend(chunk.ok()?);
        }
        let json = serde_json::from_slice(&text).ok()?;
        (stream.status == 200).then_some(json)
    }

    /// The answer as it comes. Dropping it closes the connection.
    pub async fn open(&self, method: &str, path: &str, body: String) -> Open {
        self.try_open(method, path, body).await.expect("the gateway answers")
    }

    async fn try_open(&self, method: &str, path: &str, body: String) -> Result<Open, awc::error::SendRequestError> {
        let client = awc::Client::builder().timeout(TIMEOUT).disable_redirects().no_default_headers().finish();
        let method = awc::http::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = client.request(method, format!("{}{path}", self.url)).force_close();
        for (name, value) in &self.headers {
            request = request.append_header((name.as_str(), value.as_str()));
        }
        let response = request.send_body(body).await?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        Ok(Open { status: response.status().as_u16(), headers, body: Box::pin(response), seen: String::new() })
    }
}

type Body =
    std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<actix_web::web::Bytes, awc::error::PayloadError>>>>;

/// An answer whose body is still coming.
pub struct Open {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    body: Body,
    seen: String,
}

impl Open {
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        self.body.next().await.map(|chunk| chunk.expect("a whole answer").to_vec())
    }

    /// The last message, whether it is one or an event stream; `None` when there is none.
    pub async fn reply(mut self) -> Option<Value> {
        let mut text = std::mem::take(&mut self.seen);
        while let Some(chunk) = self.chunk().await {
            text.push_str(&String::from_utf8(chunk).expect("UTF-8"));
        }
        serde_json::from_str(&text).ok().or_else(|| events(&text).pop())
    }

    /// The next event of a stream, id and data; `None` at its end.
    pub async fn event(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            while let Some((event, rest)) = self.seen.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.seen = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(ToOwned::to_owned));
                if let Some(data) = field("data: ") {
                    let json = serde_json::from_str(&data).unwrap_or(Value::Null);
                    return Some((field("id: "), json));
                }
            }
            let chunk = self.chunk().await?;
            self.seen.push_str(&String::from_utf8(chunk).expect("UTF-8"));
        }
    }

    /// The next event of a stream, name and data; `None` at its end.
    pub async fn named_event(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.seen.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(ToOwned::to_owned));
                let named = (field("event: ").unwrap_or_default(), field("data: ").unwrap_or_default());
                self.seen = rest.to_owned();
                return Some(named);
            }
            let chunk = self.chunk().await?;
            self.seen.push_str(&String::from_utf8(chunk).expect("UTF-8"));
        }
    }

    /// The next message of a stream; `None` at its end.
    pub async fn message(&mut self) -> Option<Value> {
        let next = async {
            loop {
                let (_, json) = self.event().await?;
                if !json.is_null() {
                    return Some(json);
                }
            }
        };
        // A stream that shows life may show it for ever.
        tokio::time::timeout(TIMEOUT, next).await.expect("a message, or the end of the stream")
    }
}

/// An agent of the legacy era in its session.
pub struct Session {
    pub client: Client,
    pub path: String,
    pub initialized: Value,
    next_id: std::cell::Cell<i64>,
}

impl Session {
    /// Shakes hands as SDK clients do, with some capabilities.
    pub async fn open(client: &Client, server: &str, version: &str, capabilities: Value) -> Self {
        Self::open_as("it", client, server, version, capabilities).await
    }

    /// Shakes hands as the client of that name.
    pub async fn open_as(name: &str, client: &Client, server: &str, version: &str, capabilities: Value) -> Self {
        let path = format!("/mcp/{server}");
        let client = client.clone().header("accept", "application/json, text/event-stream");
        let params = json!({
            "protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": name, "version": "1"},
        });
        let answer =
            client.post(&path, json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let initialized = answer.reply();
        assert!(initialized["error"].is_null(), "{initialized}");
        let agreed = initialized["result"]["protocolVersion"].as_str().expect("a version").to_owned();
        let session = answer.header("mcp-session-id").expect("a session").to_owned();
        let client = client.header("mcp-session-id", &session).header("mcp-protocol-version", &agreed);
        let this = Self { client, path, initialized, next_id: std::cell::Cell::new(1) };
        let accepted = this.notify("notifications/initialized", json!({})).await;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        this
    }

    /// With a gateway that may be gone at any moment; `None` when it was.
    pub async fn try_open(client: &Client, server: &str, version: &str) -> Option<Self> {
        let path = format!("/mcp/{server}");
        let client = client.clone().header("accept", "application/json, text/event-stream");
        let params = json!({
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "it", "version": "1"},
        });
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
        let answer = client.clone().header("content-type", "application/json").try_post(&path, message).await?;
        let session = answer.header("mcp-session-id")?.to_owned();
        let client = client.header("mcp-session-id", &session).header("mcp-protocol-version", version);
        Some(Self { client, path, initialized: answer.json, next_id: std::cell::Cell::new(1) })
    }

    pub fn next_id(&self) -> i64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    pub async fn notify(&self, method: &str, params: Value) -> Answer {
        self.client.post(&self.path, json!({"jsonrpc": "2.0", "method": method, "params": params})).await
    }

    pub async fn request(&self, method: &str, params: Value) -> Answer {
        let id = self.next_id();
        self.client.post(&self.path, json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await
    }

    /// A tool's result.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await.reply()
    }

    /// The answer to a tool call as it comes.
    pub async fn open_call(&self, tool: &str, arguments: Value, progress_token: Option<Value>) -> Open {
        let mut params = json!({"name": tool, "arguments": arguments});
        if let Some(token) = progress_token {
            params["_meta"] = json!({"progressToken": token});
        }
        let message = json!({"jsonrpc": "2.0", "id": self.next_id(), "method": "tools/call", "params": params});
        let client = self.client.clone().header("content-type", "application/json");
        client.open("POST", &self.path, message.to_string()).await
    }
}

/// A request of the modern era.
pub async fn modern(client: &Client, server: &str, method: &str, mut params: Value) -> Answer {
    let (client, body) = modern_request(client, method, &mut params);
    client.send("POST", &format!("/mcp/{server}"), body).await
}

/// The headers and the body of a request of the modern era.
pub fn modern_request(client: &Client, method: &str, params: &mut Value) -> (Client, String) {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    let declared = &mut params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    if declared.is_null() {
        *declared = json!({});
    }
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "it", "version": "1"});
    let mut client = client
        .clone()
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()).or(params["taskId"].as_str()) {
        client = client.header("mcp-name", name);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    (client, body)
}
