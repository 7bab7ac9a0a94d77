//! The way of a call through the gate, the journal and the upstream.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::answer::{Answer, Refusal};
use super::record::Request;
use super::run::Run;
use crate::clock;
use crate::gate::{self, Action, Approvals, Approved, Decision, Gate, Permit};
use crate::journal::{Entry, Journal, JournalError, State, Transition};
use crate::metrics::Metrics;
use crate::upstream::{Reply, Ticket, UpstreamError};

/// Told while a call waits for a person.
pub trait Watch {
    /// The wait begins.
    fn asked(&self, approval_id: &str, expires_at: i64);
    /// Resolves when nobody is left who would hear the answer.
    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// The wait is over, one way or the other.
    fn answered(&self);
}

/// A way to the server that stands.
pub struct Ready<D> {
    /// The revision of the server that it leads to.
    pub revision: i64,
    /// Takes the call there.
    pub dispatch: D,
}

/// Sends a permitted call and waits for its answer. Dropping the future cancels the call.
pub trait Dispatch: AsyncFnOnce(Permit, Ticket) -> Result<Reply, UpstreamError> {}
impl<D: AsyncFnOnce(Permit, Ticket) -> Result<Reply, UpstreamError>> Dispatch for D {}

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
    pub async fn run<D: Dispatch>(
        &self,
        request: &Request,
        ticket: Ticket,
        open: impl AsyncFnOnce() -> Result<Ready<D>, UpstreamError>,
        watch: &dyn Watch,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let way = Way { open, ticket };
        let mut run = Run::new(request, self.journal.clone());
        let decision = self.gate.decide(&request.call);
        self.gate.count(&decision);
        let mut cancelled = std::pin::pin!(cancelled);
        let answer = match decision.action {
            Action::Deny => self.deny(&run, &decision).await,
            Action::Allow => self.allow(&mut run, &decision, way, &mut cancelled).await,
            Action::Ask => self.ask(&mut run, &decision, way, watch, &mut cancelled).await,
        };
        self.count(request, decision.action, &answer, run.started.elapsed().saturating_sub(run.asked));
        answer
    }

    async fn deny(&self, run: &Run<'_>, decision: &Decision) -> Answer {
        let denied = Answer::Denied(run.refusal("denied", decision.reason.clone()));
        self.end_at_once(run, decision, State::Denied, decision.reason.clone(), denied).await
    }

    async fn allow<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        decision: &Decision,
        way: Way<impl AsyncFnOnce() -> Result<Ready<D>, UpstreamError>>,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let opened = tokio::select! {
            biased;
            () = &mut *cancelled => {
                let error = "the agent cancelled before the server was ready".into();
                return self.end_at_once(run, decision, State::Cancelled, error, Answer::Cancelled).await;
            }
            opened = run.open(way.open) => opened,
        };
        let ready = match opened {
            Ok(ready) => ready,
            // The server could not be reached, so nothing was sent.
            Err(error) => {
                let text = error.to_string();
                return self.end_at_once(run, decision, State::Refused, text, Answer::Failed(error)).await;
            }
        };
        let row = run.request.row(&run.id, decision, State::Dispatched, run.received_at);
        run.row.may_be(&[State::Dispatched]);
        match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(receipt) => self.dispatch(run, decision.permit(receipt), ready.dispatch, way.ticket, cancelled).await,
            Err(error) => self.unrecorded(run, &error),
        }
    }

    async fn ask<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        decision: &Decision,
        way: Way<impl AsyncFnOnce() -> Result<Ready<D>, UpstreamError>>,
        watch: &dyn Watch,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let timeout_ms = i64::try_from(self.approval_timeout.as_millis()).unwrap_or(i64::MAX);
        let entry = run.request.question(&run.id, decision, run.received_at, timeout_ms);
        let Some(approval) = entry.approval.clone() else {
            return Answer::Refused(run.refusal("internal", "the question could not be written".into()));
        };
        run.row.may_be(&[State::Pending]);
        if let Err(error) = self.journal.record(entry).await {
            return self.unrecorded(run, &error);
        }
        let asked = Instant::now();
        self.metrics.approval_asked();
        watch.asked(&approval.id, approval.expires_at);
        let settled = tokio::select! {
            answer = self.approvals.wait(&approval.id, approval.expires_at) => Some(answer),
            () = &mut *cancelled => None,
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
                let text = "nobody answered in time; ask the operator, or do without this call".into();
                self.end_pending(run, State::Expired, "approval_expired", text).await
            }
            Some(Ok(gate::Answer::Cancelled)) => {
                let text = "the question was withdrawn, because the gateway is stopping; ask again later".into();
                self.end_pending(run, State::Cancelled, "approval_cancelled", text).await
            }
            Some(Err(error)) => {
                let text = format!("the answer to the approval could not be read: {}", crate::chain(&error));
                self.end_pending(run, State::Cancelled, "approval_unavailable", text).await
            }
        }
    }

    /// A person said yes. The rules may have changed meanwhile: where they now say no, no it is.
    async fn approved<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        approved: Approved,
        way: Way<impl AsyncFnOnce() -> Result<Ready<D>, UpstreamError>>,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let now = self.gate.decide(&run.request.call);
        if now.action == Action::Deny {
            return self.rules_denied(run, &now).await;
        }
        let opened = tokio::select! {
            biased;
            () = &mut *cancelled => {
                let text = "the agent left or cancelled before the server was ready".into();
                self.end_pending(run, State::Cancelled, "cancelled", text).await;
                return Answer::Cancelled;
            }
            opened = run.open(way.open) => opened,
        };
        let ready = match opened {
            Ok(ready) => ready,
            Err(error) => {
                self.end_pending(run, State::Cancelled, "upstream", error.to_string()).await;
                return Answer::Failed(error);
            }
        };
        if ready.revision != run.request.server_revision {
            let text = "it was approved, but meanwhile the server was edited; ask again".into();
            return self.end_pending(run, State::Denied, "denied", text).await;
        }
        let at = clock::now_ms();
        let dispatch = Transition {
            decided_by: Some(gate::By::Person.as_str().into()),
            decided_at: Some(at),
            dispatched_at: Some(at),
            ..Transition::new(&run.id, State::Pending, State::Dispatched)
        };
        run.row.may_be(&[State::Pending, State::Dispatched]);
        match self.journal.advance(dispatch).await {
            Ok(receipt) => {
                run.row.may_be(&[State::Dispatched]);
                self.dispatch(run, approved.permit(receipt), ready.dispatch, way.ticket, cancelled).await
            }
            Err(error) => {
                // It still waits, and nobody will come back to it; should the move be there after all, the journal
                // takes it back.
                run.row.may_be(&[State::Pending]);
                run.row.end("the journal could not be written, so the call was not made");
                self.unrecorded(run, &error)
            }
        }
    }

    async fn dispatch(
        &self,
        run: &Run<'_>,
        permit: Option<Permit>,
        dispatch: impl Dispatch,
        ticket: Ticket,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let Some(permit) = permit else {
            return Answer::Refused(run.refusal("internal", "there was no permit, so nothing was sent".into()));
        };
        if cancelled.now_or_never().is_some() {
            self.finish(run, run.unsent()).await;
            return Answer::Cancelled;
        }
        let began = Instant::now();
        let reply = tokio::select! {
            biased;
            reply = dispatch(permit, ticket) => Some(reply),
            // Dropping the call tells the server that nobody waits.
            () = cancelled => None,
        };
        let upstream = began.elapsed();
        self.metrics.upstream_answered(&run.request.call.server, &run.request.call.method, upstream);
        self.metrics.overhead(run.started.elapsed().saturating_sub(run.waited).saturating_sub(upstream));
        self.finish(run, run.outcome(reply.as_ref(), upstream)).await;
        match reply {
            Some(Ok(reply)) => Answer::Reply(reply),
            Some(Err(UpstreamError::Denied { reason })) => Answer::Denied(run.refusal("denied_meanwhile", reason)),
            Some(Err(error)) => Answer::Failed(error),
            None => Answer::Cancelled,
        }
    }

    async fn finish(&self, run: &Run<'_>, outcome: crate::journal::Outcome) {
        let written = self.journal.finish(outcome);
        run.row.is_ended();
        if let Err(error) = written.await {
            // The server has acted and its answer is here: the agent gets it. The row is mended at the next start.
            self.count_unrecorded(&error);
        }
    }

    /// A row that begins with its end: nothing was sent.
    async fn end_at_once(
        &self,
        run: &Run<'_>,
        decision: &Decision,
        state: State,
        error: String,
        answer: Answer,
    ) -> Answer {
        let mut row = run.request.row(&run.id, decision, state, run.received_at);
        row.error = Some(error);
        row.overhead_us = Some(run.overhead_us(Duration::ZERO));
        match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(_receipt) => answer,
            Err(error) => self.unrecorded(run, &error),
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
        let end = Transition {
            decided_by: Some(gate::By::Person.as_str().into()),
            ..Transition::new(&run.id, State::Pending, State::Denied)
        };
        self.end(run, end, "denied", text).await
    }

    async fn rules_denied(&self, run: &Run<'_>, now: &Decision) -> Answer {
        let text = format!("it was approved, but meanwhile the rules deny it: {}", now.reason);
        let end = Transition {
            action: Some(now.action.as_str().into()),
            rule_id: now.rule_id.as_deref().map(Into::into),
            rule_set_revision: Some(now.revision),
            decided_by: Some(now.by.as_str().into()),
            ..Transition::new(&run.id, State::Pending, State::Denied)
        };
        self.end(run, end, "denied", text).await
    }

    async fn end_pending(&self, run: &Run<'_>, state: State, code: &'static str, text: String) -> Answer {
        self.end(run, Transition::new(&run.id, State::Pending, state), code, text).await
    }

    /// Ends a row that waited. It is written even if the database is away now: nobody else would end it.
    async fn end(&self, run: &Run<'_>, end: Transition, code: &'static str, text: String) -> Answer {
        let at = clock::now_ms();
        let end = Transition {
            decided_at: Some(at),
            finished_at: Some(at),
            error: Some(text.clone()),
            overhead_us: Some(run.overhead_us(Duration::ZERO)),
            ..end
        };
        let written = self.journal.settle(end);
        run.row.is_ended();
        if let Err(error) = written.await {
            self.count_unrecorded(&error);
        }
        Answer::Denied(run.refusal(code, text))
    }

    /// Nothing was sent. Should the row be there after all, the journal ends it.
    fn unrecorded(&self, run: &Run<'_>, error: &JournalError) -> Answer {
        run.row.is_ended();
        self.count_unrecorded(error);
        Answer::Refused(Refusal {
            code: "journal_unavailable",
            text: "the gateway can't record calls at the moment, so none is made; nothing was sent; try again later"
                .into(),
            invocation_id: None,
        })
    }
}
