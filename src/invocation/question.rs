//! The part of a call's way on which a person is asked.
//!
//! The question outlives the call: an agent that leaves, or whose patience ends, finds it again by making the same call.
//! Each such call has its own row, and all of them have one approval.

use std::time::{Duration, Instant};

use super::answer::{Answer, Pending};
use super::pipeline::{Dispatch, Invocations, Open, Patience, Watch};
use super::record::{Question, digest_of_text};
use super::run::Run;
use crate::clock;
use crate::gate::{self, Action, Approved, Arguments, Decision, GateError, Place, Seen};
use crate::journal::{Entry, JournalError, State, Transition};
use crate::mcp::definition::Definition;
use crate::store::approval;
use crate::store::batch::Released;
use crate::upstream::Ticket;

/// How often a place is looked for, should another gateway ask the same in between.
const PLACES_MAX: u32 = 3;

/// Why a call stops waiting.
enum Heard {
    /// There is an answer, or there will be none.
    Answer(Result<gate::Answer, GateError>),
    /// The agent is gone.
    Left,
    /// The agent would not wait much longer.
    Enough,
}

impl Invocations {
    pub(super) async fn ask<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        (decision, definition): (&Decision, Option<Definition>),
        (open, ticket): (impl Open<D>, Ticket),
        watch: &dyn Watch,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let question = run.request.question(definition, self.journal.redaction());
        let approval = match self.pose(run, decision, &question).await {
            Ok(approval) => approval,
            Err(answer) => return answer,
        };
        match self.hear(run, &approval, watch, cancelled).await {
            Heard::Answer(Ok(gate::Answer::Approved(approved))) => {
                self.approved(run, (approved, &question), (open, ticket), cancelled).await
            }
            Heard::Answer(answer) => self.not_approved(run, answer).await,
            Heard::Left => {
                let text = "the agent left or cancelled while it waited; its question stays open".into();
                self.end_pending(run, State::Cancelled, "cancelled", text).await;
                self.approvals.is_left(&approval.id).await;
                Answer::Cancelled
            }
            Heard::Enough => {
                let text = "the agent was told that the question is still open, and to make the call again".into();
                self.end_pending(run, State::Cancelled, "approval_pending", text).await;
                self.approvals.is_left(&approval.id).await;
                Answer::Pending(Pending {
                    approval_id: approval.id,
                    invocation_id: run.id.clone(),
                    expires_at: approval.expires_at,
                    has_output_schema: question.definition.is_some_and(|definition| definition.has_output_schema),
                })
            }
        }
    }

    /// Commits the call as one that waits, and its question, if the same is not asked already. Another gateway may ask it at
    /// the same moment: of the two one is written, and the other is looked for.
    async fn pose(&self, run: &Run<'_>, decision: &Decision, question: &Question<'_>) -> Result<approval::Row, Answer> {
        let mut left = PLACES_MAX;
        loop {
            left -= 1;
            match self.try_pose(run, decision, question).await? {
                Ok(approval) => return Ok(approval),
                Err(error) if left == 0 || !error.is_taken() => return Err(self.unrecorded(run, &error)),
                Err(_) => {}
            }
        }
    }

    async fn try_pose(
        &self,
        run: &Run<'_>,
        decision: &Decision,
        question: &Question<'_>,
    ) -> Result<Result<approval::Row, JournalError>, Answer> {
        let request = run.request;
        let (place, _turn) = match self.approvals.place(&request.agent_id, &question.digest()).await {
            Ok(placed) => placed,
            Err(error) => return Err(self.unplaced(run, decision, &error).await),
        };
        let place = match &request.approval_id {
            None => Ok(place),
            Some(id) => self.own_place(run, decision, (id, question)).await,
        };
        let (approval, is_new) = match place? {
            Place::Known(approval) => (*approval, false),
            Place::New => (question.row(&run.id, &self.approvals.terms()), true),
            Place::Full(open) => {
                let text = format!(
                    "{open} questions of yours wait for a person already, which is as many as you may have; wait until \
                     some are answered, or make one of those calls again to learn its outcome"
                );
                let refused = Answer::Denied(run.refusal("too_many_approvals", text.clone()));
                return Err(self.end_at_once(run, decision, State::Refused, text, refused).await);
            }
        };
        let mut row = request.row(&run.id, decision, State::Pending, run.received_at);
        row.approval_id = Some(approval.id.clone());
        run.row.may_be(&[State::Pending]);
        let entry = Entry { invocation: row, approval: is_new.then(|| approval.clone()) };
        if let Err(error) = self.journal.record(entry).await {
            return Ok(Err(error));
        }
        if is_new {
            self.approvals.is_asked();
        }
        Ok(Ok(approval))
    }

    /// The place of a call that goes on with a question of an earlier process, if it still asks just that.
    async fn own_place(
        &self,
        run: &Run<'_>,
        decision: &Decision,
        (id, question): (&str, &Question<'_>),
    ) -> Result<Place, Answer> {
        match self.approvals.find(id).await {
            Ok(Some(approval)) if approval.digest == question.digest() => Ok(Place::Known(Box::new(approval))),
            Ok(_) => {
                let text = "the server was edited since a person was asked about this call; make it again, and a person \
                            is asked anew";
                let outdated = Answer::Denied(run.refusal("approval_outdated", text.into()));
                Err(self.end_at_once(run, decision, State::Denied, text.into(), outdated).await)
            }
            Err(error) => Err(self.unplaced(run, decision, &error).await),
        }
    }

    /// Waits for the answer, as long as the agent does.
    async fn hear(
        &self,
        run: &mut Run<'_>,
        approval: &approval::Row,
        watch: &dyn Watch,
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Heard {
        let asked = Instant::now();
        let client = run.request.client.as_ref().map(|(name, _)| name.as_str());
        // What was answered before this call is told at once, however little patience there is.
        let patience = match self.approvals.answer(&approval.id).await.transpose() {
            Some(answer) => return Heard::Answer(answer),
            None => watch.asked(approval, &run.id).await,
        };
        let enough = async {
            match patience {
                Patience::OfClient => tokio::time::sleep(self.waits.of(client)).await,
                Patience::ToTheEnd => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            biased;
            () = &mut *cancelled => Heard::Left,
            answer = self.approvals.wait(&approval.id) => Heard::Answer(answer),
            () = watch.abandoned() => Heard::Left,
            () = enough => Heard::Enough,
        };
        // A yes is not spent on an agent that is gone: it is kept for the one that comes back.
        let heard = match heard {
            Heard::Answer(Ok(gate::Answer::Approved(approved))) => tokio::select! {
                biased;
                () = watch.attended() => Heard::Answer(Ok(gate::Answer::Approved(approved))),
                () = watch.abandoned() => Heard::Left,
            },
            heard => heard,
        };
        watch.answered();
        run.asked = asked.elapsed();
        run.waited += run.asked;
        heard
    }

    /// A person said yes. The rules may have changed meanwhile, and so may the server: then it was not for this.
    async fn approved<D: Dispatch>(
        &self,
        run: &mut Run<'_>,
        (approved, question): (Approved, &Question<'_>),
        (open, ticket): (impl Open<D>, Ticket),
        cancelled: &mut (impl Future<Output = ()> + Unpin),
    ) -> Answer {
        let mut call = run.request.call.clone();
        if let Some(edited) = approved.edited_arguments() {
            call.arguments = Arguments::given(Some(edited));
        }
        let now = self.gate.decide_with(&call, &run.request.server_id, Seen::NotYet);
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
            opened = run.timed(async || open(true).await) => opened,
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
            return self.end_pending(run, State::Denied, "approval_outdated", text).await;
        }
        if ready.definition.as_ref().map(|definition| &*definition.digest) != question.definition_digest() {
            let text = "it was approved, but meanwhile the server says that the tool is another one; ask again".into();
            return self.end_pending(run, State::Denied, "approval_outdated", text).await;
        }
        // A server may have taken its time to start, and the rules may be others by now.
        let seen = Seen::Last(question.definition_digest());
        let now = self.gate.decide_with(&call, &run.request.server_id, seen);
        if now.action == Action::Deny {
            return self.rules_denied(run, &now).await;
        }
        let dispatch = run.dispatched(&approved, &now);
        run.row.may_be(&[State::Pending, State::Dispatched]);
        match self.journal.advance(dispatch).await {
            Ok(receipt) => {
                run.row.may_be(&[State::Dispatched]);
                self.dispatch(run, approved.permit(receipt), ready.dispatch, ticket, cancelled).await
            }
            Err(JournalError::Spent) => {
                run.row.may_be(&[State::Pending]);
                self.not_approved(run, Ok(gate::Answer::Used)).await
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

    async fn not_approved(&self, run: &Run<'_>, answer: Result<gate::Answer, GateError>) -> Answer {
        let (state, code, text) = match answer {
            Ok(gate::Answer::Denied { reason, by }) => return self.person_denied(run, reason, by).await,
            Ok(gate::Answer::Expired) => {
                (State::Expired, "approval_expired", "nobody answered in time; ask the operator, or do without this call".into())
            }
            Ok(gate::Answer::Cancelled) => {
                (State::Cancelled, "approval_cancelled", "the question was withdrawn; ask the operator".into())
            }
            Ok(gate::Answer::Used | gate::Answer::Approved(_)) => (
                State::Cancelled,
                "approval_used",
                "a person approved this once, and another call of yours that asked the same has used that; if it is to run \
                 once more, make it again, and a person will be asked again"
                    .into(),
            ),
            Ok(gate::Answer::Stopping) => (
                State::Cancelled,
                "stopping",
                "the gateway is stopping; the question stays open: make the same call again when it is back".into(),
            ),
            Err(error) => {
                let text = format!("the answer to the question could not be read: {}", crate::chain(&error));
                (State::Cancelled, "approval_unavailable", text)
            }
        };
        self.end_pending(run, state, code, text).await
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
        self.gate.count(now);
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

    /// Whether the same was asked could not be read: then nothing is asked.
    async fn unplaced(&self, run: &Run<'_>, decision: &Decision, error: &GateError) -> Answer {
        tracing::error!(error = %crate::chain(error), "a question could not be asked");
        let text = "a person has to be asked, and the gateway can't read its questions at the moment; nothing was sent; try \
                    again later";
        let refused = Answer::Refused(run.refusal("approval_unavailable", text.into()));
        self.end_at_once(run, decision, State::Refused, text.into(), refused).await
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
}

impl Run<'_> {
    /// The move of a call that a person said yes to. It spends the yes, and records what a person made of the arguments.
    /// The row goes on to say which rule asked; by which rules the call was let go is told in the audit.
    fn dispatched(&self, approved: &Approved, now: &Decision) -> Transition {
        let at = clock::now_ms();
        Transition {
            arguments: approved.edited_arguments().map(|edited| (edited.to_owned(), digest_of_text(edited))),
            decided_by: Some(gate::By::Person.as_str().into()),
            spends: Some(approved.approval_id().to_owned()),
            released: Some(Released {
                action: now.action.as_str(),
                rule_id: now.rule_id.as_deref().map(Into::into),
                rule_set_revision: now.revision,
            }),
            decided_at: Some(at),
            dispatched_at: Some(at),
            ..Transition::new(&self.id, State::Pending, State::Dispatched)
        }
    }
}
