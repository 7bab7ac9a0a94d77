//! HTTP/1.1 over one connection that is kept, one request at a time: as much of it as a gateway on this machine needs.
//!
//! Written by hand because it runs on the same cores as what it measures.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

const READ_BYTES: usize = 16 * 1024;

/// A connection.
pub(crate) struct Http {
    stream: TcpStream,
    /// What was read and not yet used begins at `used`.
    buffer: Vec<u8>,
    used: usize,
    /// The body of the last answer.
    pub(crate) body: Vec<u8>,
}

/// What stands before a body.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// It is an event stream.
    pub(crate) is_events: bool,
    /// `Mcp-Session-Id`
    pub(crate) session: Option<String>,
    length: Option<usize>,
    is_chunked: bool,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES), used: 0, body: Vec::new() })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Head> {
        self.stream.write_all(request).await?;
        let head = loop {
            let unused = &self.buffer[self.used..];
            if let Some(end) = find(unused, b"\r\n\r\n") {
                let head = Head::parse(&unused[..end])?;
                self.used += end + 4;
                break head;
            }
            self.read_more().await?;
        };
        self.body.clear();
        if head.is_chunked {
            self.read_chunks().await?;
        } else if let Some(length) = head.length {
            self.take(length).await?;
        } else if head.status != 204 {
            return Err("an answer without a length came".into());
        }
        Ok(head)
    }

    async fn read_chunks(&mut self) -> Result<()> {
        loop {
            let line_end = loop {
                match find(&self.buffer[self.used..], b"\r\n") {
                    Some(end) => break end,
                    None => self.read_more().await?,
                }
            };
            let line = std::str::from_utf8(&self.buffer[self.used..self.used + line_end])?;
            let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
            self.used += line_end + 2;
            self.take(length).await?;
            let kept = self.body.len();
            self.take(2).await?;
            self.body.truncate(kept);
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Moves the next `length` bytes into the body.
    async fn take(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() - self.used < length {
            self.read_more().await?;
        }
        self.body.extend_from_slice(&self.buffer[self.used..self.used + length]);
        self.used += length;
        Ok(())
    }

    async fn read_more(&mut self) -> Result<()> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.used);
        }
        self.used = 0;
        self.buffer.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the gateway closed the connection".into());
        }
        Ok(())
    }
}

impl Head {
    fn parse(text: &[u8]) -> Result<Self> {
        let mut lines = std::str::from_utf8(text)?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("an answer without a status came")?;
        let mut head = Self { status: status.parse()?, ..Self::default() };
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("content-type") {
                head.is_events = value.starts_with("text/event-stream");
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                head.session = Some(value.to_owned());
            }
        }
        Ok(head)
    }
}

/// Where `part` begins.
pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
