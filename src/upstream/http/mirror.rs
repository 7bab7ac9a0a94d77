//! The headers that repeat parts of a modern request, so that what stands between can route by them (2026-07-28,
//! SEP-2243). They are made from the body that goes out, never taken from the agent.

use crate::egress::http::header::{HeaderName, HeaderValue};
use base64::Engine as _;
use serde_json::Value;

use crate::mcp::{method, splice};
use crate::upstream::connection::Mirrored;

/// The headers for one request. `mirrored` are the arguments that the tool wants repeated.
pub(in crate::upstream) fn headers(
    name: &str,
    params: Option<&str>,
    mirrored: &[Mirrored],
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(2 + mirrored.len());
    push(&mut headers, "mcp-method", name);
    if let Some(subject) = method::header_name(name, params) {
        push(&mut headers, "mcp-name", &subject);
    }
    if mirrored.is_empty() {
        return headers;
    }
    let arguments: Value = params
        .and_then(|params| splice::find(params, &["arguments"]))
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    for (header, path) in mirrored {
        let argument = path.iter().try_fold(&arguments, |value, step| value.get(step));
        let text = match argument {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            // What is absent or null is left out.
            _ => continue,
        };
        push(&mut headers, &format!("mcp-param-{header}"), &text);
    }
    headers
}

fn push(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&encoded(value))) {
        headers.push((name, value));
    }
}

/// A value as a header can carry it: plain where that can't be misread, else base64 between marks.
fn encoded(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if is_plain {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, params: &str, mirrored: &[Mirrored]) -> Vec<(String, String)> {
        let headers = headers(name, Some(params), mirrored);
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn headers_say_what_the_body_says() {
        let mirrored = [
            ("region".to_owned(), vec!["region".to_owned()]),
            ("shard".to_owned(), vec!["deep".to_owned(), "shard".to_owned()]),
            ("none".to_owned(), vec!["none".to_owned()]),
        ];
        let params = r#"{"name":"t","arguments":{"region":"eu","deep":{"shard":7},"none":null}}"#;
        let expected =
            [("mcp-method", "tools/call"), ("mcp-name", "t"), ("mcp-param-region", "eu"), ("mcp-param-shard", "7")];
        assert_eq!(of("tools/call", params, &mirrored), expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(of("tools/list", "{}", &[]), [("mcp-method".to_owned(), "tools/list".to_owned())]);
    }

    #[test]
    fn what_a_header_can_not_carry_is_encoded() {
        for plain in ["a", "a b", "x://y?z=1", "=?base64?x"] {
            assert_eq!(encoded(plain), plain);
        }
        for odd in ["é", " a", "a ", "a\nb", "=?base64?YQ==?="] {
            assert!(encoded(odd).starts_with("=?base64?") && encoded(odd) != odd, "{odd}");
        }
        assert_eq!(encoded("é"), "=?base64?w6k=?=");
    }
}
