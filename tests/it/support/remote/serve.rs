//! What it does while nothing is wrong with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::wire::{self, Events, Request, Socket};
use super::{Guard, On, Session, Shared, tls};

const JSON: (&str, &str) = ("content-type", "application/json");

pub async fn accept(listener: TcpListener, tls: Option<tls::Acceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(stream, shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn connection(mut socket: impl Socket, shared: Arc<Shared>) {
    if let Some(fault) = shared.fault(|on| on == On::Accept)
        && !fault.play(&mut socket, &Value::Null).await
    {
        return;
    }
    while let Some(request) = wire::read(&mut socket).await {
        shared.state().ledger.push(request.clone());
        let fault = shared.fault(|on| match on {
            On::Accept => false,
            On::Every => true,
            On::Method(method) => request.method == "POST" && request.is(method),
            On::Get => request.method == "GET",
        });
        let is_kept_out =
            |guard: &Guard| !guard.tokens.iter().any(|token| request.header("authorization") == Some(token.as_str()));
        let guard = shared.state().guard.clone().filter(is_kept_out);
        let goes_on = match (fault, guard) {
            (None, Some(guard)) => say(&mut socket, 401, &[("www-authenticate", &guard.challenge)], "no").await.is_ok(),
            (Some(fault), _) => fault.play(&mut socket, &request.json["id"]).await,
            (None, None) => answer(&mut socket, &request, &shared).await.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

async fn answer(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    if request.path != "/mcp" {
        return say(socket, 404, &[], "").await;
    }
    let manner = shared.manner;
    let is_opening = request.is("initialize") || request.is("server/discover");
    if manner.is_sessionful && !manner.is_modern && !is_opening {
        let id = request.header("mcp-session-id").unwrap_or_default();
        if !shared.state().sessions.contains_key(id) {
            let status = if id.is_empty() { 400 } else { manner.lost_status };
            // With its 400 it answers nobody in particular, as real servers do.
            let id = if status == 400 { Value::Null } else { request.json["id"].clone() };
            let said = json!({"code": -32000, "message": "Bad Request: No valid session ID provided"});
            let body = json!({"jsonrpc": "2.0", "id": id, "error": said}).to_string();
            return say(socket, status, &[JSON], &body).await;
        }
    }
    match request.method.as_str() {
        "POST" if request.json.is_null() => refuse(socket, 400, request, -32700, "Parse error").await,
        "POST" => post(socket, request, shared).await,
        "GET" if !manner.is_modern => listen(socket, request, shared).await,
        "DELETE" if !manner.is_modern => {
            shared.state().sessions.remove(request.header("mcp-session-id").unwrap_or_default());
            say(socket, 200, &[], "").await
        }
        _ => say(socket, 405, &[("allow", "POST")], "").await,
    }
}

async fn say(socket: &mut impl Socket, status: u16, headers: &[(&str, &str)], body: &str) -> std::io::Result<()> {
    socket.write_all(&wire::answer(status, headers, body.as_bytes())).await?;
    socket.flush().await
}

async fn refuse(
    socket: &mut impl Socket,
    status: u16,
    request: &Request,
    code: i64,
    message: &str,
) -> std::io::Result<()> {
    let id = &request.json["id"];
    let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
    say(socket, status, &[JSON], &body.to_string()).await
}

async fn post(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    if request.json["id"].is_null() {
        return say(socket, 202, &[], "").await;
    }
    let Some(method) = request.json["method"].as_str() else {
        // The answer to a question.
        let asked = shared.state().asked.remove(&request.json["id"].to_string());
        if let Some(asked) = asked {
            let _ = asked.send(request.json.clone());
        }
        return say(socket, 202, &[], "").await;
    };
    let is_modern = shared.manner.is_modern;
    match (method, is_modern) {
        ("initialize", false) => initialize(socket, request, shared).await,
        ("server/discover", true) => {
            let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}});
            reply(socket, request, shared, result).await
        }
        ("tools/list", _) => reply(socket, request, shared, tools(shared)).await,
        ("tools/call", _) => call(socket, request, shared).await,
        ("ping" | "logging/setLevel", false) => reply(socket, request, shared, json!({})).await,
        ("server/discover", false) => refuse(socket, 400, request, -32000, "Bad Request: Server not initialized").await,
        _ => refuse(socket, if is_modern { 404 } else { 200 }, request, -32601, "Method not found").await,
    }
}

async fn initialize(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let asked = &request.json["params"]["protocolVersion"];
    let result = json!({
        "protocolVersion": asked, "capabilities": {"tools": {"listChanged": true}, "logging": {}},
        "serverInfo": {"name": "remote", "version": "1"},
    });
    let body = json!({"jsonrpc": "2.0", "id": request.json["id"], "result": result}).to_string();
    if !shared.manner.is_sessionful {
        return say(socket, 200, &[JSON], &body).await;
    }
    let id = format!("remote-session-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    shared.state().sessions.insert(id.clone(), Session::default());
    say(socket, 200, &[JSON, ("mcp-session-id", &id)], &body).await
}

/// Answers a request with a result, in the manner of the server.
async fn reply(socket: &mut impl Socket, request: &Request, shared: &Shared, mut result: Value) -> std::io::Result<()> {
    if shared.manner.is_modern {
        result["resultType"] = json!("complete");
        if !request.is("tools/call") {
            result["ttlMs"] = json!(60_000);
            result["cacheScope"] = json!("private");
        }
    }
    let body = json!({"jsonrpc": "2.0", "id": request.json["id"], "result": result}).to_string();
    if shared.manner.wants_stream {
        let mut events = Events::begin(socket, &[]).await?;
        events.message(&body).await?;
        return events.end().await;
    }
    say(socket, 200, &[JSON], &body).await
}

fn tools(shared: &Shared) -> Value {
    let tool = |name: &str, properties: Value| json!({"name": name, "description": name, "inputSchema": {"type": "object", "properties": properties}});
    let echo = json!({"text": {"type": "string"}, "place": {"type": "string", "x-mcp-header": "Place"}});
    let mut tools = vec![tool("echo", echo)];
    tools.extend(["held", "early", "lost", "grow", "ask", "steady"].map(|name| tool(name, json!({}))));
    tools.extend((0..shared.state().extra_tools).map(|number| tool(&format!("extra-{number}"), json!({}))));
    json!({ "tools": tools })
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": false})
}

async fn call(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    let params = &request.json["params"];
    match params["name"].as_str().unwrap_or_default() {
        "echo" => reply(socket, request, shared, text(params["arguments"]["text"].as_str().unwrap_or_default())).await,
        "lost" => {
            let what = "Error POSTing to endpoint: no session; Session not found (404)";
            let result = json!({"content": [{"type": "text", "text": what}], "isError": true});
            reply(socket, request, shared, result).await
        }
        "grow" => {
            grow(shared);
            reply(socket, request, shared, text("grown")).await
        }
        "held" => held(socket, request, shared).await,
        "steady" => steady(socket, request).await,
        "early" => early(socket, request, shared).await,
        "ask" => ask(socket, request, shared).await,
        _ => refuse(socket, 200, request, -32602, "Unknown tool").await,
    }
}

fn grow(shared: &Shared) {
    let told = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}).to_string();
    let mut state = shared.state();
    state.extra_tools += 1;
    for session in state.sessions.values_mut() {
        session.listeners.retain(|listener| listener.send(told.clone()).is_ok());
    }
}

async fn held(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    let token = &request.json["params"]["_meta"]["progressToken"];
    let progress = |at: u32| {
        let params = json!({"progressToken": token, "progress": at, "total": 2});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).to_string()
    };
    let mut events = Events::begin(socket, &[]).await?;
    events.message(&progress(1)).await?;
    tokio::select! {
        () = shared.release.notified() => {}
        () = events.gone() => {
            shared.abandoned.fetch_add(1, Ordering::SeqCst);
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
    }
    events.message(&progress(2)).await?;
    events.message(&result_of(request, text("held")).to_string()).await?;
    events.end().await
}

async fn steady(socket: &mut impl Socket, request: &Request) -> std::io::Result<()> {
    let token = &request.json["params"]["_meta"]["progressToken"];
    let mut events = Events::begin(socket, &[]).await?;
    for at in 0..8 {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        let params = json!({"progressToken": token, "progress": at});
        let told = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
        events.message(&told.to_string()).await?;
    }
    events.message(&result_of(request, text("steady")).to_string()).await?;
    events.end().await
}

async fn early(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let id = format!("event-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let session = request.header("mcp-session-id").unwrap_or_default();
    if let Some(session) = shared.state().sessions.get_mut(session) {
        session.kept.insert(id.clone(), result_of(request, text("late")).to_string());
    }
    let mut events = Events::begin(socket, &[]).await?;
    events.text(&format!("id: {id}\nretry: 100\ndata: \n\n")).await?;
    events.end().await
}

async fn ask(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let id = json!(COUNT.fetch_add(1, Ordering::Relaxed));
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    let params = json!({"message": "Who is it?", "requestedSchema": schema});
    let question = json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params});
    let (answer, answered) = oneshot::channel();
    shared.state().asked.insert(id.to_string(), answer);
    let mut events = Events::begin(socket, &[]).await?;
    events.message(&question.to_string()).await?;
    let answer = answered.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
    let said = text(&answer["result"].to_string());
    events.message(&result_of(request, said).to_string()).await?;
    events.end().await
}

fn result_of(request: &Request, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": request.json["id"], "result": result})
}

async fn listen(socket: &mut impl Socket, request: &Request, shared: &Shared) -> std::io::Result<()> {
    let session = request.header("mcp-session-id").unwrap_or_default();
    if let Some(last) = request.header("last-event-id") {
        let kept = shared.state().sessions.get_mut(session).and_then(|session| session.kept.remove(last));
        let Some(kept) = kept else { return say(socket, 400, &[], "no such event").await };
        let mut events = Events::begin(socket, &[]).await?;
        events.message(&kept).await?;
        return events.end().await;
    }
    let (sender, mut receiver) = mpsc::unbounded_channel();
    if let Some(session) = shared.state().sessions.get_mut(session) {
        session.listeners.push(sender);
    }
    let mut events = Events::begin(socket, &[]).await?;
    loop {
        tokio::select! {
            message = receiver.recv() => match message {
                Some(message) => events.message(&message).await?,
                None => return events.end().await,
            },
            () = events.gone() => return Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}
