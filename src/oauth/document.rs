//! A JSON document that somebody publishes.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::egress::http::Method;
use crate::egress::http::header::{ACCEPT, HeaderValue};
use crate::egress::{EgressError, Exchange, Reach, exchange};

/// Longest metadata.
pub(super) const METADATA_BYTES_MAX: usize = 256 * 1024;
/// Longest answer of a registration or token endpoint.
pub(super) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// From lookup to last byte.
pub(super) const WITHIN: Duration = Duration::from_secs(10);

/// What was found at an address.
pub(super) enum Found {
    /// An object.
    Object(Map<String, Value>),
    /// Something that is no JSON object: often a page for people, with status 200.
    Other,
    /// A status that is no success.
    Status(u16),
}

/// Fetches it.
pub(super) async fn fetch(url: &str, reach: Reach) -> Result<Found, EgressError> {
    let headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
    let (method, body) = (Method::GET, None);
    let asked = Exchange { reach, method, url, headers, body, bytes_max: METADATA_BYTES_MAX, within: WITHIN };
    let reply = exchange(asked).await?;
    Ok(match reply.status {
        200..=299 => match serde_json::from_str(&reply.text) {
            Ok(Value::Object(object)) => Found::Object(object),
            _ => Found::Other,
        },
        status => Found::Status(status),
    })
}
