//! The body of a request, read strictly.
//!
//! Bytes come in, a typed value goes out, or a problem that points at the field. `application/json` only, whole within
//! the limits of size and time, no repeated keys, no unknown fields. Whether the value makes sense is for the room that
//! it belongs to.

pub mod edit;
pub mod reader;

use std::future::Future;
use std::pin::Pin;

use actix_web::error::PayloadError;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::middleware::arrival::{self, ARRIVES_WITHIN};
use super::problem::{Code, Problem};
use crate::mcp::{splice, strict};

pub use edit::Edit;

/// Most bytes of a body of the REST surface; no resource comes near it.
const BYTES_MAX: usize = 256 * 1024;

/// A body that was read.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = demand_json(request);
        let payload = payload.take();
        Box::pin(async move {
            kind?;
            let bytes = receive(payload, BYTES_MAX).await?;
            parse(&bytes).map(Self)
        })
    }
}

/// A body that was read, with its text: what has to be kept to the letter is taken from there, as a parser would round its
/// numbers.
#[derive(Debug)]
pub struct Written<T> {
    /// What it says.
    pub value: T,
    text: String,
}

impl<T> Written<T> {
    /// The text of one of its members, unless that is `null`.
    #[must_use]
    pub fn text_of(&self, member: &str) -> Option<&str> {
        splice::find(&self.text, &[member]).filter(|text| *text != "null")
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Written<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = demand_json(request);
        let payload = payload.take();
        Box::pin(async move {
            kind?;
            let bytes = receive(payload, BYTES_MAX).await?;
            written(&bytes)
        })
    }
}

/// Parses the text of a body and keeps it.
///
/// # Errors
/// As [`parse`].
pub fn written<T: DeserializeOwned>(bytes: &[u8]) -> Result<Written<T>, Problem> {
    let value = parse(bytes)?;
    // What was parsed is UTF-8.
    Ok(Written { value, text: String::from_utf8_lossy(bytes).into_owned() })
}

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
/// It is larger, takes too long, or breaks off.
pub async fn receive(mut payload: Payload, bytes_max: usize) -> Result<web::BytesMut, Problem> {
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if bytes.len() + chunk.len() > bytes_max {
            let detail = format!("the body is larger than {bytes_max} bytes; send less");
            return Err(Problem::new(Code::PayloadTooLarge, detail).with_header(header::CONNECTION, "close"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Builds the problem of a body that can't be read to its end.
#[must_use]
pub fn broken(error: &PayloadError) -> Problem {
    if arrival::is_too_late(error) {
        let detail = format!("the body did not arrive within {} s; send it again", ARRIVES_WITHIN.as_secs());
        return Problem::new(Code::RequestTimeout, detail).with_header(header::CONNECTION, "close");
    }
    if matches!(error, PayloadError::Overflow) {
        return Problem::new(Code::PayloadTooLarge, "the body is larger than http.body_bytes_max allows; send less");
    }
    Problem::new(Code::MalformedRequest, format!("the body broke off: {error}; send it again"))
}

/// Parses the text of a body.
///
/// # Errors
/// It is not strict JSON, or not of the shape of `T`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::new(Code::MalformedJson, "the body is not UTF-8; JSON always is"))?;
    strict::check(text)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body can't be read as JSON: {error}")))?;
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body can't be read as JSON: {error}")))?;
    reader::read(&value).map_err(|fault| Problem::field(fault.pointer(), fault.detail))
}

/// Refuses what a web page's form could send.
fn demand_json(request: &HttpRequest) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if is_json(given) || (request.method() == Method::PATCH && is_merge_patch(given)) {
        return Ok(());
    }
    let detail = format!("the body must come as application/json, not as {given:?}; set the header content-type");
    Err(Problem::new(Code::UnsupportedMediaType, detail).with_header(header::ACCEPT, "application/json"))
}

/// Returns whether a `Content-Type` says JSON.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    essence(content_type) == "application/json"
}

/// Returns whether a `Content-Type` says JSON Merge Patch, which a `PATCH` may say instead.
#[must_use]
pub fn is_merge_patch(content_type: &str) -> bool {
    essence(content_type) == "application/merge-patch+json"
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
