//! From what was written to what it means.
//!
//! In comes a raw value from a file, a variable or a flag, out goes the value that the key's kind wants, as JSON, or
//! `None` when it cannot be had. Files are typed; a variable and a flag are text, and are read generously.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::SyslogTarget;
use super::key::{Key, Kind};
use super::waits;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// Text in a file.
    Text(String),
    /// A whole number in a file.
    Number(Option<u64>, String),
    /// A truth value in a file.
    Flag(bool),
    /// A list of texts in a file.
    List(Vec<String>),
    /// Something else in a file, by the name of its type.
    Other(&'static str),
    /// The text of a variable or a flag.
    Written(String),
}

/// What a key's value may be, in words.
pub(super) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Secret => "text that is not empty".into(),
        Kind::Path => "a path".into(),
        Kind::Address => "an IP address or localhost, a colon and a port, such as 127.0.0.1:8080".into(),
        Kind::Url => "an http or https URL without user, query or fragment".into(),
        Kind::Syslog => "udp://HOST:PORT, tcp://HOST:PORT or unix:/PATH".into(),
        Kind::Database => "a URL that begins with sqlite: or postgres://".into(),
        Kind::Flag => "true or false".into(),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::List => "a list of texts".into(),
        Kind::Named(least, most) => format!("a list of texts such as NAME={most}, each number from {least} to {most}"),
    }
}

/// The raw value in words, for a message.
pub(super) fn found(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) | Raw::Written(text) if text.is_empty() => "empty".into(),
        Raw::Text(text) | Raw::Written(text) => format!("{text:?}"),
        Raw::Number(_, digits) => digits.clone(),
        Raw::Flag(flag) => flag.to_string(),
        Raw::List(_) => "a list".into(),
        Raw::Other(name) => format!("a {name}"),
    }
}

/// The value for a key, if the raw one can stand for it.
pub(super) fn parse(key: &Key, raw: &Raw) -> Option<Value> {
    match (key.kind, raw) {
        (Kind::Flag, Raw::Flag(flag)) => Some(json!(flag)),
        (Kind::Flag, Raw::Written(text)) => flag(text),
        (Kind::Number(least, most), Raw::Number(Some(number), _)) => in_range(*number, least, most),
        (Kind::Number(least, most), Raw::Written(text)) => in_range(text.trim().parse().ok()?, least, most),
        (Kind::List, Raw::List(texts)) => Some(json!(texts)),
        (Kind::List, Raw::Written(text)) => Some(json!(list(text))),
        (Kind::Named(least, most), Raw::List(texts)) => {
            named(&texts.iter().map(String::as_str).collect::<Vec<_>>(), least, most)
        }
        (Kind::Named(least, most), Raw::Written(text)) => named(&list(text), least, most),
        (kind, Raw::Text(text) | Raw::Written(text)) => parse_text(kind, text),
        (_, Raw::Number(..) | Raw::Flag(_) | Raw::List(_) | Raw::Other(_)) => None,
    }
}

fn parse_text(kind: Kind, text: &str) -> Option<Value> {
    let text = text.trim();
    let fits = match kind {
        Kind::Address => return address(text),
        Kind::Url => is_url(text),
        Kind::Syslog => text.parse::<SyslogTarget>().is_ok(),
        Kind::Database => text.starts_with("sqlite:") || text.starts_with("postgres"),
        Kind::Choice(words) => words.contains(&text),
        Kind::Text | Kind::Secret | Kind::Path => !text.is_empty(),
        Kind::Flag | Kind::Number(..) | Kind::List | Kind::Named(..) => false,
    };
    fits.then(|| json!(text))
}

fn flag(text: &str) -> Option<Value> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(json!(true)),
        "false" | "0" | "no" | "off" => Some(json!(false)),
        _ => None,
    }
}

fn in_range(number: u64, least: u64, most: u64) -> Option<Value> {
    (least..=most).contains(&number).then(|| json!(number))
}

fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn named(texts: &[&str], least: u64, most: u64) -> Option<Value> {
    let is_in_range = |text: &&str| waits::split(text).is_some_and(|(_, number)| (least..=most).contains(&number));
    texts.iter().all(is_in_range).then(|| json!(texts))
}

fn address(text: &str) -> Option<Value> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = numeric.parse().ok()?;
    Some(json!(address.to_string()))
}

/// Whether this is the base of other URLs: a scheme, a host, perhaps a path.
fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@' | '\\' | '"');
    !host.is_empty() && !host.starts_with(':') && !rest.contains(strange)
}
