//! An agent that calls the server over HTTP, through the gateway or without it: one connection a session.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::Result;
use crate::http::{Head, Http, find};
use crate::load::Caller;
use crate::message::{self, Era};

/// One session, or what stands for one where requests stand alone.
pub(crate) struct Through {
    era: Era,
    bytes: usize,
    next_id: u64,
    http: Http,
    /// All of a request's head but the length of its body.
    head: String,
    message: String,
    request: String,
    events: Vec<u8>,
}

impl Through {
    pub(crate) async fn open(address: SocketAddr, path: &str, key: &str, era: Era, bytes: usize) -> Result<Self> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
             mcp-protocol-version: {}\r\n",
            era.revision()
        );
        let http = Http::connect(address).await?;
        let (message, request, events) = (String::new(), String::new(), Vec::new());
        let mut through = Self { era, bytes, next_id: 1, http, head, message, request, events };
        match era {
            Era::Legacy => through.initialize().await?,
            Era::Modern => through.head.push_str("mcp-method: tools/call\r\nmcp-name: echo\r\n"),
        }
        // The first call also starts what is started late.
        through.call().await?;
        Ok(through)
    }

    async fn initialize(&mut self) -> Result<()> {
        self.message = message::initialize();
        let head = self.exchange().await?;
        let is_result = find(&self.http.body, b"\"result\"").is_some();
        let session = head.session.filter(|_| is_result);
        let session = session.ok_or_else(|| format!("no session was opened: {}", self.answer_text()))?;
        let _ = write!(self.head, "mcp-session-id: {session}\r\n");
        message::INITIALIZED.clone_into(&mut self.message);
        match self.exchange().await?.status {
            202 => Ok(()),
            status => Err(format!("the notification was answered by {status}: {}", self.answer_text()).into()),
        }
    }

    async fn exchange(&mut self) -> Result<Head> {
        self.request.clear();
        let _ = write!(self.request, "{}content-length: {}\r\n\r\n{}", self.head, self.message.len(), self.message);
        self.http.exchange(self.request.as_bytes()).await
    }

    fn answer_text(&self) -> String {
        String::from_utf8_lossy(&self.http.body).into_owned()
    }
}

impl Caller for Through {
    async fn call(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        message::call(&mut self.message, self.era, id, self.bytes);
        let head = self.exchange().await?;
        if head.status != 200 {
            return Err(format!("call {id} was answered by {}: {}", head.status, self.answer_text()).into());
        }
        if !head.is_events {
            return message::check(&self.http.body, id, self.bytes);
        }
        last_event(&self.http.body, &mut self.events);
        message::check(&self.events, id, self.bytes)
    }
}

/// The data of the last event, which is the answer; what comes before it is progress.
fn last_event(stream: &[u8], data: &mut Vec<u8>) {
    data.clear();
    let mut lines = stream.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
    data.extend_from_slice(lines.next_back().unwrap_or_default());
}

/// Asks whether the gateway is alive: what HTTP alone costs in it, without any MCP.
pub(crate) struct Alive {
    http: Http,
    request: String,
}

impl Alive {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        Ok(Self { http: Http::connect(address).await?, request })
    }
}

impl Caller for Alive {
    async fn call(&mut self) -> Result<()> {
        match self.http.exchange(self.request.as_bytes()).await?.status {
            200 => Ok(()),
            status => Err(format!("/healthz was answered by {status}").into()),
        }
    }
}
