//! The way of a call through the gate, the journal and the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, Refusal};
use super::record::Request;
use crate::clock;
use crate::gate::{self, Action, Approvals, Approved, Decision, Gate};
use crate::journal::{Entry, Journal, JournalError, Outcome, State, Transition};
use crate::metrics::Metrics;
use crate::store;
use crate::upstream::{Connection, Reply, Ticket, UpstreamError};

/// Where a call goes out, and with what.
pub struct Outgoing {
    /// The open connection.
    pub connection: Arc<Connection>,
    /// The parameters in the connection's era.
    pub params: Option<String>,
}

/// Told while a call waits for a person.
pub trait Watch {
    /// The wait begins.
    fn asked(&self, approval_id: &str, expires_at: i64);
    /// Resolves when nobody is left who would hear the answer.
    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// The wait is over, one way or the other.
    fn answered(&self);
}

/// Runs calls. One for the whole process.
#[derive(Clone)]
pub struct Invocations {
    gate: Gate,
    approvals: Approvals,
    journal: Journal,
    pub(super) metrics: Metrics,
    approval_timeout: Duration,
}

/// How a call goes out, once it may.
struct Way<O> {
    open: O,
    ticket: Ticket,
}

/// One call on its way: its row's id, and its clocks.
struct Run<'r> {
    id: String,
    request: &'r Request,
    received_at: i64,
    started: Instant,
    /// Time that is not the gateway's: a person's, and the server's start.
    waited: Duration,
    /// A person's part of it.
    asked: Duration,
}

impl Invocations {
    /// Joins the rooms that a call passes.
    #[must_use]
    pub fn new(
        gate: Gate,
        approvals: Approvals,
        journal: Journal,
        metrics: Metrics,
        approval_timeout: Duration,
    ) -> Self {
        Self { gate, approvals, journal, metrics, approval_timeout }
    }

    /// The gate that these calls pass.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Where these calls are counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Runs one call to its end. `open` gives the way to the server and is asked only for a call that may go; `cancelled`
    /// resolves when the agent no longer wants the answer.
    pub async fn run(
        &self,
        request: &Request,
        ticket: Ticket,
        open: impl AsyncFnOnce() -> Result<Outgoing, UpstreamError>,
        watch: &dyn Watch,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let way = Way { open, ticket };
        let mut run = Run {
            id: store::new_id(),
            request,
            received_at: clock::now_ms(),
            started: Instant::now(),
            waited: Duration::ZERO,
            asked: Duration::ZERO,
        };
        let decision = self.gate.decide(&request.call);
        let mut cancelled = std::pin::pin!(cancelled);
        let answer = match decision.action {
            Action::Deny => self.deny(&run, &decision).await,
            Action::Allow => self.allow(&mut run, &decision, way, cancelled).await,
            Action::Ask => self.ask(&mut run, &decision, way, watch, &mut cancelled).await,
        };
        self.count(request, decision.action, &answer, run.started.elapsed().saturating_sub(run.asked));
        answer
    }

    async fn deny(&self, run: &Run<'_>, decision: &Decision) -> Answer {
        let mut row = run.request.row(&run.id, decision, State::Denied, run.received_at);
        row.error = Some(decision.reason.clone());
        row.overhead_us = Some(run.overhead_us(Duration::ZERO));
        match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(_receipt) => Answer::Denied(run.refusal("denied", decision.reason.clone())),
            Err(error) => self.unrecorded(&error),
        }
    }

    async fn allow(
        &self,
        run: &mut Run<'_>,
        decision: &Decision,
        way: Way<impl AsyncFnOnce() -> Result<Outgoing, UpstreamError>>,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let outgoing = match run.open(way.open).await {
            Ok(outgoing) => outgoing,
            Err(error) => return self.unreachable(run, decision, error).await,
        };
        let row = run.request.row(&run.id, decision, State::Dispatched, run.received_at);
        let receipt = match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(receipt) => receipt,
            Err(error) => return self.unrecorded(&error),
        };
        match decision.permit(receipt) {
            Some(permit) => self.dispatch(run, permit, outgoing, way.ticket, cancelled).await,
            None => self.deny(run, decision).await,
        }
    }

    async fn ask(
        &self,
        run: &mut Run<'_>,
        decision: &Decision,
        way: Way<impl AsyncFnOnce() -> Result<Outgoing, UpstreamError>>,
        watch: &dyn Watch,
        mut cancelled: impl Future<Output = ()> + Unpin,
    ) -> Answer {
        let timeout_ms = i64::try_from(self.approval_timeout.as_millis()).unwrap_or(i64::MAX);
        let entry = run.request.question(&run.id, decision, run.received_at, timeout_ms);
        let Some(approval) = entry.approval.clone() else {
            return Answer::Refused(run.refusal("internal", "the question could not be written".into()));
        };
        if let Err(error) = self.journal.record(entry).await {
            return self.unrecorded(&error);
        }
        let asked = Instant::now();
        self.metrics.approval_asked();
        watch.asked(&approval.id, approval.expires_at);
        let settled = tokio::select! {
            answer = self.approvals.wait(&approval.id, approval.expires_at) => Some(answer),
            () = &mut cancelled => None,
            () = watch.abandoned() => None,
        };
        watch.answered();
        run.asked = asked.elapsed();
        run.waited += run.asked;
        self.count_approval(settled.as_ref().and_then(|answer| answer.as_ref().ok()), run.asked);
        match settled {
            None => self.withdraw(run, &approval.id).await,
            Some(Ok(gate::Answer::Approved(approved))) => self.approved(run, approved, way, cancelled).await,
            Some(Ok(gate::Answer::Denied { reason, by })) => self.person_denied(run, reason, by).await,
            Some(Ok(gate::Answer::Expired)) => {
                let text = format!(
                    "nobody answered within {} s; ask the operator, or do without this call",
                    self.approval_timeout.as_secs()
                );
                self.end_pending(run, State::Expired, "approval_expired", text).await
            }
            Some(Ok(gate::Answer::Cancelled)) => {
                self.end_pending(run, State::Cancelled, "approval_cancelled", "the question was withdrawn".into()).await
            }
            Some(Err(error)) => {
                let text = format!("the answer to the approval could not be read: {}", crate::chain(&error));
                self.end_pending(run, State::Cancelled, "approval_unavailable", text).await
            }
        }
    }

    /// A person said yes. The rules may have changed meanwhile: where they now say no, no it is.
    async fn approved(
        &self,
        run: &mut Run<'_>,
        approved: Approved,
        way: Way<impl AsyncFnOnce() -> Result<Outgoing, UpstreamError>>,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let now = self.gate.decide(&run.request.call);
        if now.action == Action::Deny {
            let text = format!("it was approved, but meanwhile the rules deny it: {}", now.reason);
            return self.end_pending(run, State::Denied, "denied", text).await;
        }
        let outgoing = match run.open(way.open).await {
            Ok(outgoing) => outgoing,
            Err(error) => {
                self.end_pending(run, State::Cancelled, "upstream", error.to_string()).await;
                return Answer::Failed(error);
            }
        };
        if outgoing.connection.revision != run.request.server_revision {
            let text = "it was approved, but meanwhile the server was edited; ask again".into();
            return self.end_pending(run, State::Denied, "denied", text).await;
        }
        let at = clock::now_ms();
        let dispatch = Transition {
            decided_by: Some("person".into()),
            decided_at: Some(at),
            dispatched_at: Some(at),
            ..Transition::new(&run.id, State::Pending, State::Dispatched)
        };
        match self.journal.advance(dispatch).await {
            Ok(receipt) => self.dispatch(run, approved.permit(receipt), outgoing, way.ticket, cancelled).await,
            Err(error) => self.unrecorded(&error),
        }
    }

    async fn dispatch(
        &self,
        run: &Run<'_>,
        permit: gate::Permit,
        outgoing: Outgoing,
        ticket: Ticket,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let sent = Instant::now();
        let reply = tokio::select! {
            biased;
            reply = outgoing.connection.call(permit, &run.request.call.method, outgoing.params.as_deref(), ticket) => Some(reply),
            // Dropping the call tells the server that nobody waits.
            () = cancelled => None,
        };
        let upstream = sent.elapsed();
        self.metrics.upstream_answered(&run.request.call.server, &run.request.call.method, upstream);
        self.metrics.overhead(run.started.elapsed().saturating_sub(run.waited).saturating_sub(upstream));
        let outcome = run.outcome(reply.as_ref(), upstream);
        if let Err(error) = self.journal.finish(outcome).await {
            // The server has acted and its answer is here: the agent gets it. The row is mended at the next start.
            self.count_unrecorded(&error);
        }
        match reply {
            Some(Ok(reply)) => Answer::Reply(reply),
            Some(Err(error)) => Answer::Failed(error),
            None => Answer::Cancelled,
        }
    }

    /// The server could not be reached, so nothing was sent.
    async fn unreachable(&self, run: &Run<'_>, decision: &Decision, error: UpstreamError) -> Answer {
        let mut row = run.request.row(&run.id, decision, State::Refused, run.received_at);
        row.error = Some(error.to_string());
        row.overhead_us = Some(run.overhead_us(Duration::ZERO));
        match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(_receipt) => Answer::Failed(error),
            Err(error) => self.unrecorded(&error),
        }
    }

    async fn withdraw(&self, run: &Run<'_>, approval_id: &str) -> Answer {
        if let Err(error) = self.approvals.cancel(approval_id).await {
            tracing::error!(approval.id = approval_id, error = %crate::chain(&error), "an approval could not be withdrawn");
        }
        self.end_pending(run, State::Cancelled, "cancelled", "the agent left or cancelled while it waited".into())
            .await;
        Answer::Cancelled
    }

    async fn person_denied(&self, run: &Run<'_>, reason: Option<String>, by: Option<String>) -> Answer {
        let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
        let text = match reason {
            Some(reason) => format!("a person{by} denied this call: {reason}"),
            None => format!("a person{by} denied this call and gave no reason; don't try it again unchanged"),
        };
        self.end_pending(run, State::Denied, "denied", text).await
    }

    async fn end_pending(&self, run: &Run<'_>, state: State, code: &'static str, text: String) -> Answer {
        let at = clock::now_ms();
        let end = Transition {
            decided_by: (state == State::Denied).then(|| "person".into()),
            decided_at: Some(at),
            finished_at: Some(at),
            error: Some(text.clone()),
            overhead_us: Some(run.overhead_us(Duration::ZERO)),
            ..Transition::new(&run.id, State::Pending, state)
        };
        if let Err(error) = self.journal.advance(end).await {
            self.count_unrecorded(&error);
        }
        Answer::Denied(run.refusal(code, text))
    }

    fn unrecorded(&self, error: &JournalError) -> Answer {
        self.count_unrecorded(error);
        Answer::Refused(Refusal {
            code: "journal_unavailable",
            text: "the gateway can't record calls at the moment, so none is made; nothing was sent; try again later"
                .into(),
            invocation_id: None,
        })
    }
}

impl Run<'_> {
    /// A server's start is not the gateway's time.
    async fn open(
        &mut self,
        open: impl AsyncFnOnce() -> Result<Outgoing, UpstreamError>,
    ) -> Result<Outgoing, UpstreamError> {
        let asked = Instant::now();
        let outgoing = open().await;
        self.waited += asked.elapsed();
        outgoing
    }

    fn refusal(&self, code: &'static str, text: String) -> Refusal {
        Refusal { code, text, invocation_id: Some(self.id.clone()) }
    }

    fn overhead_us(&self, upstream: Duration) -> i64 {
        let own = self.started.elapsed().saturating_sub(self.waited).saturating_sub(upstream);
        i64::try_from(own.as_micros()).unwrap_or(i64::MAX)
    }

    fn outcome(&self, reply: Option<&Result<Reply, UpstreamError>>, upstream: Duration) -> Outcome {
        let (state, is_error, error, result) = match reply {
            Some(Ok(Reply::Result(result))) => (State::Completed, Some(says_error(result)), None, Some(result.clone())),
            Some(Ok(Reply::Error(error))) => (State::Completed, Some(true), Some(error.clone()), None),
            Some(Err(error)) if error.was_sent() => (State::Unknown, None, Some(error.to_string()), None),
            Some(Err(error)) => (State::Failed, None, Some(error.to_string()), None),
            None => (State::Unknown, None, Some("the agent cancelled after the call was sent".into()), None),
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
}

/// Whether a tool result says that the tool failed.
pub(super) fn says_error(result: &str) -> bool {
    // Nearly no result does, and looking for the word is far cheaper than reading the members.
    result.contains("isError") && crate::mcp::splice::find(result, &["isError"]) == Some("true")
}
