//! Stops sending to a server that failed several times in a row, and lets one request through when it is time to look.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::HttpError;
use crate::backoff::Backoff;

/// So many failures in a row open the circuit.
const FAILURES_MAX: u32 = 5;
/// How long it stays open, first and at most.
const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A server that asks to be left alone for longer is asked again after this all the same.
const HOLD_MAX: Duration = Duration::from_mins(10);
/// When a 429 names no time.
const HOLD_DEFAULT: Duration = Duration::from_secs(5);

/// One for each server, for all its connections.
pub(in crate::upstream) struct Breaker {
    /// True while nothing is known against the server: the way of nearly every call.
    is_closed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    failures: u32,
    backoff: Backoff,
    open_until: Option<Instant>,
    /// Somebody was let through to look.
    is_probed: bool,
    /// 429: until when, and nothing is wrong beside that.
    held_until: Option<Instant>,
    reason: String,
}

impl State {
    fn look(&self) -> Result<(), HttpError> {
        let now = Instant::now();
        if let Some(wait) = self.held_until.and_then(|until| until.checked_duration_since(now)) {
            return Err(HttpError::RateLimited { retry_after_seconds: seconds(wait) });
        }
        let Some(until) = self.open_until else { return Ok(()) };
        let wait = until.saturating_duration_since(now);
        if wait.is_zero() && !self.is_probed {
            return Ok(());
        }
        Err(HttpError::CircuitOpen {
            failures: self.failures,
            wait_seconds: seconds(wait).max(1),
            reason: self.reason.clone(),
        })
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let state = State {
            failures: 0,
            backoff: Backoff::new(DELAYS.0, DELAYS.1),
            open_until: None,
            is_probed: false,
            held_until: None,
            reason: String::new(),
        };
        Self { is_closed: AtomicBool::new(true), state: Mutex::new(state) }
    }
}

/// How a request was let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Admitted {
    /// As every other one.
    AsUsual,
    /// Alone: what becomes of it decides for the others.
    ToLook,
}

impl Breaker {
    /// Lets a request out, or says why not.
    pub(in crate::upstream) fn admit(&self) -> Result<Admitted, HttpError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Ok(Admitted::AsUsual);
        }
        let mut state = self.state();
        state.look()?;
        // Whoever goes out while the circuit is open is the one who looks.
        state.is_probed = state.open_until.is_some();
        Ok(if state.is_probed { Admitted::ToLook } else { Admitted::AsUsual })
    }

    /// Whether a request would be let out now.
    pub(in crate::upstream) fn look(&self) -> Result<(), HttpError> {
        if self.is_closed.load(Ordering::Acquire) { Ok(()) } else { self.state().look() }
    }

    /// An operator wants to know: what was before counts no more.
    pub(in crate::upstream) fn forgive(&self) {
        self.state().held_until = None;
        self.succeeded();
    }

    /// The server answered.
    pub(in crate::upstream) fn succeeded(&self) {
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        state.failures = 0;
        state.backoff.reset();
        state.open_until = None;
        state.is_probed = false;
        // What was under way when the server asked to be left alone says nothing against that.
        state.held_until = state.held_until.filter(|until| *until > Instant::now());
        self.is_closed.store(state.held_until.is_none(), Ordering::Release);
    }

    /// It did not.
    pub(in crate::upstream) fn failed(&self, reason: &str) {
        let mut state = self.state();
        self.is_closed.store(false, Ordering::Release);
        state.failures = state.failures.saturating_add(1);
        state.is_probed = false;
        reason.clone_into(&mut state.reason);
        // Calls that were under way when it opened fail, too: they are no further tries.
        let is_waited = state.open_until.is_some_and(|until| until > Instant::now());
        if state.failures >= FAILURES_MAX && !is_waited {
            state.open_until = Some(Instant::now() + state.backoff.fail());
        }
    }

    /// Whoever was let through to look learnt nothing: the next one may.
    pub(in crate::upstream) fn learnt_nothing(&self) {
        if !self.is_closed.load(Ordering::Acquire) {
            self.state().is_probed = false;
        }
    }

    /// The server asked to be left alone. Gives the seconds.
    pub(in crate::upstream) fn hold(&self, asked: Option<Duration>) -> u64 {
        let hold = asked.unwrap_or(HOLD_DEFAULT).min(HOLD_MAX);
        let mut state = self.state();
        self.is_closed.store(false, Ordering::Release);
        state.held_until = Some(Instant::now() + hold);
        state.is_probed = false;
        seconds(hold)
    }

    /// Whether the circuit is open.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire) && self.state().open_until.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_one_request_at_a_time_is_let_through_when_it_is_due() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed("down");
            assert!(breaker.admit().is_ok());
        }
        breaker.failed("down");
        assert!(matches!(breaker.admit(), Err(HttpError::CircuitOpen { failures: 5, wait_seconds: 1, .. })));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(breaker.admit().ok(), Some(Admitted::ToLook), "one may look");
        assert!(breaker.admit().is_err(), "the others wait for it");
        breaker.failed("still down");
        assert!(breaker.admit().is_err());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(breaker.admit().is_ok());
        breaker.succeeded();
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_that_fail_at_once_are_one_failure_of_the_server() {
        let breaker = Breaker::default();
        (0..64).for_each(|_| breaker.failed("restarted"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(breaker.admit().is_ok(), "the first pause is the shortest");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_under_way_does_not_end_the_time_that_the_server_asked_for() {
        let breaker = Breaker::default();
        breaker.hold(Some(Duration::from_secs(7)));
        breaker.succeeded();
        assert!(matches!(breaker.admit(), Err(HttpError::RateLimited { retry_after_seconds: 7 })));
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(breaker.admit().is_ok());
        breaker.hold(Some(Duration::from_secs(7)));
        breaker.forgive();
        assert!(breaker.admit().is_ok(), "an operator wants to know");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_taught_nothing_leaves_the_next_one_open() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed("down"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(breaker.admit().is_ok());
        breaker.learnt_nothing();
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_wants_to_be_left_alone_is() {
        let breaker = Breaker::default();
        assert_eq!(breaker.hold(Some(Duration::from_secs(7))), 7);
        assert!(matches!(breaker.admit(), Err(HttpError::RateLimited { retry_after_seconds: 7 })));
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(breaker.admit().is_ok());
    }
}
