//! `atryum call`: one tool call, made as an agent makes it.
//!
//! In come a server, a tool and arguments, out goes what the tool said. The call takes the way of every agent's call,
//! through the rules and the record; this client only speaks the protocol (2026-07-28, one request that stands alone).

mod answer;

use std::{
    cell::RefCell,
    fs,
    io::{self, IsTerminal, Read},
    process::ExitCode,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json, value::RawValue};

use super::{
    client::{Remote, http, unreachable},
    error::{CliError, Problem},
    output::{Format, escape, pretty, print, remark, text},
};
use crate::{
    config::Environment,
    mcp::{meta, version},
};
use answer::{Answer, Message};

/// The id of the one request there is.
const ID: u64 = 1;

#[derive(Args, Debug)]
pub(super) struct Call {
    /// The server's name
    server: String,
    /// The tool's name
    tool: String,
    /// The arguments, a JSON object; - reads it from standard input, @FILE from a file
    #[arg(long, value_name = "JSON", default_value = "{}")]
    arguments: String,
    /// The agent's key [default: `ATRYUM_AGENT_KEY`, else `ATRYUM_TOKEN`]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How long to wait for the answer, and for a person if one is needed
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    wait: u64,
    #[command(flatten)]
    remote: Remote,
}

impl Call {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let arguments = read_arguments(&self.arguments)?;
        let news = News::default();
        let exchange = self.exchange(&arguments, &news);
        match actix_rt::time::timeout(Duration::from_secs(self.wait), exchange).await {
            Ok(message) => self.conclude(message?),
            Err(_) if news.is_waiting() => {
                Err(CliError::Pending("nobody has decided yet; make the same call again to wait on".into()))
            }
            Err(_) => Err(CliError::Failed(format!("no answer within {} s; it may still come to be done", self.wait))),
        }
    }

    async fn exchange(&self, arguments: &RawValue, news: &News) -> Result<Message, CliError> {
        let url = format!("{}/mcp/{}", self.remote.url.trim_end_matches('/'), self.server);
        let mut request = http()
            .post(&url)
            .timeout(Duration::from_secs(self.wait))
            .insert_header(("accept", "application/json, text/event-stream"))
            .insert_header(("content-type", "application/json"))
            .insert_header(("mcp-protocol-version", version::MODERN))
            .insert_header(("mcp-method", "tools/call"))
            .insert_header(("mcp-name", header_value(&self.tool)));
        if let Some(key) = self.key() {
            request = request.bearer_auth(key);
        }
        let sent = request.send_body(self.body(arguments)).await;
        let mut response = sent.map_err(|error| unreachable(&self.remote.url, &error))?;
        match answer::read(&mut response, ID, |message| news.tell(message)).await {
            Ok(Answer::Message(message)) => Ok(message),
            Ok(Answer::Refused(problem)) => Err(refusal(problem)),
            Err(why) => Err(CliError::Strange { url, why }),
        }
    }

    fn key(&self) -> Option<String> {
        let environment = Environment::of_this_process();
        self.key.clone().or_else(|| environment.agent_key()).or_else(|| environment.operator_token())
    }

    /// The request; the arguments stay the text that they were.
    fn body(&self, arguments: &RawValue) -> String {
        let meta = json!({
            meta::PROTOCOL_VERSION: version::MODERN,
            meta::CLIENT_INFO: { "name": "atryum-call", "version": env!("CARGO_PKG_VERSION") },
            meta::CLIENT_CAPABILITIES: {},
            "progressToken": ID,
        });
        let (name, arguments) = (json!(self.tool), arguments.get());
        format!(
            r#"{{"jsonrpc":"2.0","id":{ID},"method":"tools/call","params":{{"name":{name},"arguments":{arguments},"_meta":{meta}}}}}"#
        )
    }

    fn conclude(&self, message: Message) -> Result<ExitCode, CliError> {
        let result = match message {
            Message::Result(result) => result,
            Message::Error(error) => return Err(CliError::Failed(escape(text(&error, "/message")))),
        };
        match self.remote.output {
            Format::Json => print(&pretty(&result)),
            Format::Table => print(&readable(&result, io::stdout().is_terminal())),
        }
        if text(&result, "/structuredContent/status") == "pending_approval" {
            return Err(CliError::Pending(
                "a person has to decide; make the same call again to get the outcome".into(),
            ));
        }
        if text(&result, "/resultType") == "input_required" {
            return Err(CliError::Pending("the server asks for input, which this command cannot give".into()));
        }
        Ok(ExitCode::from(u8::from(result.pointer("/isError") == Some(&Value::Bool(true)))))
    }
}

/// What is heard while the call is under way.
#[derive(Default)]
struct News {
    last: RefCell<String>,
}

impl News {
    /// Tells what is new.
    fn tell(&self, message: &str) {
        if *self.last.borrow() != message {
            remark(&escape(message));
            message.clone_into(&mut self.last.borrow_mut());
        }
    }

    fn is_waiting(&self) -> bool {
        self.last.borrow().to_lowercase().contains("approval")
    }
}

fn refusal(problem: Problem) -> CliError {
    if problem.status == 401 {
        let hint = "set ATRYUM_AGENT_KEY to an agent's key; atryum agent add NAME makes one";
        return CliError::Failed(format!("{}\n{hint}", CliError::Refused(problem)));
    }
    CliError::Refused(problem)
}

fn read_arguments(argument: &str) -> Result<Box<RawValue>, CliError> {
    let usage = |what: String| CliError::Usage(format!("--arguments {what}"));
    let text = if argument == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map(|_| text).map_err(|error| usage(format!("cannot be read: {error}")))?
    } else if let Some(path) = argument.strip_prefix('@') {
        fs::read_to_string(path).map_err(|error| usage(format!("cannot be read from {path}: {error}")))?
    } else {
        argument.to_owned()
    };
    let value =
        RawValue::from_string(text.trim().to_owned()).map_err(|error| usage(format!("is not JSON: {error}")))?;
    if value.get().starts_with('{') { Ok(value) } else { Err(usage("must be a JSON object".into())) }
}

/// A name as a header carries it: as it is when it is plain, base64 between marks otherwise (2026-07-28).
fn header_value(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && name.trim() == name && !name.is_empty();
    if is_plain && !name.starts_with("=?base64?") {
        name.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(name))
    }
}

/// The content of a result for a person, or as it is for a program that reads standard output.
fn readable(result: &Value, on_terminal: bool) -> String {
    let items = result.pointer("/content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let parts: Vec<String> = items.iter().map(part).collect();
    let text = match (parts.is_empty(), result.pointer("/structuredContent")) {
        (true, Some(structured)) => pretty(structured),
        (true, None) | (false, _) => parts.join("\n"),
    };
    if on_terminal { escape(&text) } else { text }
}

/// One item of content: its text, or what it is.
fn part(item: &Value) -> String {
    match text(item, "/type") {
        "text" => text(item, "/text").to_owned(),
        "resource_link" => text(item, "/uri").to_owned(),
        "resource" if item.pointer("/resource/text").is_some() => text(item, "/resource/text").to_owned(),
        kind => format!("[{kind} {}; see it with -o json]", text(item, "/mimeType")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_and_another_is_encoded() {
        assert_eq!(header_value("get_weather"), "get_weather");
        assert_eq!(header_value("größe"), "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(header_value(" x"), "=?base64?IHg=?=");
        assert_eq!(header_value("=?base64?eA==?="), "=?base64?PT9iYXNlNjQ/ZUE9PT89?=");
    }

    #[test]
    fn arguments_keep_their_numbers_and_must_be_an_object() {
        let text = r#"{"n":12345678901234567890123,"f":1.50}"#;
        assert_eq!(read_arguments(text).unwrap().get(), text);
        for wrong in ["[1]", "3", "{", "", "@/no/such/file"] {
            assert!(matches!(read_arguments(wrong), Err(CliError::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn every_kind_of_content_says_something() {
        let result = json!({ "content": [
            { "type": "text", "text": "hello" },
            { "type": "image", "mimeType": "image/png", "data": "AAAA" },
            { "type": "resource_link", "uri": "file:///x" },
        ] });
        assert_eq!(readable(&result, false), "hello\n[image image/png; see it with -o json]\nfile:///x");
        assert_eq!(readable(&json!({ "structuredContent": { "a": 1 }, "content": [] }), false), "{\n  \"a\": 1\n}");
        let coloured = json!({ "content": [{ "type": "text", "text": "\u{1b}[31m" }] });
        assert_eq!(
            (readable(&coloured, true), readable(&coloured, false)),
            ("\\u{1b}[31m".into(), "\u{1b}[31m".into())
        );
    }
}
