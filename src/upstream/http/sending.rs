//! How anything goes out to a remote server: with the login that holds at that moment, and once more when the server
//! takes another one.
//!
//! 401 says that the request was not carried out. So it is the one answer after which the same request goes out again:
//! once, with another token, if there is one to be had.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::demand::Demand;
use super::error::HttpError;
use super::login::Shown;
use super::remote::{REVISION, Remote, SESSION};
use crate::egress::http::header::{self, HeaderName, HeaderValue};
use crate::egress::http::{Method, Uri};
use crate::egress::{self, Answer, Outbound, Reach};

/// One request, as often as it goes out.
struct Outgoing<'a> {
    url: &'a Uri,
    method: Method,
    more: Vec<(HeaderName, HeaderValue)>,
    body: Option<Bytes>,
}

impl Remote {
    /// To the base URL, in the session.
    pub(super) async fn send(
        &self,
        method: Method,
        mut more: Vec<(HeaderName, HeaderValue)>,
        body: Option<String>,
    ) -> Result<Answer, HttpError> {
        more.extend(self.session.get().map(|session| (SESSION, session.clone())));
        self.send_to(&self.url, method, more, body).await
    }

    /// To another address of the same server (2024-11-05).
    pub(super) async fn send_to(
        &self,
        url: &Uri,
        method: Method,
        mut more: Vec<(HeaderName, HeaderValue)>,
        body: Option<String>,
    ) -> Result<Answer, HttpError> {
        more.extend(self.revision.get().map(|revision| (REVISION, revision.clone())));
        let accepted = if method == Method::GET { "text/event-stream" } else { "application/json, text/event-stream" };
        more.push((header::ACCEPT, HeaderValue::from_static(accepted)));
        if body.is_some() {
            more.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let outgoing = Outgoing { url, method, more, body: body.map(Bytes::from) };
        let shown = self.login.shown().await?;
        let answer = self.send_with(&shown, &outgoing).await?;
        if answer.status() != 401 {
            return Ok(answer);
        }
        let Some(next) = self.login.instead_of(&shown).await else { return Ok(answer) };
        answer.finish();
        let answer = self.send_with(&next, &outgoing).await?;
        self.login.tried_instead(&next, answer.status() != 401);
        Ok(answer)
    }

    async fn send_with(&self, shown: &Arc<Shown>, outgoing: &Outgoing<'_>) -> Result<Answer, HttpError> {
        let started = Instant::now();
        let Outgoing { url, method, more, body } = outgoing;
        let outbound = Outbound {
            reach: Reach::Typed,
            method: method.clone(),
            url,
            headers: &shown.headers,
            more,
            body: body.clone(),
        };
        let sent = egress::send(outbound).await.map_err(HttpError::from);
        self.log(method, url, &sent, started.elapsed());
        sent
    }

    /// For operators, without a secret.
    fn log(&self, method: &Method, url: &Uri, sent: &Result<Answer, HttpError>, took: Duration) {
        let Some(core) = self.core.upgrade() else { return };
        let outcome = match sent {
            Ok(answer) => format!("{} {}", answer.status(), self.quoted_type(answer)),
            Err(error) => error.to_string(),
        };
        core.tail.push(&format!("{method} {} → {outcome} ({} ms)", url.path(), took.as_millis()));
    }

    /// What the server says of the login that it wants.
    pub(super) fn demand(&self, answer: &Answer) -> Demand {
        let shown = self.login.present();
        Demand::of(answer, |line| shown.masks.apply(line))
    }

    /// Tells of a refusal that nobody else tells of: of a message that wants no answer, or of a stream.
    pub(super) fn observe(&self, error: &HttpError) {
        if let (Some(core), Some(_)) = (self.core.upgrade(), error.demand()) {
            core.exchange_failed("", error);
        }
    }
}
