//! One connection to a remote server: what was agreed on it, and the requests that carry its messages.
//!
//! A message goes out as the body of a POST, from whichever thread has it. The answer to a request comes back on that
//! POST, alone or as the last message of a stream (2025-03-26 and later). What belongs to no request comes over a GET
//! that stays open ([`listen`](super::listen)).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::endpoint::Endpoint;
use super::error::HttpError;
use super::events::{Events, TooLong};
use super::login::Login;
use crate::egress::http::header::{HeaderName, HeaderValue};
use crate::egress::http::{Method, Uri};
use crate::egress::{self, Answer, EgressError};
use crate::mcp::envelope::{self, Message};
use crate::mcp::version::Era;
use crate::upstream::core::Core;
use crate::upstream::error::UpstreamError;
use crate::upstream::wire::{Origin, Wire};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Most of what a server wrote that stands in an error.
const QUOTED_CHARS_MAX: usize = 200;
/// Most bytes of an answer that says why a request was refused.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// A notification, an answer of an agent, or a farewell is given up after this.
const ASIDE_WITHIN: Duration = Duration::from_secs(30);
/// Most of those that are under way at once.
const ASIDES_MAX: usize = 64;
/// Before a stream that was closed early is taken up again, if the server names no time.
const RESUME_AFTER: Duration = Duration::from_secs(1);
/// An agent that is slower holds nobody up any longer: what it has not read is then dropped, but for answers.
const ROOM_WITHIN: Duration = Duration::from_secs(10);
/// So many times in a row without an event between.
const RESUMES_MAX: u32 = 5;

/// How far the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is under way, or there is none.
    Open,
    /// The server is being told that it is over; requests wait for that.
    Announcing,
    /// It is over, and the server knows.
    Announced,
}

/// See the module.
pub(in crate::upstream) struct Remote {
    pub(super) url: Uri,
    pub(super) era: Era,
    pub(super) login: Arc<Login>,
    pub(super) session: OnceLock<HeaderValue>,
    pub(super) revision: OnceLock<HeaderValue>,
    phase: watch::Sender<Phase>,
    /// The server no longer knows the session.
    is_lost: AtomicBool,
    /// One permit a message that is sent aside; each may have a connection of its own.
    asides: Arc<Semaphore>,
    pub(super) bytes_max: usize,
    pub(super) core: Weak<Core>,
}

impl Remote {
    /// A connection that is yet to be opened.
    pub(in crate::upstream) fn new(endpoint: &Endpoint, era: Era, core: &Arc<Core>) -> Result<Arc<Self>, HttpError> {
        let url = egress::parse(&endpoint.url).map_err(|reason| HttpError::Url { reason })?;
        let url = url.as_str().parse().map_err(|_| HttpError::Url { reason: "it can't be sent".into() })?;
        Ok(Arc::new(Self {
            url,
            era,
            login: core.usable_login()?,
            session: OnceLock::new(),
            revision: OnceLock::new(),
            phase: watch::Sender::new(Phase::Open),
            is_lost: AtomicBool::new(false),
            asides: Arc::new(Semaphore::new(ASIDES_MAX)),
            bytes_max: core.limits.line_bytes_max,
            core: Arc::downgrade(core),
        }))
    }

    /// The handshake agreed on this revision: from now on each request names it.
    pub(in crate::upstream) fn agreed(&self, version: &str) {
        if let Ok(version) = HeaderValue::from_str(version) {
            let _kept_from_the_first = self.revision.set(version);
        }
    }

    /// The era that is spoken.
    pub(in crate::upstream) fn era(&self) -> Era {
        self.era
    }

    /// Whether the server still knows the session.
    pub(in crate::upstream) fn is_known(&self) -> bool {
        !self.is_lost.load(Ordering::Acquire)
    }

    /// Whether closing a request's connection is how it is cancelled.
    pub(in crate::upstream) fn is_cancelled_by_closing(&self) -> bool {
        self.era == Era::Modern
    }

    /// Returns when a request may be sent: not while the server is being told that the handshake is over.
    pub(in crate::upstream) async fn settled(&self) {
        if *self.phase.borrow() == Phase::Announcing {
            let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Announcing).await.is_ok();
        }
    }

    /// Resolves when the server was told that the handshake is over.
    pub(super) async fn announced(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Announced).await.is_ok();
    }

    /// Sends a message that wants no answer, beside whatever else happens.
    ///
    /// # Errors
    /// So many are under way already: whoever sends them, or makes the gateway answer, is faster than the server takes
    /// them.
    pub(in crate::upstream) fn post_aside(self: &Arc<Self>, text: String) -> Result<(), usize> {
        let place = self.asides.clone().try_acquire_owned().map_err(|_| ASIDES_MAX)?;
        let is_announcement = text.contains("\"notifications/initialized\"");
        if is_announcement {
            self.phase.send_replace(Phase::Announcing);
        }
        let this = self.clone();
        actix_rt::spawn(async move {
            let posted = tokio::time::timeout(ASIDE_WITHIN, this.send(Method::POST, Vec::new(), Some(text))).await;
            match posted {
                Ok(Ok(answer)) if answer.status() == 404 && this.session.get().is_some() => this.lose(),
                Ok(Ok(answer)) if answer.status() < 300 => answer.finish(),
                Ok(Ok(answer)) => {
                    tracing::debug!(status = answer.status(), "a server refused a notification");
                    this.observe(&this.plain(answer.status(), &answer));
                }
                Ok(Err(error)) => tracing::debug!(%error, "a notification could not be passed on"),
                Err(_) => tracing::debug!("a server did not take a notification in time"),
            }
            if is_announcement {
                this.phase.send_replace(Phase::Announced);
            }
            drop(place);
        });
        Ok(())
    }

    /// Sends the request `id` and hands what comes to the wire, until its answer was among it.
    pub(in crate::upstream) async fn exchange(
        &self,
        wire: &Arc<Wire>,
        id: u64,
        more: Vec<(HeaderName, HeaderValue)>,
        text: String,
    ) -> Result<(), UpstreamError> {
        let mut answer = self.send(Method::POST, more, Some(text)).await?;
        if !(200..300).contains(&answer.status()) {
            return self.refused(wire, id, answer).await;
        }
        self.note_session(&answer);
        match answer.content_type().as_str() {
            "application/json" => {
                self.check_body(&answer)?;
                let Some(body) = answer.text(self.bytes_max).await? else {
                    return Err(UpstreamError::TooLarge { bytes_max: self.bytes_max });
                };
                self.take(wire, Origin::Request(id), body).map_err(|error| match error {
                    // The client takes chunks that were cut off for a whole body.
                    HttpError::NotJsonRpc { is_cut: true, .. } if !answer.is_measured() => answer.truncated().into(),
                    error => error,
                })?;
                if wire.is_waited_for(id) { Err(HttpError::NoAnswer.into()) } else { Ok(()) }
            }
            "text/event-stream" => {
                self.check_body(&answer)?;
                self.follow(wire, id, answer).await
            }
            "" => Err(HttpError::NoAnswer.into()),
            _ => Err(self.wrong_type(&answer).into()),
        }
    }

    /// Reads a request's stream. One that the server closed early, or that broke, is taken up again where it was, if the
    /// server gave its events ids: the request itself is never sent again.
    async fn follow(&self, wire: &Arc<Wire>, id: u64, mut answer: Answer) -> Result<(), UpstreamError> {
        let mut events = Events::new(self.bytes_max);
        let mut attempts = 0;
        loop {
            let broken = loop {
                match answer.chunk().await {
                    Ok(Some(chunk)) => events.push(&chunk).map_err(|TooLong| self.too_large())?,
                    Ok(None) => break HttpError::NoAnswer,
                    Err(error) => break error.into(),
                }
                while let Some(event) = events.next() {
                    attempts = 0;
                    if event.is_message() {
                        self.take(wire, Origin::Request(id), event.data)?;
                    }
                }
                if !wire.is_waited_for(id) {
                    answer.finish();
                    return Ok(());
                }
                has_room(wire, id).await;
            };
            let can_be_sent = |id: &String| self.era == Era::Legacy && HeaderValue::from_str(id).is_ok();
            let Some(last_id) = events.last_id.take().filter(can_be_sent) else {
                return Err(broken.into());
            };
            loop {
                attempts += 1;
                if attempts > RESUMES_MAX {
                    return Err(broken.into());
                }
                tokio::time::sleep(events.retry.unwrap_or(RESUME_AFTER)).await;
                match self.open_stream(Some(&last_id)).await {
                    Ok(resumed) => {
                        answer = resumed;
                        break;
                    }
                    Err(error) if error.is_failure() && !matches!(error, HttpError::NotThere { .. }) => {}
                    Err(_) => return Err(broken.into()),
                }
            }
            events = events.resumed(last_id);
        }
    }

    /// Opens an event stream: the session's own, or what came after an event of another one.
    pub(super) async fn open_stream(&self, last_event_id: Option<&str>) -> Result<Answer, HttpError> {
        let last_id = last_event_id.and_then(|id| HeaderValue::from_str(id).ok());
        let more: Vec<_> = last_id.map(|id| (LAST_EVENT_ID, id)).into_iter().collect();
        let answer = self.send(Method::GET, more, None).await?;
        match answer.status() {
            200 if answer.content_type() == "text/event-stream" => {
                self.check_body(&answer)?;
                Ok(answer)
            }
            200..=299 => Err(self.wrong_type(&answer)),
            status => Err(self.plain(status, &answer)),
        }
    }

    /// Says that the session is over.
    pub(super) async fn farewell(&self) {
        if self.session.get().is_none() || !self.is_known() {
            return;
        }
        let farewell = tokio::time::timeout(Duration::from_secs(5), self.send(Method::DELETE, Vec::new(), None)).await;
        // Without it the session ends by itself some time.
        if let Ok(Ok(answer)) = farewell {
            answer.finish();
        }
    }

    /// Hands a message to the wire, without the credential if the server echoed it.
    pub(super) fn take(&self, wire: &Wire, origin: Origin, text: String) -> Result<(), HttpError> {
        let text = self.login.present().masks.apply(text);
        if let Some(batch) = envelope::batch(&text) {
            for message in batch {
                wire.take(message.get(), origin);
            }
            return Ok(());
        }
        if wire.take(&text, origin) { Ok(()) } else { Err(not_json_rpc(&text)) }
    }

    /// A request that was not answered with success: why, or the answer after all.
    async fn refused(&self, wire: &Arc<Wire>, id: u64, mut answer: Answer) -> Result<(), UpstreamError> {
        let status = answer.status();
        let has_session = self.session.get().is_some();
        match status {
            300..=399 | 401 | 403 => return Err(self.plain(status, &answer).into()),
            429 => {
                let asked = answer.header("retry-after").and_then(retry_after);
                let hold = self.core.upgrade().map(|core| core.breaker.hold(asked));
                return Err(HttpError::RateLimited { retry_after_seconds: hold.unwrap_or(1) }.into());
            }
            // Whatever is said with it: in a session, 404 is how a server says that it knows the session no more.
            404 if has_session => {
                self.lose();
                return Err(UpstreamError::SessionLost(None));
            }
            _ => {}
        }
        let is_json = answer.content_type() == "application/json" && self.check_body(&answer).is_ok();
        let body = if is_json { answer.text(REFUSAL_BYTES_MAX).await.unwrap_or_default() } else { None };
        let body = body.map(|body| self.login.present().masks.apply(body));
        // Some servers answer with an error and a status that fits it (2026-07-28 wants that).
        if let Some(body) = &body
            && matches!(envelope::parse(body), Ok(Message::Response { id: answered, .. }) if answered.get() == id.to_string())
        {
            wire.take(body, Origin::Request(id));
            return Ok(());
        }
        if has_session && status == 400 && !self.is_alive().await {
            self.lose();
            return Err(UpstreamError::SessionLost(None));
        }
        let said = body.as_deref().and_then(|body| crate::mcp::splice::find(body, &["error"])).map(str::to_owned);
        Err(match (status, said) {
            (404 | 405 | 410, None) => HttpError::NotThere { status }.into(),
            (status, said) => HttpError::Status { status, said }.into(),
        })
    }

    /// Some servers say 400 where 404 is meant. A ping tells whether the session is gone or the request was bad.
    async fn is_alive(&self) -> bool {
        let ping = envelope::request("\"atryum-ping\"", "ping", None);
        let answered = tokio::time::timeout(ASIDE_WITHIN, self.send(Method::POST, Vec::new(), Some(ping))).await;
        match answered {
            Ok(Ok(answer)) => {
                let status = answer.status();
                answer.finish();
                !matches!(status, 400 | 404)
            }
            // Not the server's word.
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// The session is gone: the connection takes nothing new.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    /// The error for a status alone.
    pub(super) fn plain(&self, status: u16, answer: &Answer) -> HttpError {
        match status {
            300..=399 => {
                let to = answer.header("location").unwrap_or("nowhere");
                let to = self.quoted(to.split(['?', '#']).next().unwrap_or_default());
                HttpError::Redirected { status, to }
            }
            401 => HttpError::Unauthorized(Box::new(self.demand(answer))),
            403 => HttpError::Forbidden(Box::new(self.demand(answer))),
            404 | 405 | 410 => HttpError::NotThere { status },
            status => HttpError::Status { status, said: None },
        }
    }

    fn wrong_type(&self, answer: &Answer) -> HttpError {
        HttpError::WrongContentType { content_type: self.quoted_type(answer) }
    }

    pub(super) fn quoted_type(&self, answer: &Answer) -> String {
        let content_type = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        self.quoted(content_type.trim()).to_ascii_lowercase()
    }

    fn check_body(&self, answer: &Answer) -> Result<(), HttpError> {
        answer.check_body().map_err(|error| match error {
            EgressError::Encoded { encoding } => EgressError::Encoded { encoding: self.quoted(&encoding) }.into(),
            other => other.into(),
        })
    }

    /// What the server wrote, as it may stand in an error: without the credential, and not long.
    pub(super) fn quoted(&self, text: &str) -> String {
        self.login.present().masks.apply(text.to_owned()).chars().take(QUOTED_CHARS_MAX).collect()
    }

    fn too_large(&self) -> UpstreamError {
        UpstreamError::TooLarge { bytes_max: self.bytes_max }
    }

    fn note_session(&self, answer: &Answer) {
        if self.revision.get().is_some() || self.era == Era::Modern {
            return;
        }
        let is_lawful = |id: &&str| id.len() <= 1024 && id.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
        if let Some(Ok(id)) = answer.header("mcp-session-id").filter(is_lawful).map(HeaderValue::from_str) {
            let _kept_from_the_first = self.session.set(id);
        }
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?.timestamp_millis();
    u64::try_from(at - crate::clock::now_ms()).ok().map(Duration::from_millis)
}

/// Waits for a slow agent, so that the server is not read faster than the agent reads; but not for ever.
async fn has_room(wire: &Wire, id: u64) {
    if let Some(sink) = wire.sink_of(id)
        && let Some(room) = sink.room()
    {
        let _in_time = tokio::time::timeout(ROOM_WITHIN, room).await;
    }
}

fn not_json_rpc(text: &str) -> HttpError {
    let is_cut = serde_json::from_str::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof());
    let reason = match envelope::parse(text) {
        Ok(_) => "it is none of the messages that a server sends".to_owned(),
        Err(error) => error.to_string(),
    };
    HttpError::NotJsonRpc { reason, is_cut }
}
