//! The server that is called: MCP over stdio, as fast as it can be written without effort, so that little of what is
//! measured is its own. Its answers are also those of the server over HTTP.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, BufWriter, Result, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::MODERN;

const BUFFER_BYTES: usize = 64 * 1024;

/// What is sent to a server.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// `None` for what is no message.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Writes the answer, if it wants one; whether it does.
    pub(crate) fn answer(&self, output: &mut impl Write, text: &mut String, is_dual: bool) -> Result<bool> {
        let Some(id) = self.id else { return Ok(false) };
        answer(output, text, is_dual, id.get(), &self.method, self.params.map_or("{}", RawValue::get))?;
        Ok(true)
    }
}

#[derive(Deserialize, Default)]
struct CallParams {
    #[serde(default)]
    arguments: Arguments,
}

#[derive(Deserialize, Default)]
struct Arguments {
    #[serde(default)]
    size: usize,
}

/// Answers until its input ends.
pub(crate) fn serve(is_dual: bool) -> Result<()> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, std::io::stdin().lock());
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
    let mut line = Vec::with_capacity(4096);
    let mut text = String::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return output.flush();
        }
        // What is no message, or wants no answer, gets none.
        if let Some(message) = Message::read(&line)
            && message.answer(&mut output, &mut text, is_dual)?
        {
            writeln!(output)?;
        }
        // Requests that came together are answered together.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
}

fn answer(
    output: &mut impl Write,
    text: &mut String,
    is_dual: bool,
    id: &str,
    method: &str,
    params: &str,
) -> Result<()> {
    let is_modern = params.contains("io.modelcontextprotocol/protocolVersion");
    let complete = if is_modern { r#","resultType":"complete""# } else { "" };
    let cached = if is_modern { r#","ttlMs":60000,"cacheScope":"private""# } else { "" };
    match method {
        "initialize" => write!(
            output,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"atryum-bench","version":"1"}}}}}}"#,
            revision(params)
        ),
        "server/discover" if is_dual => write!(
            output,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":["{MODERN}"],"capabilities":{{"tools":{{}}}}{complete}{cached}}}}}"#
        ),
        "ping" => write!(output, r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
        "tools/list" => write!(
            output,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{{"name":"echo","description":"A text of the size that is asked for.","inputSchema":{{"type":"object","properties":{{"size":{{"type":"integer"}}}}}}}}]{complete}{cached}}}}}"#
        ),
        "tools/call" => {
            let size = serde_json::from_str::<CallParams>(params).unwrap_or_default().arguments.size;
            if text.len() != size {
                *text = "x".repeat(size);
            }
            write!(
                output,
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}],"isError":false{complete}}}}}"#
            )
        }
        _ => {
            write!(output, r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"method not found"}}}}"#)
        }
    }
}

/// The revision that a client asks for, if it is one of sessions; else the newest of those.
fn revision(params: &str) -> &'static str {
    ["2024-11-05", "2025-03-26", "2025-06-18"].into_iter().find(|known| params.contains(known)).unwrap_or("2025-11-25")
}
