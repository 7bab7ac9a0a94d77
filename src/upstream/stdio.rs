//! The stdio transport: one process, its lines in and out, and its end.
//!
//! Three readers and writers run beside each other so that none can block another: a server that floods stderr or does
//! not read its input still gets its answers read. Lines that are no messages are skipped; a line that is too long is
//! dropped while it is read, never held.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};

use super::error::UpstreamError;
use super::sink::{Audience, Sink};
use super::tail::Tail;
use super::wire::{Ended, Outlet, Wire};
use crate::child::{Child, Launch};

/// After the process ended, this long for what it had written before.
const LAST_LINES: Duration = Duration::from_secs(1);
/// A process that is to be stopped is given this long to take what was to be said to it before.
const LAST_WRITES: Duration = Duration::from_millis(200);
/// How many stderr lines an error carries.
const LAST_WORDS: usize = 5;
/// How much of a line that is too long is kept, to find its id.
const HEAD_BYTES: usize = 512;

/// Starts a process and reads and writes its lines until it ends or the wire is stopped.
///
/// `ended` is called once, when the process and all it left behind are gone.
pub(super) fn start(
    launch: &Launch,
    line_bytes_max: usize,
    (fallback, audience): (Arc<dyn Sink>, Audience),
    tail: Arc<Tail>,
    ended: impl FnOnce(Option<String>) + 'static,
) -> Result<Arc<Wire>, UpstreamError> {
    let mut child = Child::spawn(launch)?;
    let (outlet, lines) = Outlet::queue();
    let wire = Wire::new(outlet, fallback, audience);
    let (close, closing) = oneshot::channel();
    let writer = child.take_stdin().map(|stdin| actix_rt::spawn(write(stdin, lines, closing)));
    let reader = child.take_stdout().map(|stdout| actix_rt::spawn(read(stdout, line_bytes_max, wire.clone())));
    let listener = child.take_stderr().map(|stderr| actix_rt::spawn(listen(stderr, tail.clone())));
    let wire_of_driver = wire.clone();
    actix_rt::spawn(async move {
        let wire = wire_of_driver;
        let is_stopped = tokio::select! {
            () = wire.stop.notified() => true,
            () = over(&mut child, reader) => false,
        };
        if is_stopped {
            wire.end(Ended::Stopped);
        }
        // Taking the pen away closes the process's input: that is how it is asked to go.
        if let Some(mut writer) = writer {
            drop(close);
            let _finished = tokio::time::timeout(LAST_WRITES, &mut writer).await;
            writer.abort();
        }
        if is_stopped {
            child.stop().await;
            return ended(None);
        }
        let exit = child.stop().await;
        if let Some(listener) = listener {
            let _ = tokio::time::timeout(LAST_LINES, listener).await;
        }
        let gone = Ended::Exited { exit: exit.to_string(), stderr: tail.last(LAST_WORDS) };
        wire.end(gone);
        ended(Some(exit.to_string()));
    });
    Ok(wire)
}

/// Until the process ended and its last lines are read, or it closed its output, or it wrote nothing but noise.
async fn over(child: &mut Child, reader: Option<actix_rt::task::JoinHandle<()>>) {
    let Some(mut reader) = reader else {
        child.wait().await;
        return;
    };
    tokio::select! {
        _ = &mut reader => {
            // Closed output without an end is an end, too; but an exit on its heels says more.
            let _ = tokio::time::timeout(LAST_LINES, child.wait()).await;
        }
        _ = child.wait() => {
            let _ = tokio::time::timeout(LAST_LINES, &mut reader).await;
        }
    }
    reader.abort();
}

/// Writes until `closing` resolves, and then what is waiting at that moment.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>, mut closing: oneshot::Receiver<()>) {
    let mut batch = Vec::with_capacity(4096);
    loop {
        let line = tokio::select! {
            biased;
            line = lines.recv() => line,
            _ = &mut closing => None,
        };
        let Some(line) = line else { return };
        batch.clear();
        push_line(&mut batch, &line);
        // What has queued while the last write ran goes out with one more.
        while batch.len() < 64 * 1024
            && let Ok(line) = lines.try_recv()
        {
            push_line(&mut batch, &line);
        }
        if stdin.write_all(&batch).await.is_err() {
            // The process closed its input; its end is seen on its output.
            return;
        }
    }
}

/// A message is one line: JSON text has no raw line breaks in strings, and those between its members are only space.
fn push_line(batch: &mut Vec<u8>, line: &str) {
    if line.contains(['\n', '\r']) {
        batch.extend(line.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    } else {
        batch.extend_from_slice(line.as_bytes());
    }
    batch.push(b'\n');
}

async fn read(stdout: impl AsyncRead + Unpin, line_bytes_max: usize, wire: Arc<Wire>) {
    let mut stdout = BufReader::with_capacity(16 * 1024, stdout);
    let mut line = Vec::with_capacity(4096);
    loop {
        line.clear();
        match next_line(&mut stdout, &mut line, line_bytes_max).await {
            Ok(Read::Line) => {
                let text = std::str::from_utf8(&line).unwrap_or("");
                if text.trim().is_empty() && !line.is_empty() && std::str::from_utf8(&line).is_ok() {
                    continue;
                }
                if !wire.line(text) {
                    tracing::warn!("a server writes nothing but noise on its output; it is stopped");
                    return;
                }
            }
            Ok(Read::TooLong) => wire.line_too_long(&String::from_utf8_lossy(&line), line_bytes_max),
            Ok(Read::End) | Err(_) => return,
        }
        if line.capacity() > 1024 * 1024 {
            line = Vec::with_capacity(4096);
        }
    }
}

enum Read {
    Line,
    TooLong,
    End,
}

/// Reads up to the next line break. A line that is too long is read to its end, but only its head is kept. What the
/// process did not finish before its end is no line.
async fn next_line(
    source: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    bytes_max: usize,
) -> std::io::Result<Read> {
    let mut is_too_long = false;
    loop {
        let available = source.fill_buf().await?;
        if available.is_empty() {
            return Ok(Read::End);
        }
        let (part, used, is_whole) = match memchr::memchr(b'\n', available) {
            Some(at) => (available.get(..at).unwrap_or_default(), at + 1, true),
            None => (available, available.len(), false),
        };
        if is_too_long || line.len() + part.len() > bytes_max {
            is_too_long = true;
            line.truncate(HEAD_BYTES);
        } else {
            line.extend_from_slice(part);
        }
        source.consume(used);
        if is_whole {
            return Ok(if is_too_long { Read::TooLong } else { Read::Line });
        }
    }
}

async fn listen(stderr: impl AsyncRead + Unpin, tail: Arc<Tail>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match next_line(&mut stderr, &mut line, HEAD_BYTES * 8).await {
            Ok(Read::Line | Read::TooLong) => tail.push(String::from_utf8_lossy(&line).trim_end()),
            Ok(Read::End) => {
                if !line.is_empty() {
                    tail.push(String::from_utf8_lossy(&line).trim_end());
                }
                return;
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(bytes: &[u8], bytes_max: usize) -> Vec<String> {
        let mut source = BufReader::with_capacity(7, bytes);
        let mut lines = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            match next_line(&mut source, &mut line, bytes_max).await.unwrap() {
                Read::Line => lines.push(String::from_utf8_lossy(&line).into_owned()),
                Read::TooLong => lines.push(format!("too long: {}", String::from_utf8_lossy(&line))),
                Read::End => return lines,
            }
        }
    }

    #[tokio::test]
    async fn lines_are_cut_at_line_breaks_and_what_is_unfinished_is_no_line() {
        assert_eq!(lines_of(b"one\ntwo is longer\n\nthree", 100).await, ["one", "two is longer", ""]);
    }

    #[tokio::test]
    async fn after_a_line_that_is_too_long_reading_goes_on() {
        let lines = lines_of(b"short\n0123456789abcdef\nnext\n", 10).await;
        assert_eq!(lines[0], "short");
        assert!(lines[1].starts_with("too long: 0123456"), "{lines:?}");
        assert_eq!(lines[2], "next");
    }
}
