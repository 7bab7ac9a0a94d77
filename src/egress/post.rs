//! A message to somebody of whose answer only the head is wanted: a webhook. Signed, if there is a secret, as Standard
//! Webhooks has it.
//!
//! The signature is a dozen lines here; the crate that has it would bring second versions of two hashes along.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::client::{self, Outbound};
use super::error::EgressError;
use super::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use super::http::{Method, Uri};
use super::reach::Reach;

/// What the secrets of Standard Webhooks begin with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// What is sent. It may hold secrets, and can't be printed.
pub struct Post<'a> {
    /// As an operator typed it.
    pub url: &'a str,
    /// What goes with it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The text.
    pub body: String,
    /// From the first step to the answer's head.
    pub within: Duration,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The HTTP status; any, also a redirect's, which is not followed.
    pub status: u16,
    /// `Retry-After`
    pub retry_after: Option<String>,
}

/// Sends it. What else the answer says is not read: however long or odd it is, the status holds.
///
/// # Errors
/// Each way not to get an answer.
pub async fn post(message: Post<'_>) -> Result<Taken, EgressError> {
    let url = Reach::Typed.parse(message.url)?;
    let origin = url.origin().ascii_serialization();
    let url: Uri = url.as_str().parse().map_err(|_| EgressError::Url { reason: "it can't be sent".into() })?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(client::USER_AGENT));
    let (more, body) = (&message.headers[..], Some(message.body.into()));
    let outbound = Outbound { reach: Reach::Typed, method: Method::POST, url: &url, headers: &headers, more, body };
    let late = || EgressError::TimedOut { origin, seconds: message.within.as_secs() };
    let answer = tokio::time::timeout(message.within, client::send(outbound)).await.map_err(|_| late())??;
    let taken = Taken { status: answer.status(), retry_after: answer.header("retry-after").map(str::to_owned) };
    answer.finish();
    Ok(taken)
}

/// The headers of Standard Webhooks for a message of that id, sent at that time (seconds since 1970).
#[must_use]
pub fn signed(secret: Option<&str>, id: &str, seconds: i64, body: &str) -> Vec<(HeaderName, HeaderValue)> {
    let seconds = seconds.to_string();
    let signature = secret.map(|secret| signature(secret, id, &seconds, body));
    let all =
        [("webhook-id", Some(id)), ("webhook-timestamp", Some(&*seconds)), ("webhook-signature", signature.as_deref())];
    let header = |(name, value): (&'static str, Option<&str>)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(value?).ok()?))
    };
    all.into_iter().filter_map(header).collect()
}

fn signature(secret: &str, id: &str, seconds: &str, body: &str) -> String {
    let key = key_of(secret).unwrap_or_else(|| secret.as_bytes().to_vec());
    // a key of any length is taken, so there is no other arm
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    for part in [id, ".", seconds, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The key in a secret of the form `whsec_…`; none of another one, whose text is the key.
#[must_use]
pub fn key_of(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // the example of the specification's reference libraries
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn without_a_secret_a_message_has_its_id_and_time_alone() {
        let names = |secret| {
            signed(secret, "id", 5, "{}").iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(None), "webhook-id webhook-timestamp");
        assert_eq!(names(Some("plain words")), "webhook-id webhook-timestamp webhook-signature");
    }
}
