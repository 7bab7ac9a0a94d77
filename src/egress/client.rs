//! One request, and its answer's head and body. The only place in the gateway's service that names the HTTP client, so
//! that another could take its place.
//!
//! `awc` has one client a thread. It is not trusted with four things, which are done here: it takes a body that was cut
//! for a whole one, reads an answer without length or chunks as empty, bounds connections of all servers together, and
//! follows redirects with whatever headers it was given. Nothing is read from the environment: there is no proxy.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_tls::connect::{Connector as TcpConnector, Resolve as _, Resolver};
use awc::error::{ConnectError, SendRequestError};
use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use awc::http::{Method, Uri, Version};
use awc::{Client, ClientResponse, Connector};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::FutureExt as _;

use super::error::EgressError;
use super::reach::Reach;
use super::resolve::Checked;

/// A connection, or its TLS handshake, is given up after this.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An idle connection is used again within this time: shorter than what servers commonly allow, so that a request is
/// not sent into a connection that is just being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// What is left of an answer after the part that was wanted is read for at most this long.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// How the gateway names itself.
pub(super) const USER_AGENT: &str = concat!("atryum/", env!("CARGO_PKG_VERSION"));

thread_local! {
    /// Two, as a connection that was made for one reach is kept for the next request to that host.
    static ANYWHERE: RefCell<Client> = RefCell::new(client(Reach::Typed));
    static PUBLIC: RefCell<Client> = RefCell::new(client(Reach::Public));
}

fn client(reach: Reach) -> Client {
    let tcp = TcpConnector::new(Resolver::custom(Checked(reach))).service();
    let connector = Connector::new()
        .connector(tcp)
        .rustls_0_23(tls())
        .timeout(CONNECT_WITHIN)
        .handshake_timeout(CONNECT_WITHIN)
        .conn_keep_alive(KEEP_ALIVE)
        // One bound for all servers together would let one server's open streams starve another.
        .limit(0);
    Client::builder().connector(connector).disable_timeout().disable_redirects().no_default_headers().finish()
}

/// What is trusted is what this machine trusts.
fn tls() -> Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of this machine's trusted certificates can't be read");
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!("this machine trusts no certificate at all: https addresses can't be reached");
        }
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    made.clone()
}

/// Connects and says where to; nothing is sent. For a test that tells how far it came.
///
/// # Errors
/// Why there is no connection.
pub async fn connect(url: &str) -> Result<String, EgressError> {
    let url = Reach::Typed.parse(url)?;
    let uri: Uri = url.as_str().parse().map_err(|_| EgressError::Url { reason: "it can't be sent".into() })?;
    let port = url.port_or_known_default().unwrap_or_default();
    let found = Checked(Reach::Typed).lookup(uri.host().unwrap_or_default(), port).await;
    let found = found.map_err(|error| connect_failed(&uri, ConnectError::Resolver(error)))?;
    let connected = tokio::time::timeout(CONNECT_WITHIN, tokio::net::TcpStream::connect(&*found)).await;
    match connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Ok(stream.peer_addr().map_or_else(|_| origin_of(&uri), |address| address.to_string())),
        Err(error) => Err(EgressError::Connect { origin: origin_of(&uri), reason: error.to_string() }),
    }
}

/// What goes out. It may hold secrets, and can't be printed.
pub struct Outbound<'a> {
    /// How far it may lead.
    pub reach: Reach,
    /// GET, POST or DELETE.
    pub method: Method,
    /// Where to.
    pub url: &'a Uri,
    /// What goes with each request of the sender.
    pub headers: &'a HeaderMap,
    /// Headers of this one request.
    pub more: &'a [(HeaderName, HeaderValue)],
    /// A POST's body; cloning it copies nothing.
    pub body: Option<Bytes>,
}

/// Sends it and waits for the answer's head. There is no bound of time here but that of connecting.
///
/// # Errors
/// Why there is no answer.
pub async fn send(outbound: Outbound<'_>) -> Result<Answer, EgressError> {
    let url = outbound.url;
    if let Some(address) = literal(url) {
        outbound.reach.check_address(&host(url), address)?;
    }
    let reach = outbound.reach;
    let kept = match reach {
        Reach::Typed | Reach::Nearby => &ANYWHERE,
        Reach::Public => &PUBLIC,
    };
    let mut request = kept.with_borrow(|client| client.request(outbound.method, url.clone())).no_decompress();
    let headers = request.headers_mut();
    for (name, value) in outbound.headers {
        headers.append(name.clone(), value.clone());
    }
    for (name, value) in outbound.more {
        headers.append(name.clone(), value.clone());
    }
    let sent = match outbound.body {
        Some(body) => request.send_body(body).await,
        None => request.send().await,
    };
    let response = sent.map_err(|error| named(url, error))?;
    if is_kept_too_early(&response) {
        kept.replace(client(reach));
    }
    let status = response.status();
    if status.is_informational() {
        let reason = format!("it began with the interim status {}, which is not understood here", status.as_u16());
        return Err(EgressError::Reset { reason });
    }
    Ok(Answer::new(response))
}

/// Whether the client keeps the connection for another request though something is still to come by it: the answer after
/// an interim one, or a body that ends with the connection. Whoever is given that connection next would read it as its
/// own answer. So all that is kept is let go of, before another request can take it.
fn is_kept_too_early(response: &ClientResponse) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let has_end = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    let has_no_body = matches!(status.as_u16(), 204 | 304);
    let says_close = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"close");
    let is_closed = headers.get(header::CONNECTION).is_some_and(says_close);
    status.is_informational() || (!has_end && !has_no_body && !is_closed)
}

/// The URL's host when it is an address: then nothing is looked up.
fn literal(url: &Uri) -> Option<IpAddr> {
    url.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn host(url: &Uri) -> String {
    url.host().unwrap_or_default().to_owned()
}

/// Scheme, host and port.
#[must_use]
pub fn origin_of(url: &Uri) -> String {
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    format!("{}://{authority}", url.scheme_str().unwrap_or_default())
}

fn named(url: &Uri, error: SendRequestError) -> EgressError {
    match error {
        SendRequestError::Url(error) => EgressError::Url { reason: error.to_string() },
        // It was connected, and the request may have been read.
        SendRequestError::Connect(ConnectError::Disconnected) => EgressError::Reset { reason: "it was closed".into() },
        SendRequestError::Connect(error) => connect_failed(url, error),
        SendRequestError::Timeout => {
            EgressError::Connect { origin: origin_of(url), reason: "it takes too long".into() }
        }
        error => EgressError::Reset { reason: error.to_string() },
    }
}

fn connect_failed(url: &Uri, error: ConnectError) -> EgressError {
    let connect = |reason: String| EgressError::Connect { origin: origin_of(url), reason };
    match error {
        ConnectError::Resolver(error) => match error.downcast::<EgressError>() {
            Ok(refused) => *refused,
            Err(error) => EgressError::Resolve { host: host(url), reason: error.to_string() },
        },
        ConnectError::NoRecords | ConnectError::Unresolved => {
            EgressError::Resolve { host: host(url), reason: "it has no address".into() }
        }
        ConnectError::Timeout => connect(format!("no answer within {} s", CONNECT_WITHIN.as_secs())),
        ConnectError::SslIsNotSupported => EgressError::Tls { origin: origin_of(url), reason: error.to_string() },
        ConnectError::Io(error) if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>) => {
            EgressError::Tls { origin: origin_of(url), reason: error.to_string() }
        }
        // A TLS handshake that the other side broke off.
        ConnectError::Io(error) if url.scheme_str() == Some("https") && is_cut(&error) => {
            EgressError::Tls { origin: origin_of(url), reason: error.to_string() }
        }
        error => connect(error.to_string()),
    }
}

fn is_cut(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionReset, InvalidData, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | InvalidData | ConnectionReset)
}

/// An answer whose head is read.
#[derive(Debug)]
pub struct Answer {
    response: ClientResponse,
    /// `Content-Length`
    expected: Option<u64>,
    bytes: u64,
}

impl Answer {
    fn new(response: ClientResponse) -> Self {
        let expected =
            response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        Self { response, expected, bytes: 0 }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header that is readable text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All headers of that name that are readable text, in order.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let all = self.response.headers().get_all(name);
        all.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    }

    /// The media type, in lower case, without parameters.
    pub fn content_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the server said how long the body is.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.expected.is_some()
    }

    /// What a body is told as that has no end.
    #[must_use]
    pub fn truncated(&self) -> EgressError {
        EgressError::Truncated { bytes: self.bytes }
    }

    /// Refuses a body that can't be read as it is.
    ///
    /// # Errors
    /// Why it can't be read.
    pub fn check_body(&self) -> Result<(), EgressError> {
        if let Some(encoding) = self.header("content-encoding").filter(|encoding| *encoding != "identity") {
            return Err(EgressError::Encoded { encoding: encoding.to_owned() });
        }
        let has_end = self.expected.is_some() || self.response.headers().contains_key(header::TRANSFER_ENCODING);
        if !has_end && self.response.version() <= Version::HTTP_11 {
            return Err(EgressError::CloseDelimited);
        }
        Ok(())
    }

    /// What comes next of the body; `None` at its end.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EgressError> {
        match self.response.next().await {
            Some(Ok(chunk)) => {
                self.bytes += chunk.len() as u64;
                Ok(Some(chunk))
            }
            // The client takes a cut body for a whole one.
            None if self.expected.is_none_or(|expected| expected == self.bytes) => Ok(None),
            None | Some(Err(_)) => Err(EgressError::Truncated { bytes: self.bytes }),
        }
    }

    /// The whole body, or what there is of it up to the bound; `None` when it is longer.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn text(&mut self, bytes_max: usize) -> Result<Option<String>, EgressError> {
        let room = self.expected.and_then(|expected| usize::try_from(expected).ok()).unwrap_or(1024);
        if self.expected.is_some_and(|expected| expected > bytes_max as u64) {
            return Ok(None);
        }
        let mut body = Vec::with_capacity(room);
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        match String::from_utf8(body) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(EgressError::NotText),
        }
    }

    /// Lets go of the rest. It is read to its end if that comes soon: then the connection can be used again.
    pub fn finish(mut self) {
        loop {
            match self.response.next().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(None | Some(Err(_))) => return,
                None => break,
            }
        }
        actix_rt::spawn(async move {
            let rest = async { while let Some(Ok(_)) = self.response.next().await {} };
            let _ends_by_itself_or_is_closed = tokio::time::timeout(REST_WITHIN, rest).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a second request is answered with, when the first one was answered with `first` and something late comes after
    /// that.
    async fn second_after(first: &'static str) -> Option<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        actix_rt::spawn(async move {
            let mut answers = [vec![first, "late"], vec!["good"]].into_iter();
            while let (Ok((mut socket, _)), Some(answers)) = (listener.accept().await, answers.next()) {
                actix_rt::spawn(async move {
                    for answer in answers {
                        let read = socket.read(&mut [0; 4096]).await;
                        if !read.is_ok_and(|bytes| bytes > 0) {
                            return;
                        }
                        let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
                        let bytes = if answer.starts_with("HTTP/") { answer.to_owned() } else { whole };
                        socket.write_all(bytes.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let ask = async || {
            let headers = HeaderMap::new();
            let body = Some(Bytes::from_static(b"{}"));
            let reach = Reach::Typed;
            send(Outbound { reach, method: Method::POST, url: &url, headers: &headers, more: &[], body }).await
        };
        let _whatever_it_is = ask().await;
        ask().await.unwrap().text(100).await.unwrap()
    }

    #[test]
    fn an_answer_that_comes_late_is_never_the_answer_to_another_request() {
        actix_rt::System::new().block_on(async {
            for first in [
                "HTTP/1.1 103 Early Hints\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
                "HTTP/1.1 202 Accepted\r\n\r\n",
            ] {
                assert_eq!(second_after(first).await.as_deref(), Some("good"), "{first}");
            }
            assert_eq!(
                second_after("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.as_deref(),
                Some("late")
            );
        });
    }
}
