//! What may be written: a new invocation, a move before dispatch, an outcome.
//!
//! They come in as the rooms fill them and go out as rows and changes that are legal and fit the database.

use super::redaction::{Part, Redaction};
use super::work::Work;
use super::{JournalError, State};
use crate::store::batch::{Change, Released};
use crate::store::{approval, invocation};

/// How much of a result's text is kept.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;

/// A new invocation in the first state that must be durable, complete but for its outcome.
#[derive(Clone, Debug)]
pub struct Entry {
    /// the row; its state is one that may begin
    pub invocation: invocation::Row,
    /// the question, when this invocation is the one that asks it
    pub approval: Option<approval::Row>,
}

/// A move of an invocation that is not in flight. What is absent keeps what is recorded.
#[derive(Clone, Debug)]
pub struct Transition {
    /// which invocation
    pub id: String,
    /// where it starts
    pub from: State,
    /// where it goes
    pub to: State,
    /// the arguments that a person put in place of the agent's, and the digest over them
    pub arguments: Option<(String, String)>,
    /// what was decided
    pub action: Option<String>,
    /// the rule that matched; with an action and without a rule none did
    pub rule_id: Option<String>,
    /// of the rule set that decided
    pub rule_set_revision: Option<i64>,
    /// `rule`, `default` or `person`
    pub decided_by: Option<String>,
    /// the approval, when one was asked for
    pub approval_id: Option<String>,
    /// the approval whose yes lets the call go: it is spent together with this move, and without it there is none
    pub spends: Option<String>,
    /// by which rules it goes on that yes
    pub released: Option<Released>,
    /// why there is no result
    pub error: Option<String>,
    /// ms
    pub decided_at: Option<i64>,
    /// ms
    pub dispatched_at: Option<i64>,
    /// ms
    pub finished_at: Option<i64>,
    /// microseconds spent in the gateway
    pub overhead_us: Option<i64>,
}

/// How a call that was in flight ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// which invocation
    pub id: String,
    /// `completed`, `failed`, `unknown` or `cancelled`
    pub state: State,
    /// the tool said that it failed
    pub is_error: Option<bool>,
    /// why there is no result
    pub error: Option<String>,
    /// the JSON text, whole: it is cut here
    pub result: Option<String>,
    /// ms
    pub finished_at: i64,
    /// microseconds between dispatch and answer
    pub upstream_us: Option<i64>,
    /// microseconds spent in the gateway, a person's time left out
    pub overhead_us: Option<i64>,
}

impl Entry {
    pub(super) fn check(mut self) -> Result<Work, JournalError> {
        let bad = |why| Err(JournalError::BadEntry { why });
        let Some(state) = State::parse(&self.invocation.state) else {
            return bad("its state is not known");
        };
        if !state.can_begin() {
            return bad("its state is not one to begin in");
        }
        if state == State::Pending && self.invocation.approval_id.is_none() {
            return bad("it waits and does not name its approval");
        }
        if let Some(approval) = &self.approval {
            let is_named = self.invocation.approval_id.as_ref() == Some(&approval.id);
            if state != State::Pending || !is_named || approval.invocation_id != self.invocation.id {
                return bad("the approval is not one that it waits for");
            }
        }
        self.clean();
        Ok(Work::Insert { state, invocation: Box::new(self.invocation), approval: self.approval.map(Box::new) })
    }

    /// Leaves out what must not be written down. A digest of the arguments is a keyed one then.
    pub(super) fn redacted(mut self, redaction: &Redaction) -> Self {
        let row = &mut self.invocation;
        let (server, tool) = (row.server.as_str(), row.tool.as_deref());
        if let Some(beside) = self.approval.as_mut().and_then(|approval| approval.other_params.as_mut())
            && let Some(kept) = redaction.apply_beside_arguments(server, tool, beside)
        {
            *beside = kept;
        }
        let Some(text) = &row.arguments else { return self };
        if let Some(kept) = redaction.apply(server, tool, Part::Arguments, text) {
            row.arguments_digest = redaction.digest_of(text).unwrap_or_default();
            // A person is shown no more than is written down; what is approved is known by its digest.
            if let Some(approval) = &mut self.approval {
                approval.arguments = Some(kept.clone());
            }
            row.arguments = Some(kept);
        }
        self
    }

    /// Cleans what callers and upstreams name; the other columns are the gateway's own words.
    fn clean(&mut self) {
        let Self { invocation: row, approval } = self;
        for text in [
            &mut row.client_name,
            &mut row.client_version,
            &mut row.session,
            &mut row.tool,
            &mut row.arguments,
            &mut row.error,
            &mut row.result,
        ] {
            *text = text.take().map(without_nul);
        }
        row.method = without_nul(std::mem::take(&mut row.method));
        if let Some(approval) = approval {
            approval.tool = approval.tool.take().map(without_nul);
            approval.method = without_nul(std::mem::take(&mut approval.method));
            approval.arguments = approval.arguments.take().map(without_nul);
            approval.other_params = approval.other_params.take().map(without_nul);
        }
    }
}

impl Transition {
    /// Begins a move; the fields that go with it are set by the caller.
    #[must_use]
    pub fn new(id: impl Into<String>, from: State, to: State) -> Self {
        Self {
            id: id.into(),
            from,
            to,
            arguments: None,
            action: None,
            rule_id: None,
            rule_set_revision: None,
            decided_by: None,
            approval_id: None,
            spends: None,
            released: None,
            error: None,
            decided_at: None,
            dispatched_at: None,
            finished_at: None,
            overhead_us: None,
        }
    }

    pub(super) fn check(self) -> Result<Work, JournalError> {
        if self.from == State::Dispatched || !self.from.can_become(self.to) {
            return Err(JournalError::IllegalMove { from: self.from, to: self.to });
        }
        if self.spends.is_some() && (self.to != State::Dispatched || self.dispatched_at.is_none()) {
            return Err(JournalError::BadEntry { why: "only a dispatch, at its time, spends an approval" });
        }
        let (arguments, arguments_digest) = self.arguments.unzip();
        let change = Change {
            id: self.id,
            from_state: self.from.as_str(),
            state: self.to.as_str(),
            arguments: arguments.map(without_nul),
            arguments_digest,
            action: self.action,
            rule_id: self.rule_id,
            rule_set_revision: self.rule_set_revision,
            decided_by: self.decided_by,
            approval_id: self.approval_id,
            spends: self.spends,
            released: self.released,
            error: self.error.map(|error| cut(without_nul(error))),
            decided_at: self.decided_at,
            dispatched_at: self.dispatched_at,
            finished_at: self.finished_at,
            overhead_us: self.overhead_us,
            ..Change::default()
        };
        Ok(Work::Move { from: self.from, to: self.to, change: Box::new(change) })
    }

    pub(super) fn check_end(self) -> Result<Work, JournalError> {
        if !self.to.is_terminal() {
            return Err(JournalError::IllegalMove { from: self.from, to: self.to });
        }
        self.check()
    }
}

impl Outcome {
    pub(super) fn check(self) -> Result<Work, JournalError> {
        let (from, to) = (State::Dispatched, self.state);
        if !from.can_become(to) {
            return Err(JournalError::IllegalMove { from, to });
        }
        let result_bytes = self.result.as_ref().and_then(|result| i64::try_from(result.len()).ok());
        let change = Change {
            id: self.id,
            from_state: from.as_str(),
            state: to.as_str(),
            is_error: self.is_error,
            error: self.error.map(|error| cut(without_nul(error))),
            result: self.result.map(|result| without_nul(cut(result))),
            result_bytes,
            finished_at: Some(self.finished_at),
            upstream_us: self.upstream_us,
            overhead_us: self.overhead_us,
            ..Change::default()
        };
        Ok(Work::Move { from, to, change: Box::new(change) })
    }
}

/// Cuts a text to what is kept, at the end of a character.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(RESULT_BYTES_MAX));
    text
}

/// Replaces NUL, which PostgreSQL cannot keep in a text: one odd name must not cost the record of the call.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(result: String) -> Outcome {
        Outcome {
            id: "1".to_owned(),
            state: State::Completed,
            is_error: Some(false),
            error: None,
            result: Some(result),
            finished_at: 1,
            upstream_us: None,
            overhead_us: None,
        }
    }

    fn change(work: Result<Work, JournalError>) -> Change {
        match work {
            Ok(Work::Move { change, .. }) => *change,
            other => panic!("not a change: {other:?}"),
        }
    }

    #[test]
    fn a_long_result_is_cut_and_its_full_length_is_kept() {
        let change = change(outcome("x".repeat(RESULT_BYTES_MAX + 1)).check());
        assert_eq!(change.result.map(|result| result.len()), Some(RESULT_BYTES_MAX));
        assert_eq!(change.result_bytes, Some(i64::try_from(RESULT_BYTES_MAX).unwrap() + 1));
    }

    proptest! {
        #[test]
        fn a_result_is_cut_at_the_end_of_a_character(lead in 0usize..8, tail in "[aé€😀]{0,16}") {
            let whole = format!("{}{}", "x".repeat(RESULT_BYTES_MAX - lead), tail);
            let kept = cut(whole.clone());
            prop_assert!(whole.starts_with(&kept));
            prop_assert!(kept.len() <= RESULT_BYTES_MAX);
            prop_assert!(whole.len() <= RESULT_BYTES_MAX || kept.len() > RESULT_BYTES_MAX - 4);
        }

        #[test]
        fn only_legal_moves_reach_the_writer(from in 0usize..10, to in 0usize..10) {
            let (from, to) = (State::ALL[from], State::ALL[to]);
            let is_allowed = Transition::new("1", from, to).check().is_ok();
            prop_assert_eq!(is_allowed, from.can_become(to) && from != State::Dispatched);
        }
    }

    #[test]
    fn an_end_without_dispatch_must_be_an_end() {
        assert!(Transition::new("1", State::Pending, State::Cancelled).check_end().is_ok());
        let refused = Transition::new("1", State::Pending, State::Dispatched).check_end();
        assert!(matches!(refused, Err(JournalError::IllegalMove { .. })));
    }
}
