//! The answer to a call, whichever way it comes: one JSON message, or a stream of events that ends in one.
//!
//! In comes an HTTP response, out goes the message that answers; progress is told on the way. A stream that ends
//! without its answer is an error, never a success.

use awc::{ClientResponse, http::header::CONTENT_TYPE};
use futures_util::StreamExt;
use serde_json::Value;

use crate::cli::{error::Problem, output::text};

/// Most bytes of one answer.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a call came to, as the protocol says it.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Result(Value),
    Error(Value),
}

/// A message, or a refusal by HTTP.
pub(super) enum Answer {
    Message(Message),
    Refused(Problem),
}

/// Reads until the message with this id is there.
pub(super) async fn read(response: &mut ClientResponse, id: u64, progress: impl Fn(&str)) -> Result<Answer, String> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return read_events(response, id, progress).await.map(Answer::Message);
    }
    let status = response.status();
    let body = response.body().limit(BYTES_MAX).await.map_err(|error| error.to_string())?;
    let value: Value =
        serde_json::from_slice(&body).map_err(|_| format!("status {status}, and no JSON that could be read"))?;
    if let Some(message) = answering(value.clone(), id) {
        return Ok(Answer::Message(message));
    }
    let mut problem: Problem = serde_json::from_value(value).unwrap_or_default();
    problem.status = status.as_u16();
    if status.is_success() { Err("the message answers something else".into()) } else { Ok(Answer::Refused(problem)) }
}

async fn read_events(response: &mut ClientResponse, id: u64, progress: impl Fn(&str)) -> Result<Message, String> {
    let mut events = Events::default();
    while let Some(chunk) = response.next().await {
        for data in events.push(&chunk.map_err(|error| error.to_string())?)? {
            let Ok(value) = serde_json::from_str::<Value>(&data) else { continue };
            if text(&value, "/method") == "notifications/progress" {
                progress(text(&value, "/params/message"));
            } else if let Some(message) = answering(value, id) {
                return Ok(message);
            }
        }
    }
    Err("the stream ended without an answer".into())
}

/// The outcome in a message, if it answers this id; an error without an id is about the only request there was.
fn answering(mut value: Value, id: u64) -> Option<Message> {
    let of = value.get("id").cloned().unwrap_or_default();
    let is_ours = of.as_u64() == Some(id);
    if is_ours && let Some(result) = value.get_mut("result") {
        return Some(Message::Result(result.take()));
    }
    let error = value.get_mut("error").filter(|error| error.is_object())?.take();
    (is_ours || of.is_null()).then_some(Message::Error(error))
}

/// Bytes in, the data of whole events out (the WHATWG's event stream format, as far as MCP uses it).
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    data: Vec<String>,
    bytes: usize,
}

impl Events {
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, String> {
        let mut whole = Vec::new();
        for byte in chunk {
            if *byte == b'\n' {
                whole.extend(self.end_line());
            } else {
                self.line.push(*byte);
            }
        }
        self.bytes += chunk.len();
        if self.bytes > BYTES_MAX { Err(format!("the answer is larger than {BYTES_MAX} bytes")) } else { Ok(whole) }
    }

    fn end_line(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| data.join("\n"));
        }
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &[u8] =
        b": hello\r\nid: 1\r\ndata:\r\n\r\nevent: message\ndata: {\"a\":\ndata: \"\xc3\xa9\"}\n\ndata: cut";

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        for cut in 0..STREAM.len() {
            let mut events = Events::default();
            let mut whole = events.push(&STREAM[..cut]).unwrap();
            whole.extend(events.push(&STREAM[cut..]).unwrap());
            assert_eq!(whole, ["", "{\"a\":\n\"é\"}"], "cut at {cut}");
        }
    }

    #[test]
    fn only_the_message_with_our_id_answers() {
        let result = json!({ "jsonrpc": "2.0", "id": 1, "result": { "x": 1 } });
        assert_eq!(answering(result, 1), Some(Message::Result(json!({ "x": 1 }))));
        assert_eq!(answering(json!({ "id": 2, "result": {} }), 1), None);
        assert_eq!(answering(json!({ "id": "1", "result": {} }), 1), None);
        assert_eq!(answering(json!({ "method": "notifications/message" }), 1), None);
        let error = json!({ "id": null, "error": { "code": -32700, "message": "no" } });
        assert!(matches!(answering(error, 1), Some(Message::Error(_))));
    }
}
