//! A request whose answer is short and wanted as a whole: a document, a registration, a token.

use std::time::Duration;

use super::client::{self, Answer, Outbound};
use super::error::EgressError;
use super::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use super::http::{Method, Uri};
use super::reach::Reach;

/// What is asked. It may hold secrets, and can't be printed.
pub struct Exchange<'a> {
    /// How far it may lead.
    pub reach: Reach,
    /// GET or POST.
    pub method: Method,
    /// As it was typed or supplied; it is judged here.
    pub url: &'a str,
    /// What goes with it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A POST's body.
    pub body: Option<String>,
    /// A longer answer is an error.
    pub bytes_max: usize,
    /// From the first step to the last byte.
    pub within: Duration,
}

/// The whole of an answer. The status may be any but a redirect's. It may hold secrets, and can't be printed.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The media type, in lower case, without parameters.
    pub content_type: String,
    /// The body.
    pub text: String,
    /// Each `WWW-Authenticate`, in order.
    pub challenges: Vec<String>,
}

/// Asks and reads the answer to its end.
///
/// # Errors
/// Each way not to get one.
pub async fn exchange(asked: Exchange<'_>) -> Result<Reply, EgressError> {
    let url = asked.reach.parse(asked.url)?;
    let origin = url.origin().ascii_serialization();
    let url: Uri = url.as_str().parse().map_err(|_| EgressError::Url { reason: "it can't be sent".into() })?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(client::USER_AGENT));
    let (reach, bytes_max) = (asked.reach, asked.bytes_max);
    let (more, body) = (&asked.headers[..], asked.body.map(Into::into));
    let outbound = Outbound { reach, method: asked.method, url: &url, headers: &headers, more, body };
    let read = async { read(client::send(outbound).await?, &origin, bytes_max).await };
    let late = || EgressError::TimedOut { origin: origin.clone(), seconds: asked.within.as_secs() };
    tokio::time::timeout(asked.within, read).await.unwrap_or_else(|_| Err(late()))
}

async fn read(mut answer: Answer, origin: &str, bytes_max: usize) -> Result<Reply, EgressError> {
    let status = answer.status();
    if (300..=399).contains(&status) {
        let to = answer.header("location").unwrap_or("nowhere");
        let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
        return Err(EgressError::Redirected { origin: origin.to_owned(), status, to });
    }
    if status != 204 {
        answer.check_body()?;
    }
    let content_type = answer.content_type();
    let challenges = answer.headers("www-authenticate");
    match answer.text(bytes_max).await? {
        Some(text) => Ok(Reply { status, content_type, text, challenges }),
        None => Err(EgressError::TooLong { origin: origin.to_owned(), bytes_max }),
    }
}
