//! One call on its way: its clocks, its words, and what its row is told if the way is cut short.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::answer::Refusal;
use super::record::Request;
use crate::clock;
use crate::journal::{Journal, Outcome, Part, State, Transition};
use crate::mcp::method::Class;
use crate::store;
use crate::upstream::{Reply, UpstreamError};

const CUT_SHORT: &str = "the gateway broke off while the call was under way";

/// One call.
pub(super) struct Run<'r> {
    pub(super) id: String,
    pub(super) request: &'r Request,
    pub(super) received_at: i64,
    pub(super) started: Instant,
    /// Time that is not the gateway's: a person's, and the server's start.
    pub(super) waited: Duration,
    /// A person's part of it.
    pub(super) asked: Duration,
    pub(super) row: OpenRow,
}

/// A row that has begun and has no end yet. Dropping it ends the row: a run is dropped before its end only by a panic, or
/// when its thread ends.
pub(super) struct OpenRow {
    journal: Journal,
    id: String,
    /// The states that the row may be in; the database knows which.
    states: Cell<&'static [State]>,
}

impl OpenRow {
    pub(super) fn may_be(&self, states: &'static [State]) {
        self.states.set(states);
    }

    /// The row has its end, or was never written.
    pub(super) fn is_ended(&self) {
        self.states.set(&[]);
    }

    /// Ends the row, whichever of its states it is in; the journal sees to it even if the database is away.
    pub(super) fn end(&self, error: &str) {
        let at = clock::now_ms();
        for state in self.states.take() {
            if *state == State::Dispatched {
                let outcome = Outcome {
                    id: self.id.clone(),
                    state: State::Unknown,
                    is_error: None,
                    error: Some(error.into()),
                    result: None,
                    finished_at: at,
                    upstream_us: None,
                    overhead_us: None,
                };
                drop(self.journal.finish(outcome));
            } else {
                let end = Transition {
                    finished_at: Some(at),
                    error: Some(error.into()),
                    ..Transition::new(&self.id, *state, State::Cancelled)
                };
                drop(self.journal.settle(end));
            }
        }
    }
}

impl Drop for OpenRow {
    fn drop(&mut self) {
        self.end(CUT_SHORT);
    }
}

impl<'r> Run<'r> {
    pub(super) fn new(request: &'r Request, journal: Journal) -> Self {
        let id = request.row_id.clone().unwrap_or_else(store::new_id);
        Self {
            row: OpenRow { journal, id: id.clone(), states: Cell::default() },
            id,
            request,
            received_at: clock::now_ms(),
            started: Instant::now(),
            waited: Duration::ZERO,
            asked: Duration::ZERO,
        }
    }

    /// A server's start, and what it lists, is not the gateway's time.
    pub(super) async fn timed<T>(&mut self, ask: impl AsyncFnOnce() -> T) -> T {
        let asked = Instant::now();
        let answer = ask().await;
        self.waited += asked.elapsed();
        answer
    }

    pub(super) fn refusal(&self, code: &'static str, text: String) -> Refusal {
        Refusal { code, text, invocation_id: Some(self.id.clone()) }
    }

    pub(super) fn overhead_us(&self, upstream: Duration) -> i64 {
        let own = self.started.elapsed().saturating_sub(self.waited).saturating_sub(upstream);
        i64::try_from(own.as_micros()).unwrap_or(i64::MAX)
    }

    pub(super) fn outcome(&self, reply: Option<&Result<Reply, UpstreamError>>, upstream: Duration) -> Outcome {
        // What only looks or listens has no effect that could be unknown.
        let has_effect = self.request.call.class() == Class::Effect;
        let (state, is_error, error, result) = match reply {
            Some(Ok(Reply::Result(result))) => {
                (State::Completed, Some(says_error(result)), None, Some(self.kept(Part::Result, result)))
            }
            Some(Ok(Reply::Error(error))) => (State::Completed, Some(true), Some(self.kept(Part::Error, error)), None),
            Some(Err(error)) => {
                let state = if error.was_sent() && has_effect { State::Unknown } else { State::Failed };
                (state, None, Some(error.to_string()), None)
            }
            None => {
                let state = if has_effect { State::Unknown } else { State::Cancelled };
                (state, None, Some("nobody waited for the answer any more, after the call was sent".into()), None)
            }
        };
        Outcome {
            id: self.id.clone(),
            state,
            is_error,
            error,
            result,
            finished_at: clock::now_ms(),
            upstream_us: i64::try_from(upstream.as_micros()).ok(),
            overhead_us: Some(self.overhead_us(upstream)),
        }
    }

    /// What is written down of a text from the server.
    fn kept(&self, part: Part, text: &str) -> String {
        let call = &self.request.call;
        let redacted = self.row.journal.redaction().apply(&call.server, call.tool.as_deref(), part, text);
        redacted.unwrap_or_else(|| text.to_owned())
    }

    /// The end of a call that was let go but not sent.
    pub(super) fn unsent(&self) -> Outcome {
        Outcome {
            state: State::Cancelled,
            error: Some("the agent cancelled before the call was sent".into()),
            upstream_us: None,
            ..self.outcome(None, Duration::ZERO)
        }
    }
}

/// Whether a tool result says that the tool failed.
pub(super) fn says_error(result: &str) -> bool {
    // Nearly no result does, and looking for the word is far cheaper than reading the members.
    result.contains("isError")
        && result.contains("true")
        && crate::mcp::splice::find(result, &["isError"]) == Some("true")
}

#[cfg(test)]
mod tests;
