//! Between the OAuth library and the one place that asks anybody over HTTP.

use std::cell::Cell;

use oauth2::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};

use crate::egress::http::Method;
use crate::egress::http::header::{HeaderName, HeaderValue};
use crate::egress::{EgressError, Exchange, Reach, Reply, exchange};
use crate::oauth::document::{ANSWER_BYTES_MAX, WITHIN};

/// Longest life of a token that is believed, in seconds: a hundred years.
const LIFETIME_SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdapterError {
    /// See there.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// What one side says can't be said to the other.
    #[error("{0}")]
    Crossing(&'static str),
}

/// A token endpoint, for one request.
pub(super) struct Endpoint {
    reach: Reach,
    status: Cell<u16>,
}

impl Endpoint {
    pub(super) fn new(reach: Reach) -> Self {
        Self { reach, status: Cell::new(0) }
    }

    /// What it answered; 0 before.
    pub(super) fn status(&self) -> u16 {
        self.status.get()
    }

    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, AdapterError> {
        let (head, body) = request.into_parts();
        let mut headers = Vec::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| header())?;
            value.set_sensitive(true);
            headers.push((name.map_err(|_| header())?, value));
        }
        let body = String::from_utf8(body).map_err(|_| AdapterError::Crossing("the request is not text"))?;
        let asked = Exchange {
            reach: self.reach,
            method: Method::POST,
            url: &head.uri.to_string(),
            headers,
            body: Some(body),
            bytes_max: ANSWER_BYTES_MAX,
            within: WITHIN,
        };
        let reply = exchange(asked).await?;
        self.status.set(reply.status);
        let (status, content_type, body) = mended(reply);
        let answer = oauth2::http::Response::builder().status(status).header("content-type", content_type);
        answer.body(body.into_bytes()).map_err(|_| AdapterError::Crossing("the answer's head can't be read"))
    }
}

fn header() -> AdapterError {
    AdapterError::Crossing("a header of the request can't be sent; does the client id hold strange characters?")
}

/// The answer as the library wants it.
fn mended(reply: Reply) -> (u16, &'static str, String) {
    const JSON: &str = "application/json";
    let Ok(Value::Object(mut answer)) = serde_json::from_str(&reply.text) else {
        return (reply.status, "text/plain", reply.text);
    };
    let is_refusal = answer.get("error").is_some_and(Value::is_string) && !answer.contains_key("access_token");
    let status = match reply.status {
        // Some say no with a yes.
        200..=299 if is_refusal => 400,
        200..=299 => 200,
        status => status,
    };
    mend(&mut answer);
    (status, JSON, Value::Object(answer).to_string())
}

fn mend(answer: &mut Map<String, Value>) {
    if let Some(lifetime) = answer.remove("expires_in").as_ref().and_then(seconds) {
        answer.insert("expires_in".into(), lifetime.min(LIFETIME_SECONDS_MAX).into());
    }
    for name in ["refresh_token", "scope", "error_description", "error_uri"] {
        if answer.get(name).is_some_and(|value| value.as_str().is_none_or(str::is_empty)) {
            answer.remove(name);
        }
    }
}

/// A number, written as one or as text; what is neither is as if it had not been said.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64()?.trunc().to_string().parse().ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> (u16, Value) {
        let (content_type, challenges) = ("text/html".to_owned(), Vec::new());
        let (status, _, text) = mended(Reply { status, content_type, text: body.to_string(), challenges });
        (status, serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_lifetime_is_read_however_it_is_written() {
        for (said, read) in [
            (json!(3600), json!(3600)),
            (json!("3600"), json!(3600)),
            (json!(3599.9), json!(3599)),
            (json!(0), json!(0)),
            (json!(1e300), Value::Null),
            (json!(u64::MAX), json!(LIFETIME_SECONDS_MAX)),
            (json!(-1), Value::Null),
            (json!("soon"), Value::Null),
            (Value::Null, Value::Null),
            (json!([1]), Value::Null),
        ] {
            let (_, answer) = answer(200, &json!({ "access_token": "a", "expires_in": said }));
            assert_eq!(answer.get("expires_in").unwrap_or(&Value::Null), &read, "{said}");
        }
    }

    #[test]
    fn what_is_empty_is_not_there_and_a_no_is_a_no() {
        let (status, read) = answer(201, &json!({ "access_token": "a", "refresh_token": "", "scope": null }));
        assert_eq!((status, read), (200, json!({ "access_token": "a" })));
        assert_eq!(answer(200, &json!({ "error": "bad_verification_code" })).0, 400);
        assert_eq!(answer(500, &json!({ "x": 1 })).0, 500);
    }
}
