//! HTTP by hand: what no library would send must be possible.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What bytes come over.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// From now on, closing it tells the other side that all is lost.
    fn close_by_reset(&self);
}

impl Socket for tokio::net::TcpStream {
    fn close_by_reset(&self) {
        self.set_zero_linger().expect("a socket");
    }
}

/// The first byte of whoever begins with TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// One request as it was read.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body, if it is JSON.
    pub json: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is of that JSON-RPC method, or of that HTTP method if it has no body.
    pub fn is(&self, method: &str) -> bool {
        if self.method == "POST" { self.json["method"] == method } else { self.method == method }
    }
}

/// The next request; `None` when the other side is gone.
pub async fn read(socket: &mut impl Socket) -> Option<Request> {
    let mut seen = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&seen, b"\r\n\r\n") {
            break at;
        }
        more(socket, &mut seen).await?;
        if seen.first() == Some(&TLS_HANDSHAKE) {
            let _ = socket.write_all(&answer(400, &[("connection", "close")], b"this is no TLS port")).await;
            return None;
        }
    };
    let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
    let mut rest = seen.split_off(head_end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, headers, body: String::new(), json: Value::Null };
    let body = if request.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        chunks(socket, &mut rest).await?
    } else {
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while rest.len() < length {
            more(socket, &mut rest).await?;
        }
        rest
    };
    request.body = String::from_utf8_lossy(&body).into_owned();
    request.json = serde_json::from_str(&request.body).unwrap_or(Value::Null);
    Some(request)
}

async fn chunks(socket: &mut impl Socket, rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(rest, b"\r\n") {
                break at;
            }
            more(socket, rest).await?;
        };
        let size = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).ok()?;
        while rest.len() < end + 2 + size + 2 {
            more(socket, rest).await?;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest.drain(..end + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn more(socket: &mut impl Socket, into: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let read = socket.read(&mut buffer).await.ok()?;
    into.extend_from_slice(&buffer[..read]);
    (read > 0).then_some(())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A whole answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    // 202 and 204 say nothing, and 204 must not even say how much.
    if status != 204 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "As It Is",
    }
}

/// An event stream that is written piece by piece.
pub struct Events<'s, S>(&'s mut S);

impl<'s, S: Socket> Events<'s, S> {
    /// Writes the head.
    pub async fn begin(socket: &'s mut S, headers: &[(&str, &str)]) -> std::io::Result<Self> {
        let mut head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n".to_owned();
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).await?;
        socket.flush().await?;
        Ok(Self(socket))
    }

    pub async fn message(&mut self, message: &str) -> std::io::Result<()> {
        self.text(&format!("event: message\ndata: {message}\n\n")).await
    }

    pub async fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
        self.0.flush().await
    }

    pub async fn end(self) -> std::io::Result<()> {
        self.0.write_all(b"0\r\n\r\n").await?;
        self.0.flush().await
    }

    /// Resolves when the other side has gone.
    pub async fn gone(&mut self) {
        let mut buffer = [0; 1024];
        while self.0.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}
