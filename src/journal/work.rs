//! The units of the writer's work.
//!
//! Checked work comes in from the handle; batches for the store go out. What to do about a failure is decided by the
//! writer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::told;
use super::{JournalError, Receipt, State};
use crate::store::batch::{Batch, Change};
use crate::store::{approval, invocation};

/// Where a waiter is told what became of its work.
pub(super) type Answer = oneshot::Sender<Result<Receipt, JournalError>>;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Work {
    /// a new invocation
    Insert { state: State, invocation: Box<invocation::Row>, approval: Option<Box<approval::Row>> },
    /// a legal move of one
    Move { from: State, to: State, change: Box<Change> },
}

/// What the handle sends.
#[derive(Debug)]
pub(super) enum Job {
    /// write this and answer
    Write(Pending),
    /// write what is left, answer and end
    Close { answer: oneshot::Sender<()> },
}

/// Work on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) work: Work,
    /// none when nobody asked for it
    pub(super) answer: Option<Answer>,
    /// it tells what has happened, and must be written when the database is back
    pub(super) is_kept: bool,
    /// an earlier try may have been committed
    pub(super) is_repeated: bool,
    /// its place among those who wait, given up when it is done
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

impl Work {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Insert { invocation, .. } => &invocation.id,
            Self::Move { change, .. } => &change.id,
        }
    }

    /// A new call is that of the gateway at this seat.
    pub(super) fn sit_at(&mut self, seat: i64) {
        if let Self::Insert { invocation, .. } = self {
            invocation.seat = seat;
        }
    }

    /// Returns the state that this brings about.
    pub(super) fn state(&self) -> State {
        match self {
            Self::Insert { state, .. } => *state,
            Self::Move { to, .. } => *to,
        }
    }

    /// Returns what takes this back, in case that it was committed though its caller was told that it was not: an
    /// invocation that is taken to be open would look like a call in flight.
    fn undo(&self, now: i64) -> Option<Self> {
        let from = self.state();
        if from.is_terminal() {
            return None;
        }
        let change = Change {
            id: self.id().to_owned(),
            from_state: from.as_str(),
            state: State::Cancelled.as_str(),
            error: Some("the journal could not be written, so the call was not made".to_owned()),
            finished_at: Some(now),
            ..Change::default()
        };
        Some(Self::Move { from, to: State::Cancelled, change: Box::new(change) })
    }
}

impl Pending {
    /// Returns the work that takes this back if it was committed after all.
    pub(super) fn undo(&self, now: i64) -> Option<Self> {
        let work = self.work.undo(now)?;
        Some(Self { work, answer: None, is_kept: true, is_repeated: true, _place: None })
    }

    /// Tells the waiter, if there is one and it still waits.
    pub(super) fn tell(self, answer: Result<(), JournalError>) {
        let Some(waiter) = self.answer else { return };
        let spent = match &self.work {
            Work::Insert { .. } => None,
            Work::Move { change, .. } => change.spends.clone(),
        };
        let receipt = answer.map(|()| Receipt::new(self.work.id().to_owned(), self.work.state(), spent));
        // one that no longer waits has left its call; the row is ended by its own `settle` or at the next start
        let _ = waiter.send(receipt);
    }
}

/// Sorts work into the statements that write it.
pub(super) fn batch(pending: &[Pending]) -> Batch<'_> {
    let mut batch = Batch::default();
    for pending in pending {
        match &pending.work {
            Work::Insert { invocation, approval, .. } => {
                batch.invocations.push(invocation);
                batch.approvals.extend(approval.as_deref());
                batch.told.push(told::of_new(invocation, approval.as_deref()));
            }
            Work::Move { change, .. } => {
                batch.changes.push(change);
                batch.told_of_changes.push(told::of_change(change));
            }
        }
    }
    batch
}
