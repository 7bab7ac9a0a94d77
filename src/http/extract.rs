//! Who is calling: the credential of a request comes in, an operator or an agent goes out.
//!
//! Nothing but the credential says who it is: no name in the query, no header that a client writes about itself.
//!
//! An operator shows a bearer token, or the session's cookie **and** the session's token in `x-csrf-token`. The cookie
//! alone is never enough, for reading neither: cookies ignore ports, so every program that listens on this machine is
//! sent ours.
//!
//! Failures are counted by address. After too many, bearer tokens of operators are not looked at for a while, as a
//! fixed token may be guessable. Agents' keys and logins are 256 random bits, which nobody guesses: they are looked at
//! all the same, so that a forgotten program with an old key locks out neither its neighbours nor the person at the
//! same machine.

mod attempts;
mod refusals;

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, ResponseError as _, web};

use super::gateway::Gateway;
use super::middleware::request_id;
use super::problem::{Code, Problem};
use crate::clock;
use crate::connect::{Starter, Tie};
use crate::identity::{self, Agent, IdentityError, Proof, Refusal};
use crate::store;

pub use attempts::Attempts;
pub use refusals::Refusals;

/// The cookie that holds half of a session.
pub const SESSION_COOKIE: &str = "atryum_session";
/// The header that holds the other half.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// What `WWW-Authenticate` asks for.
const CHALLENGE: &str = "Bearer realm=\"atryum\"";

/// The person, or a program of theirs, that operates the gateway.
#[derive(Debug, Clone)]
pub struct Operator {
    known: Arc<identity::Operator>,
    carrier: Carrier,
}

impl Operator {
    /// Returns the name that the record of their acts holds.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.known.name
    }

    /// Returns the operator as one who begins a login somewhere. A cookie tells that a browser sent the request.
    #[must_use]
    pub fn starter(&self) -> Starter {
        let tie = match (&self.known.proof, self.carrier) {
            (Proof::AdminToken, _) => Tie::Token,
            (Proof::Login { digest, .. }, Carrier::Bearer) => Tie::Login(digest.clone()),
            (Proof::Login { digest, .. }, Carrier::Cookie) => Tie::Browser(digest.clone()),
        };
        Starter { operator: self.known.name.clone(), tie }
    }
}

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// Finds whom [`require_operator`] let in; on a route without it there is nobody.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(|| unauthenticated(WANTED)))
    }
}

const WANTED: &str =
    "an operator's credential is needed: a bearer token, or the session's cookie together with x-csrf-token";

/// Lets only operators through. Stands before the route, so that no handler can forget it and no body is read before.
pub async fn require_operator(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match find_operator(request.request()).await {
        Ok(operator) => {
            let actor = format!("operator:{}", operator.name());
            request.extensions_mut().insert(operator);
            let is_read = request.method().is_safe();
            let act = store::audit::acting_as(actor, next.call(request));
            let acted = if is_read { act.await } else { to_its_end(act).await };
            acted.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}

/// Runs an act whole, even if its operator hangs up meanwhile: an edit that is stored has to come into force, too.
async fn to_its_end<T: 'static>(act: impl Future<Output = Result<T, Error>> + 'static) -> Result<T, Error> {
    match actix_rt::spawn(request_id::carried(act)).await {
        Ok(acted) => acted,
        Err(broken) => Err(Problem::internal(&broken).into()),
    }
}

/// Finds the operator whose credential the request carries.
///
/// # Errors
/// There is no credential, it does not hold, or that can't be found out.
pub async fn find_operator(request: &HttpRequest) -> Result<Operator, Problem> {
    let gateway = gateway(request)?;
    let Some(shown) = Shown::by(request)? else {
        return Err(unauthenticated(WANTED));
    };
    let address = address(request);
    // A fixed token may be one that somebody thought up: it must not be tried out faster than a person types.
    if let (Carrier::Bearer, Some(wait_secs)) = (shown.carrier, gateway.attempts.wait_secs(address)) {
        return Err(too_many(wait_secs, "the token was not looked at"));
    }
    match gateway.operators.authenticate(&shown.token, clock::now_ms()).await {
        Ok(operator) if shown.is_whole(&operator) => Ok(Operator { known: Arc::new(operator), carrier: shown.carrier }),
        Ok(_) => Err(unauthenticated(WANTED)),
        Err(IdentityError::Refused(refusal)) => {
            Err(refused(&gateway, address, refusal, "log in again, or use the present token"))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a request shows to be an operator's.
struct Shown {
    carrier: Carrier,
    token: String,
    csrf: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Bearer,
    Cookie,
}

impl Shown {
    fn by(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let csrf = request.headers().get(CSRF_HEADER).and_then(|token| token.to_str().ok()).map(str::to_owned);
        // Whoever sends a bearer token means it: then the cookie that a browser adds says nothing.
        if let Some(token) = bearer(request.headers())? {
            return Ok(Some(Self { carrier: Carrier::Bearer, token: token.to_owned(), csrf }));
        }
        let cookie = request.cookie_raw(SESSION_COOKIE);
        Ok(cookie.map(|cookie| Self { carrier: Carrier::Cookie, token: cookie.value().to_owned(), csrf }))
    }

    /// A login has two halves, however the first one came: the cookie's value alone is known to every program on this
    /// machine that a browser was ever pointed at. The fixed token is whole by itself, and does not come in a cookie.
    fn is_whole(&self, operator: &identity::Operator) -> bool {
        match &operator.proof {
            Proof::AdminToken => self.carrier == Carrier::Bearer,
            Proof::Login { .. } => self.csrf.as_deref().is_some_and(|csrf| operator.accepts_csrf(csrf)),
        }
    }
}

/// The agent that calls, from its key, and the server that it calls, from the path.
#[derive(Debug, Clone)]
pub struct AgentIdentity {
    /// Whom the key belongs to.
    pub agent: Arc<Agent>,
    /// A server's name; whether there is such a server is not asked here.
    pub server: String,
}

impl FromRequest for AgentIdentity {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_agent(request))
    }
}

/// Finds the agent whose key the request carries, and asks whether it may reach the server in the path.
fn find_agent(request: &HttpRequest) -> Result<AgentIdentity, Problem> {
    let gateway = gateway(request)?;
    let Some(key) = bearer(request.headers())? else {
        return Err(unauthenticated("an agent's key is needed: set the header \"Authorization: Bearer atr_…\""));
    };
    let agent = gateway.keyring.identify(key, clock::now_ms()).map_err(|refusal| {
        // Not counted: a forgotten program with an old key must not lock out the operators beside it.
        tracing::warn!(client.address = ?address(request), refusal = refusal.kind(), "an agent's key was refused");
        gateway.refusals.note(address(request), "agent", refusal);
        unauthenticated("the credential does not hold: ask the operator for a new key")
    })?;
    let server = request.match_info().get("name").unwrap_or_default().to_owned();
    if !agent.may_reach(&server) {
        let detail = format!("the agent {:?} may not use the server {server:?}; an operator can allow it", agent.name);
        return Err(Problem::new(Code::ServerNotAllowed, detail));
    }
    Ok(AgentIdentity { agent, server })
}

fn gateway(request: &HttpRequest) -> Result<web::Data<Gateway>, Problem> {
    let gateway = request.app_data::<web::Data<Gateway>>().cloned();
    gateway.ok_or_else(|| Problem::new(Code::Internal, "the gateway was built without its rooms"))
}

/// Returns the one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Problem::new(Code::MalformedRequest, "Authorization is given more than once; give it once"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        return Ok(Some(token.trim()));
    }
    Err(unauthenticated("Authorization is not of the form \"Bearer TOKEN\"; no other scheme is known here"))
}

fn address(request: &HttpRequest) -> Option<IpAddr> {
    // The peer and nothing that it says: headers about forwarding can be written by anyone.
    request.peer_addr().map(|peer| peer.ip())
}

/// Builds the problem of a request without a credential that holds.
fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail).with_header(header::WWW_AUTHENTICATE, CHALLENGE)
}

/// The logins that a request carries, whether they hold or not: in the cookie, and as a bearer token.
pub(super) fn shown_logins(request: &HttpRequest) -> Result<Vec<String>, Problem> {
    let cookie = request.cookie_raw(SESSION_COOKIE).map(|cookie| cookie.value().to_owned());
    Ok(cookie.into_iter().chain(bearer(request.headers())?.map(str::to_owned)).collect())
}

/// Counts a credential that did not hold. Why it did not is for the log; the caller is told what to do.
pub(super) fn refused(gateway: &Gateway, address: Option<IpAddr>, refusal: Refusal, advice: &str) -> Problem {
    tracing::warn!(client.address = ?address, refusal = refusal.kind(), "a credential was refused");
    gateway.refusals.note(address, "operator", refusal);
    let detail = format!("the credential does not hold: {advice}");
    match gateway.attempts.failed(address) {
        None => {
            let challenge = format!("{CHALLENGE}, error=\"invalid_token\"");
            Problem::new(Code::Unauthenticated, detail).with_header(header::WWW_AUTHENTICATE, &challenge)
        }
        Some(wait_secs) => too_many(wait_secs, &detail),
    }
}

fn too_many(wait_secs: u64, detail: &str) -> Problem {
    let detail = format!("too many failed attempts from this address; try again in {wait_secs} s; {detail}");
    Problem::new(Code::TooManyAttempts, detail).with_header(header::RETRY_AFTER, &wait_secs.to_string())
}
