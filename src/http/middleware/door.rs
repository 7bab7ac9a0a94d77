//! Where a request may come from.
//!
//! A gateway on this machine can be reached by every page that a browser on this machine has open, and by every name
//! that resolves to it. So each request, whatever its route, has to name a host that is ours and, if a page sent it, a
//! page that is ours. None of it depends on `Forwarded` or `X-Forwarded-*`, which anyone can send, and none of it can
//! be turned off. Who is calling is asked afterwards.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};

use crate::http::body;
use crate::http::oauth::CALLBACK;
use crate::http::problem::{Code, Problem};

/// Most bytes of all header names and values together.
const HEADER_BYTES_MAX: usize = 16 * 1024;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The names by which this machine calls itself.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The hosts this gateway answers to and the pages it listens to, all in lower case.
#[derive(Debug, Default)]
pub struct Door {
    hosts: HashSet<String>,
    own_origins: HashSet<String>,
    other_origins: HashSet<String>,
}

impl Door {
    /// Builds the door of a gateway that listens on `bound` and is known as `public_url` and `allowed_hosts`.
    #[must_use]
    pub fn new(bound: SocketAddr, public_url: &str, allowed_hosts: &[String], allowed_origins: &[String]) -> Self {
        let mut door = Self {
            other_origins: allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            ..Self::default()
        };
        for name in LOOPBACK_NAMES {
            door.add("http", name, bound.port());
        }
        if !bound.ip().is_unspecified() {
            door.add("http", &host_of(bound.ip()), bound.port());
        }
        if let Some((scheme, host, port)) = parse_url(public_url) {
            door.add(&scheme, &host, port);
        }
        for allowed in allowed_hosts {
            let (host, port) = split_port(allowed);
            for scheme in ["http", "https"] {
                let ports = port.map_or_else(|| vec![default_port(scheme), bound.port()], |port| vec![port]);
                for port in ports {
                    door.add(scheme, host, port);
                }
            }
        }
        door
    }

    fn add(&mut self, scheme: &str, host: &str, port: u16) {
        let host = host.to_ascii_lowercase();
        if port == default_port(scheme) {
            self.own_origins.insert(format!("{scheme}://{host}"));
            self.hosts.insert(host.clone());
        }
        self.own_origins.insert(format!("{scheme}://{host}:{port}"));
        self.hosts.insert(format!("{host}:{port}"));
    }

    /// Judges a request by its head.
    ///
    /// # Errors
    /// The problem to answer with; the request must not go further.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        check_size(head)?;
        self.check_host(head)?;
        self.check_origin(head)?;
        check_content_type(head)?;
        // No path of ours needs an escape, and two readings of one path are one too many.
        if head.uri.path().contains('%') {
            return Err(Problem::new(Code::NotFound, "there is nothing at this path; paths here hold no escapes"));
        }
        Ok(())
    }

    fn check_host(&self, head: &RequestHead) -> Result<(), Problem> {
        let mut named = head.headers.get_all(header::HOST);
        let (Some(Ok(host)), None) = (named.next().map(|host| host.to_str()), named.next()) else {
            return Err(host_not_allowed("one Host header is needed"));
        };
        if !self.hosts.contains(&host.to_ascii_lowercase()) {
            return Err(host_not_allowed(&format!("this gateway does not answer to the host {host:?}")));
        }
        // A request line with a whole URL names a host of its own, and servers disagree about which one counts.
        match head.uri.authority() {
            Some(authority) if !self.hosts.contains(&authority.as_str().to_ascii_lowercase()) => {
                Err(host_not_allowed("this gateway does not answer to the host in the request line"))
            }
            _ => Ok(()),
        }
    }

    fn check_origin(&self, head: &RequestHead) -> Result<(), Problem> {
        let mut origins = head.headers.get_all(header::ORIGIN);
        // A person who comes back from a login is sent by another site, and shows a state that only they were given.
        if is_return(head) {
            return Ok(());
        }
        let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        // The login page may be opened from anywhere: from a link in a mail as well as from a terminal.
        let is_foreign_site = matches!(site, Some(b"cross-site" | b"same-site")) && !opens_page(head);
        let Some(origin) = origins.next() else {
            let words = "a page of another site sent this request";
            return if is_foreign_site { Err(origin_not_allowed(words)) } else { Ok(()) };
        };
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else {
            return Err(origin_not_allowed("more than one Origin, or one that is no text, came with this request"));
        };
        let origin = origin.to_ascii_lowercase();
        let is_ours = self.own_origins.contains(&origin) && !is_foreign_site;
        if is_ours || self.other_origins.contains(&origin) {
            return Ok(());
        }
        Err(origin_not_allowed(&format!("a page of the origin {origin:?} sent this request")))
    }
}

/// Lets a request in, or answers it at the door.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let checked = match request.app_data::<web::Data<Door>>() {
        Some(door) => door.check(request.head()),
        None => Err(host_not_allowed("this gateway was built without a list of its hosts")),
    };
    match checked {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}

fn host_not_allowed(what: &str) -> Problem {
    let detail = format!("{what}; use the address it prints at its start, or add the name to http.allowed_hosts");
    Problem::new(Code::HostNotAllowed, detail)
}

fn origin_not_allowed(what: &str) -> Problem {
    let detail = format!("{what}; only the gateway's own page may, and the origins in http.allowed_origins");
    Problem::new(Code::OriginNotAllowed, detail)
}

fn check_size(head: &RequestHead) -> Result<(), Problem> {
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        let detail = format!("the headers hold {bytes} bytes, {HEADER_BYTES_MAX} are read; send fewer");
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

/// What changes something must not come in a shape that a form of a foreign page could have.
fn check_content_type(head: &RequestHead) -> Result<(), Problem> {
    if head.method.is_safe() {
        return Ok(());
    }
    let Some(kind) = head.headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default();
    if body::is_json(kind) || body::is_merge_patch(kind) {
        return Ok(());
    }
    let detail = format!("the body must come as application/json, not as {kind:?}; set the header content-type");
    Err(Problem::new(Code::UnsupportedMediaType, detail).with_header(header::ACCEPT, "application/json"))
}

fn opens_page(head: &RequestHead) -> bool {
    matches!(head.method, Method::GET | Method::HEAD) && matches!(head.uri.path(), "/" | "/ui" | "/ui/")
}

/// Whether a browser comes to the end of a login, as a whole page and not as a part of one.
fn is_return(head: &RequestHead) -> bool {
    let is = |name: &str, wanted: &[u8]| head.headers.get(name).is_none_or(|value| value.as_bytes() == wanted);
    head.method == Method::GET
        && head.uri.path() == CALLBACK
        && is("sec-fetch-mode", b"navigate")
        && is("sec-fetch-dest", b"document")
}

fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Splits `host:port`; the colons of an IPv6 address stand in brackets.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

fn parse_url(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority);
    let port = port.unwrap_or_else(|| default_port(&scheme));
    (!host.is_empty()).then(|| (scheme, host.to_owned(), port))
}

#[cfg(test)]
mod tests;
