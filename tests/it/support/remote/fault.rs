//! All that a remote server can do wrong.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::wire::{self, Socket};

/// Stands for the id of the request that is answered; the id is padded to its length, which was told before.
const PLACE: &[u8] = b"THE-ID";
/// It stands near the beginning.
const MAX_HEAD: usize = 1024;
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// Beyond what the gateway takes by default.
const TOO_MANY_BYTES: usize = 17 << 20;

/// Bytes instead of an answer, and what comes after them.
#[derive(Clone, Debug)]
pub struct Fault {
    bytes: std::sync::Arc<Vec<u8>>,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request is welcome.
    GoOn,
    Close,
    Reset,
    /// Nothing, with the connection open.
    Hang,
    /// A comment of an event stream twenty times a second.
    Comment,
    /// More and more of one line, until nobody takes it any more.
    Flood,
}

impl Fault {
    pub fn bytes(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { bytes: std::sync::Arc::new(bytes.into()), then }
    }

    /// A whole answer.
    pub fn says(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::bytes(wire::answer(status, headers, body.as_bytes()), Then::GoOn)
    }

    pub fn status(status: u16) -> Self {
        Self::says(status, &[("content-type", "text/plain")], "as this test wants it")
    }

    pub fn json(body: &str) -> Self {
        Self::says(200, &[("content-type", "application/json")], body)
    }

    /// An event stream of that text which then ends.
    pub fn stream(events: &str) -> Self {
        Self::bytes(format!("{STREAM_HEAD}{:x}\r\n{events}\r\n0\r\n\r\n", events.len()), Then::GoOn)
    }

    pub fn reset() -> Self {
        Self::bytes("", Then::Reset)
    }

    pub fn close() -> Self {
        Self::bytes("", Then::Close)
    }

    pub fn hang() -> Self {
        Self::bytes("", Then::Hang)
    }

    pub fn head_then_hang() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
        Self::bytes(head, Then::Hang)
    }

    /// An answer before the answer.
    pub fn early() -> Self {
        Self::bytes("HTTP/1.1 103 Early Hints\r\n\r\n", Then::Hang)
    }

    pub fn html() -> Self {
        let page = "<!doctype html><title>Sign in</title><p>Please sign in.";
        Self::says(200, &[("content-type", "text/html; charset=utf-8")], page)
    }

    /// An answer in a type that is none of the two.
    pub fn other_type() -> Self {
        let body = r#"{"jsonrpc":"2.0","id":THE-ID,"result":{}}"#;
        Self::says(200, &[("content-type", "application/octet-stream")], body)
    }

    pub fn invalid_json() -> Self {
        Self::json(r#"{"jsonrpc":"2.0","id":THE-ID,"result":{"#)
    }

    /// A good answer to something that was never asked.
    pub fn other_id() -> Self {
        Self::json(&json!({"jsonrpc": "2.0", "id": 987_654_321, "result": {"content": []}}).to_string())
    }

    /// The body ends before its length.
    pub fn cut_body() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
        Self::bytes(format!("{head}{{\"jsonrpc\":\"2.0\",\"id\":THE-ID,"), Then::Close)
    }

    /// The body ends inside a chunk.
    pub fn cut_chunks() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        Self::bytes(format!("{head}100\r\n{{\"jsonrpc\":\"2.0\",\"id\":THE-ID,"), Then::Close)
    }

    /// A good answer that ends with its connection: whether it is whole nobody can know.
    pub fn no_length() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        let body = r#"{"jsonrpc":"2.0","id":THE-ID,"result":{"content":[]}}"#;
        Self::bytes(format!("{head}{body}"), Then::Close)
    }

    /// An event stream that shows life and nothing else.
    pub fn comments() -> Self {
        Self::bytes(STREAM_HEAD, Then::Comment)
    }

    /// An event stream with a line that never ends.
    pub fn endless_line() -> Self {
        Self::bytes(format!("{STREAM_HEAD}6\r\ndata: \r\n"), Then::Flood)
    }

    /// An event stream that breaks off inside the answer.
    pub fn cut_stream() -> Self {
        Self::bytes(format!("{STREAM_HEAD}100\r\ndata: {{\"jsonrpc\":\"2.0\",\"id\":THE-ID,"), Then::Close)
    }

    /// An event stream that ends without the answer.
    pub fn silent_stream() -> Self {
        Self::stream(": nothing to say\n\n")
    }

    pub fn big_body() -> Self {
        let text = "x".repeat(TOO_MANY_BYTES);
        Self::json(&format!(
            r#"{{"jsonrpc":"2.0","id":THE-ID,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        ))
    }

    pub fn big_line() -> Self {
        let text = "x".repeat(TOO_MANY_BYTES);
        Self::stream(&format!("data: {{\"jsonrpc\":\"2.0\",\"id\":THE-ID,\"result\":{{\"x\":\"{text}\"}}}}\n\n"))
    }

    /// 64 MiB of spaces in 64 KiB, though nobody said that they could be unpacked here.
    pub fn gzip_bomb() -> Self {
        let script = "import gzip, sys; sys.stdout.buffer.write(gzip.compress(b' ' * (64 << 20)))";
        let packed =
            std::process::Command::new("python3").args(["-c", script]).output().expect("python3 starts").stdout;
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        Self::bytes(wire::answer(200, &headers, &packed), Then::GoOn)
    }

    pub fn redirect(status: u16, to: &str) -> Self {
        Self::says(status, &[("location", to)], "")
    }

    /// A login page's worth of a refusal, with a challenge that no agent may see.
    pub fn unauthorized() -> Self {
        let challenge = r#"Bearer resource_metadata="http://127.0.0.1:9/upstream-canary", error="invalid_token""#;
        Self::says(401, &[("www-authenticate", challenge), ("content-type", "text/plain")], "no")
    }

    pub fn too_many(retry_after_seconds: u32) -> Self {
        let seconds = retry_after_seconds.to_string();
        Self::says(429, &[("retry-after", &seconds), ("content-type", "text/plain")], "slow down")
    }

    /// Plays it; whether the connection goes on.
    pub(super) async fn play(&self, socket: &mut impl Socket, id: &Value) -> bool {
        let bytes = match self.bytes.windows(PLACE.len()).take(MAX_HEAD).position(|window| window == PLACE) {
            Some(at) => {
                [&self.bytes[..at], format!("{:>6}", id.to_string()).as_bytes(), &self.bytes[at + PLACE.len()..]]
                    .concat()
            }
            None => self.bytes.to_vec(),
        };
        if socket.write_all(&bytes).await.is_err() || socket.flush().await.is_err() {
            return false;
        }
        match self.then {
            Then::GoOn => return true,
            Then::Close => {}
            Then::Reset => socket.close_by_reset(),
            Then::Hang => std::future::pending().await,
            Then::Flood => {
                let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
                while socket.write_all(&chunk).await.is_ok() {}
            }
            Then::Comment => {
                // A chunk of 14 bytes.
                while socket.write_all(b"e\r\n: still here\n\n\r\n").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        false
    }
}
