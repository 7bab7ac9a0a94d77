//! How an upstream is: what came of its starts, when the next one is due, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::standing::Refusal;
use super::{Core, State};
use crate::clock;
use crate::egress::EgressError;
use crate::oauth::Challenge;
use crate::upstream::connection::Connection;
use crate::upstream::error::UpstreamError;
use crate::upstream::http::{Demand, HttpError, Login};
use crate::upstream::spec::Transport;
use crate::upstream::status::{Status, Word};

/// A next try that is due within this time is waited for; a later one is refused, saying when.
const PATIENCE: Duration = Duration::from_secs(5);
/// A process that lived this long is taken to be well: its end starts with the first delay.
const WELL_AFTER: Duration = Duration::from_secs(30);

impl Core {
    /// Waits out a short backoff, refuses during a long one, and keeps the status true to what comes of the attempt.
    pub(super) async fn guarded(
        &self,
        attempt: impl Future<Output = Result<Arc<Connection>, UpstreamError>>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        // A remote server's circuit is asked with each request instead.
        let is_remote = matches!(self.spec.transport, Transport::Http(_));
        if !is_remote {
            self.wait_until_due().await?;
        }
        if self.status.load().status != Word::Ready {
            self.publish(|status| Status { status: Word::Connecting, reason: None, action: None, ..status });
        }
        let opened = tokio::select! {
            opened = attempt => opened,
            () = self.retired() => Err(UpstreamError::Stopped { was_sent: false }),
        };
        match &opened {
            Ok(connection) => {
                self.succeeded(connection);
                // Retired while it was opened: whoever retired it did not see it yet.
                self.refuse_if_closed().inspect_err(|_| connection.stop())?;
            }
            Err(UpstreamError::Http(_)) => {}
            Err(error) if is_remote => self.unusable(error),
            Err(error) if error.is_failure() => self.failed(error),
            Err(_) => {}
        }
        opened.map_err(UpstreamError::of_opening)
    }

    /// A remote server answered a request: it is there.
    pub(in crate::upstream) fn exchange_succeeded(&self, method: &str) {
        self.breaker.succeeded();
        self.state().last_answer = Some(Instant::now());
        let is_unwell = matches!(
            self.status.load().status,
            Word::Unreachable | Word::Backoff | Word::Failing | Word::ActionRequired
        );
        if is_unwell {
            let mut state = self.state();
            state.refusal = state.refusal.take().filter(|refusal| !refusal.is_over_with(method));
            drop(state);
            self.publish(|status| Status { status: Word::Ready, reason: None, action: None, ..status });
        }
    }

    /// A remote server gave no answer that could be used.
    pub(in crate::upstream) fn exchange_failed(&self, method: &str, error: &HttpError) {
        let reason = self.tail.scrub(&error.to_string());
        self.note_challenge(error);
        if error.is_failure() {
            self.breaker.failed(&reason);
        }
        if let Some(refusal) = self.refusal(method, error) {
            return self.refused(refusal, error.kind());
        }
        let (word, action) = match error {
            // The keeper tells what is the matter.
            HttpError::LoginLate { .. } | HttpError::LoginOver if self.status.load().status != Word::Connecting => {
                return;
            }
            HttpError::Egress(error) if error.is_refusal() => (Word::ActionRequired, Some("edit")),
            HttpError::Url { .. }
            | HttpError::Redirected { .. }
            | HttpError::NotThere { .. }
            | HttpError::WrongContentType { .. } => (Word::ActionRequired, Some("edit")),
            _ if self.breaker.is_open() => (Word::Backoff, None),
            HttpError::Egress(
                EgressError::Resolve { .. }
                | EgressError::Connect { .. }
                | EgressError::Tls { .. }
                | EgressError::Reset { .. },
            ) => (Word::Unreachable, None),
            // One request that was refused says nothing about the server.
            HttpError::Status { status: ..500, .. } => return,
            _ => (Word::Failing, None),
        };
        let is_news = self.status.load().reason.as_deref() != Some(&reason);
        if is_news {
            tracing::warn!(server.name = %self.spec.name, kind = error.kind(), reason, "a remote server gave no answer");
        }
        self.publish(|status| Status { status: word, reason: Some(reason), action, ..status });
    }

    /// The server is there, but does not take the login.
    fn refused(&self, refusal: Refusal, kind: &str) {
        let reason = self.tail.scrub(refusal.reason());
        if self.status.load().reason.as_deref() != Some(refusal.reason()) {
            tracing::warn!(server.name = %self.spec.name, kind, reason, "a remote server wants a login");
        }
        self.state().refusal = Some(refusal);
        self.publish(|status| Status { status: Word::Ready, reason: None, action: None, ..status });
    }

    /// The server has another login: whether it takes that is not known yet.
    pub(super) fn forget_refusal(&self) {
        let mut state = self.state();
        if state.refusal.take().is_some() {
            state.facts.status = Word::Unknown;
        }
    }

    /// What goes with requests.
    pub(in crate::upstream) fn usable_login(&self) -> Result<Arc<Login>, HttpError> {
        match &self.login_fault {
            None => Ok(self.login.clone()),
            Some(reason) => Err(HttpError::Url { reason: reason.clone() }),
        }
    }

    /// Keeps what the server said last of the login that it wants. What it did not say anew, it said before.
    fn note_challenge(&self, error: &HttpError) {
        let Some(challenge) = error.demand().and_then(Demand::challenge) else { return };
        let known = self.challenge.load_full().map(|known| Challenge::clone(&known)).unwrap_or_default();
        let said = challenge.clone();
        self.challenge.store(Some(Arc::new(Challenge {
            resource_metadata: said.resource_metadata.or(known.resource_metadata),
            scope: said.scope.or(known.scope),
            ..said
        })));
    }

    /// What a server said to be missing is no word about what is held from now on.
    pub(in crate::upstream) fn forget_wanted_scopes(&self) {
        let known = self.challenge.load_full();
        let Some(known) = known.filter(|known| known.error.as_deref() == Some("insufficient_scope")) else { return };
        let resource_metadata = known.resource_metadata.clone();
        self.challenge.store(Some(Arc::new(Challenge { resource_metadata, ..Challenge::default() })));
    }

    /// A remote server answered, but not with a handshake.
    fn unusable(&self, error: &UpstreamError) {
        let reason = self.tail.scrub(&error.to_string());
        tracing::warn!(server.name = %self.spec.name, kind = error.kind(), reason, "a connection could not be opened");
        self.publish(|status| Status { status: Word::Failing, reason: Some(reason), action: None, ..status });
    }

    async fn wait_until_due(&self) -> Result<(), UpstreamError> {
        let (due, failures, reason) = {
            let state = self.state();
            (state.not_before, state.backoff.failures(), state.last_failure.clone())
        };
        let Some(wait) = due.and_then(|due| due.checked_duration_since(Instant::now())) else { return Ok(()) };
        if wait > PATIENCE {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return Err(UpstreamError::Backoff { failures, wait_ms, reason });
        }
        tokio::time::sleep(wait).await;
        self.refuse_if_closed()
    }

    fn succeeded(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        state.not_before = None;
        state.last_success = Some(Instant::now());
        state.connections.retain(|known| known.strong_count() > 0);
        state.connections.push(Arc::downgrade(connection));
        drop(state);
        let handshake = &connection.handshake;
        self.publish(|status| Status {
            status: Word::Ready,
            reason: None,
            action: None,
            protocol_version: Some(handshake.version.clone()),
            server_info: handshake.server_info().and_then(|info| serde_json::from_str(info).ok()),
            ..status
        });
    }

    fn failed(&self, error: &UpstreamError) {
        let reason = self.tail.scrub(&error.to_string());
        let is_definition = matches!(error, UpstreamError::Launch(_));
        let failures = {
            let mut state = self.state();
            // What failed before the last good start has nothing to do with this.
            if state.last_success.take().is_some_and(|at| at.elapsed() > WELL_AFTER) {
                state.backoff.reset();
            }
            state.not_before = Some(Instant::now() + state.backoff.fail());
            state.last_failure.clone_from(&reason);
            state.backoff.failures()
        };
        tracing::warn!(server.name = %self.spec.name, failures, kind = error.kind(), "a server could not be started");
        self.publish(|status| Status {
            status: match (is_definition, failures) {
                (true, _) => Word::ActionRequired,
                (false, 0..=2) => Word::Failing,
                (false, _) => Word::Backoff,
            },
            reason: Some(reason),
            action: is_definition.then_some("edit"),
            ..status
        });
    }

    /// A process that was in use ended by itself.
    pub(super) fn lost(&self, exit: &str, born: Instant) {
        let mut reason = format!("the server {exit}");
        let last = self.tail.last(3);
        if !last.is_empty() {
            reason = format!("{reason}; it last said: {}", last.join(" / "));
        }
        {
            let mut state = self.state();
            if born.elapsed() > WELL_AFTER {
                state.backoff.reset();
            }
            state.not_before = Some(Instant::now() + state.backoff.fail());
            state.last_failure.clone_from(&reason);
        }
        tracing::warn!(server.name = %self.spec.name, exit, "a server's process ended by itself");
        if let Some(metrics) = &self.metrics {
            metrics.server_restarted(&self.spec.name);
        }
        self.publish(|status| Status {
            status: Word::Failing,
            reason: Some(reason),
            restarts: status.restarts + 1,
            ..status
        });
    }

    fn publish(&self, change: impl FnOnce(Status) -> Status) {
        if self.is_retired() {
            return;
        }
        let mut state = self.state();
        let seen = change(state.facts.clone());
        state.facts = Status { checked_at: Some(clock::now_ms()), ..seen };
        self.tell(&state);
    }

    /// Tells how the login stands, which time alone may change.
    pub(super) fn tell_login(&self) {
        if self.keeper.is_some() && !self.is_retired() {
            self.tell(&self.state());
        }
    }

    fn tell(&self, state: &State) {
        let next = self.told(&state.facts, state.refusal.as_ref());
        if let Some(metrics) = &self.metrics {
            metrics.server_up(&self.spec.name, next.status == Word::Ready);
        }
        self.status.store(Arc::new(next));
    }
}
