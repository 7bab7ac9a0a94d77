//! A webhook: events as lines of JSON in the body of a POST, signed as Standard Webhooks has it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Told;
use crate::clock;
use crate::egress::http::Method;
use crate::egress::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use crate::egress::{Exchange, Reach, exchange};
use crate::vault::SecretText;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Nobody reads the answer's body.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What the secrets of Standard Webhooks begin with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// See the module.
pub(super) struct Webhook {
    url: String,
    secret: Option<SecretText>,
}

impl Webhook {
    pub(super) fn new(url: String, secret: Option<SecretText>) -> Self {
        Self { url, secret }
    }

    /// Sends lines in one request; `id` is the same when they are sent again.
    pub(super) async fn send(&self, id: &str, told: &[Told]) -> Result<(), String> {
        let body: String = told.iter().flat_map(|told| [told.line.as_str(), "\n"]).collect();
        let seconds = (clock::now_ms() / 1_000).to_string();
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.push((HeaderName::from_static(name), value));
            }
        };
        add("webhook-id", id);
        add("webhook-timestamp", &seconds);
        if let Some(secret) = &self.secret {
            add("webhook-signature", &signature(secret.expose(), id, &seconds, &body));
        }
        let asked = Exchange {
            reach: Reach::Typed,
            method: Method::POST,
            url: &self.url,
            headers,
            body: Some(body),
            bytes_max: ANSWER_BYTES_MAX,
            within: WITHIN,
        };
        let reply = exchange(asked).await.map_err(|error| crate::chain(&error))?;
        if (200..=299).contains(&reply.status) { Ok(()) } else { Err(format!("it answered with {}", reply.status)) }
    }
}

fn signature(secret: &str, id: &str, seconds: &str, body: &str) -> String {
    let plain = || secret.as_bytes().to_vec();
    let key =
        secret.strip_prefix(SECRET_PREFIX).map_or_else(plain, |text| STANDARD.decode(text).unwrap_or_else(|_| plain()));
    // a key of any length is taken, so there is no other arm
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    for part in [id, ".", seconds, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
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
}
