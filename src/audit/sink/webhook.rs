//! A webhook: events as lines of JSON in the body of a POST, signed as Standard Webhooks has it.

use std::time::Duration;

use super::{Told, Untold};
use crate::clock;
use crate::egress::http::header::{CONTENT_TYPE, HeaderValue};
use crate::egress::{Post, post, signed};
use crate::vault::SecretText;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);

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
    pub(super) async fn send(&self, id: &str, told: &[Told]) -> Result<(), Untold> {
        let body: String = told.iter().flat_map(|told| [told.line.as_str(), "\n"]).collect();
        let secret = self.secret.as_ref().map(SecretText::expose);
        let mut headers = signed(secret, id, clock::now_ms() / 1_000, &body);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")));
        let taken = post(Post { url: &self.url, headers, body, within: WITHIN }).await;
        let taken = taken.map_err(|error| crate::chain(&error))?;
        match taken.status {
            200..=299 => Ok(()),
            status => Err(Untold { why: format!("it answered with {status}"), is_refused: is_refused(status) }),
        }
    }
}

/// Whether the same would be answered in the same way again; not so when there is too much of it, or it is too early.
fn is_refused(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}
