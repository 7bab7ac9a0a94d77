//! The same server over HTTP, in a process of its own: one connection a task, requests one after another.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::Result;
use crate::http::find;
use crate::options::Kind;
use crate::upstream::Message;

const READ_BYTES: usize = 16 * 1024;

/// A running server. Dropping it kills it.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    _process: Child,
}

impl Remote {
    /// Starts one whose answers to calls are of that kind.
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["upstream-http", kind.word()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let line = BufReader::new(output).lines().next_line().await?.ok_or("the server ended at once")?;
        Ok(Self { address: line.parse()?, _process: process })
    }
}

/// Answers until it is killed; prints its address first.
pub(crate) async fn serve(is_stream: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Whoever goes away is gone.
            let _ = answer_all(stream, is_stream).await;
        });
    }
}

async fn answer_all(mut stream: TcpStream, is_stream: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut seen, mut body, mut text, mut answer) = (Vec::new(), Vec::new(), String::new(), Vec::new());
    loop {
        let Some(head_end) = find(&seen, b"\r\n\r\n") else {
            seen.reserve(READ_BYTES);
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let is_post = seen.starts_with(b"POST ");
        let length = length(&seen[..head_end]);
        let end = head_end + 4 + length;
        while seen.len() < end {
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        }
        body.clear();
        answer.clear();
        match Message::read(&seen[head_end + 4..end]) {
            Some(message) if is_post => {
                if message.answer(&mut body, &mut text, true)? {
                    write_answer(&mut answer, &body, &message.method, is_stream)?;
                } else {
                    answer.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
                }
            }
            // No stream stays open, and a session that ends leaves nothing.
            _ if seen.starts_with(b"DELETE ") => {
                answer.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
            _ => answer.extend_from_slice(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"),
        }
        seen.drain(..end);
        stream.write_all(&answer).await?;
    }
}

fn write_answer(answer: &mut Vec<u8>, body: &[u8], method: &str, is_stream: bool) -> std::io::Result<()> {
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    if is_stream && method == "tools/call" {
        let length = body.len() + "event: message\ndata: \n\n".len();
        write!(
            answer,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
             {length:x}\r\nevent: message\ndata: "
        )?;
        answer.extend_from_slice(body);
        answer.extend_from_slice(b"\n\n\r\n0\r\n\r\n");
        return Ok(());
    }
    write!(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len())?;
    if method == "initialize" {
        write!(answer, "mcp-session-id: bench-{}\r\n", SESSIONS.fetch_add(1, Ordering::Relaxed))?;
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);
    Ok(())
}

/// The length of a request's body.
fn length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:"));
    line.and_then(|line| line.split_once(':')?.1.trim().parse().ok()).unwrap_or(0)
}
