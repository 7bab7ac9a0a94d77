//! The way of a call through the gate, the journal and the upstream.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::answer::{Answer, Refusal};
use super::record::Request;
use super::run::Run;
use crate::config::Waits;
use crate::gate::{Action, Approvals, By, Decision, Gate, Permit, Seen};
use crate::journal::{Entry, Journal, JournalError, State};
use crate::mcp::definition::Definition;
use crate::metrics::Metrics;
use crate::store::approval;
use crate::upstream::{Reply, Ticket, UpstreamError};

/// Told while a call waits for a person.
pub trait Watch {
    /// The wait begins: of the call with this row, for the answer to this question. Tells how long it may last.
    fn asked<'w>(
        &'w self,
        question: &'w approval::Row,
        invocation_id: &'w str,
    ) -> Pin<Box<dyn Future<Output = Patience> + 'w>>;
    /// Resolves when nobody is left who would hear the answer.
    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Resolves when somebody would hear the answer: at once, unless the agent's connection broke.
    fn attended(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// The wait is over, one way or the other.
    fn answered(&self);
}

/// For how long a call may wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as clients of its kind do.
    OfClient,
    /// Until there is an answer, or there will be none.
    ToTheEnd,
}

/// A way to the server that stands.
pub struct Ready<D> {
    /// The revision of the server that it leads to.
    pub revision: i64,
    /// What the tool is there, when that was wanted and could be read.
    pub definition: Option<Definition>,
    /// Takes the call there.
    pub dispatch: D,
}

/// Sends a permitted call and waits for its answer. Dropping the future cancels the call.
pub trait Dispatch: AsyncFnOnce(Permit, Ticket) -> Result<Reply, UpstreamError> {}
impl<D: AsyncFnOnce(Permit, Ticket) -> Result<Reply, UpstreamError>> Dispatch for D {}

/// Opens the way to the server; told whether the tool's definition is wanted.
pub trait Open<D>: AsyncFnOnce(bool) -> Result<Ready<D>, UpstreamError> {}
impl<D, O: AsyncFnOnce(bool) -> Result<Ready<D>, UpstreamError>> Open<D> for O {}

/// Runs calls. One for the whole process.
#[derive(Clone)]
pub struct Invocations {
    pub(super) gate: Gate,
    pub(super) approvals: Approvals,
    pub(super) journal: Journal,
    pub(super) metrics: Metrics,
    pub(super) waits: Waits,
}

/// Tells what a tool is; told whether it is to be read anew.
pub trait Look: AsyncFnOnce(bool) -> Result<Option<Definition>, UpstreamError> {}
impl<L: AsyncFnOnce(bool) -> Result<Option<Definition>, UpstreamError>> Look for L {}

/// How a call goes out, once it may.
pub struct Way<L, O> {
    /// Opens the way to the server as far as it takes to know what the tool is; told whether that is to be read anew.
    /// `None` when it can't be read. Only asked for calls of tools.
    pub look: L,
    /// Gives the way to the server. Asked only for a call that may go, and told whether the definition is wanted.
    pub open: O,
    /// What the server is told the call by.
    pub ticket: Ticket,
}

impl Invocations {
    /// Joins the rooms that a call passes.
    #[must_use]
    pub fn new(gate: Gate, approvals: Approvals, journal: Journal, metrics: Metrics, waits: Waits) -> Self {
        Self { gate, approvals, journal, metrics, waits }
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

    /// Whether all that is said in such a call is written down.
    #[must_use]
    pub fn writes_all_of(&self, server: &str, tool: Option<&str>) -> bool {
        !self.journal.redaction().is_for(server, tool)
    }

    /// Runs one call to its end. `cancelled` resolves when the agent no longer wants the answer.
    pub async fn run<D: Dispatch>(
        &self,
        request: &Request,
        way: Way<impl Look, impl Open<D>>,
        watch: &dyn Watch,
        cancelled: impl Future<Output = ()>,
    ) -> Answer {
        let mut run = Run::new(request, self.journal.clone());
        let Way { look, open, ticket } = way;
        let decision = self.gate.decide_with(&request.call, &request.server_id, Seen::NotYet);
        self.gate.count(&decision);
        self.metrics.rules_evaluated(decision.action.as_str());
        let mut cancelled = std::pin::pin!(cancelled);
        let (decision, definition) = match self.look(&mut run, decision, look, &mut cancelled).await {
            Ok(looked) => looked,
            Err((action, answer)) => {
                self.count(request, action, &answer, run.started.elapsed().saturating_sub(run.asked));
                return answer;
            }
        };
        let way = (open, ticket);
        let answer = match decision.action {
            Action::Deny => self.deny(&run, &decision).await,
            Action::Allow => self.allow(&mut run, &decision, way, &mut cancelled).await,
            // On the heap: few calls are asked, and each would carry its size.
            Action::Ask => Box::pin(self.ask(&mut run, (&decision, definition), way, watch, &mut cancelled)).await,
        };
        self.count(request, decision.action, &answer, run.started.elapsed().saturating_sub(run.asked));
        answer
    }

    /// Reads what the tool of a call is that would not be denied anyway, and decides with that. What a person is to be asked
    /// about is read anew.
    async fn look(
        &self,
        run: &mut Run<'_>,
        decision: Decision,
        look: impl Look,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(Decision, Option<Definition>), (Action, Answer)> {
        let request = run.request;
        if decision.action == Action::Deny || request.call.method != "tools/call" {
            return Ok((decision, None));
        }
        let is_asked = decision.action == Action::Ask;
        let looked = tokio::select! {
            biased;
            () = &mut *cancelled => {
                let error = "the agent cancelled before the server was ready".into();
                let ended = self.end_at_once(run, &decision, State::Cancelled, error, Answer::Cancelled).await;
                return Err((decision.action, ended));
            }
            looked = run.timed(async || look(is_asked).await) => looked,
        };
        let definition = match looked {
            Ok(definition) => definition,
            // A person can be asked about a server that is away.
            Err(_) if is_asked => None,
            // The server could not be reached, so nothing was sent.
            Err(error) => {
                let text = error.to_string();
                let ended = self.end_at_once(run, &decision, State::Refused, text, Answer::Failed(error)).await;
                return Err((decision.action, ended));
            }
        };
        let seen = Seen::Last(definition.as_ref().map(|definition| &*definition.digest));
        Ok((self.gate.hold(decision, &request.call, &request.server_id, seen), definition))
    }

    async fn deny(&self, run: &Run<'_>, decision: &Decision) -> Answer {
        let code = if decision.by == By::Definition { "tool_held" } else { "denied" };
        let denied = Answer::Denied(run.refusal(code, decision.reason.clone()));
        self.end_at_once(run, decision, State::Denied, decision.reason.clone(), denied).await
    }

    async fn allow<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        decision: &Decision,
        (open, ticket): (impl Open<D>, Ticket),
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let opened = tokio::select! {
            biased;
            () = &mut *cancelled => {
                let error = "the agent cancelled before the server was ready".into();
                return self.end_at_once(run, decision, State::Cancelled, error, Answer::Cancelled).await;
            }
            opened = run.timed(async || open(false).await) => opened,
        };
        let ready = match opened {
            Ok(ready) => ready,
            // The server could not be reached, so nothing was sent.
            Err(error) => {
                let text = error.to_string();
                return self.end_at_once(run, decision, State::Refused, text, Answer::Failed(error)).await;
            }
        };
        // A server may take its time to start, and the rules may be others by then.
        let Request { call, server_id, .. } = run.request;
        let seen = Seen::Last(ready.definition.as_ref().map(|definition| &*definition.digest));
        let now = self.gate.reconsider(call, decision, run.received_at).unwrap_or_else(|| decision.clone());
        let decision = &self.gate.hold(now, call, server_id, seen);
        if decision.action != Action::Allow {
            return self.no_longer_allowed(run, decision).await;
        }
        let row = run.request.row(&run.id, decision, State::Dispatched, run.received_at);
        run.row.may_be(&[State::Dispatched]);
        match self.journal.record(Entry { invocation: row, approval: None }).await {
            Ok(receipt) => self.dispatch(run, decision.permit(receipt), ready.dispatch, ticket, cancelled).await,
            Err(error) => self.unrecorded(run, &error),
        }
    }

    /// The rules let the call go, and then, while its server was started, they came to say something else.
    async fn no_longer_allowed(&self, run: &Run<'_>, now: &Decision) -> Answer {
        self.gate.count(now);
        if now.action == Action::Deny {
            return self.deny(run, now).await;
        }
        let text = "the rules or the tool changed while the server was started, and now a person has to be asked for this \
                    call; nothing was sent; make it again";
        let refused = Answer::Refused(run.refusal("rules_changed", text.into()));
        self.end_at_once(run, now, State::Refused, text.into(), refused).await
    }

    pub(super) async fn dispatch(
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
    pub(super) async fn end_at_once(
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

    /// Nothing was sent. Should the row be there after all, the journal ends it.
    pub(super) fn unrecorded(&self, run: &Run<'_>, error: &JournalError) -> Answer {
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
