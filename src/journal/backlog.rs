//! The ends of calls that wait for the database to come back.
//!
//! Work that must not be lost comes in, and goes out in the order in which it came. It is bounded, as memory is: what
//! does not fit is counted and logged, never dropped in silence.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::work::Pending;

/// How many ends of calls are kept.
const KEPT_MAX: usize = 10_000;
/// The first pause before the database is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause; a database that is back is found after this at the latest.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What is kept while the database is away.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    kept: VecDeque<Pending>,
}

impl Backlog {
    /// Keeps one more, or gives it back when there is no room.
    pub(super) fn push(&mut self, pending: Pending) -> Result<(), Pending> {
        if self.kept.len() >= KEPT_MAX {
            return Err(pending);
        }
        self.kept.push_back(pending);
        Ok(())
    }

    /// Takes the oldest, up to `count`, and stops before a second one for the same invocation: see [`Batch`].
    ///
    /// [`Batch`]: crate::store::batch::Batch
    pub(super) fn take(&mut self, count: usize) -> Vec<Pending> {
        let mut ids = HashSet::new();
        let is_first = |pending: &&Pending| ids.insert(pending.work.id().to_owned());
        let fitting = self.kept.iter().take(count).take_while(is_first).count();
        self.kept.drain(..fitting).collect()
    }

    /// Puts back what could not be written after all, before everything else.
    pub(super) fn put_back(&mut self, taken: Vec<Pending>) {
        for pending in taken.into_iter().rev() {
            self.kept.push_front(pending);
        }
    }

    /// Takes everything, to give it up.
    pub(super) fn take_all(&mut self) -> VecDeque<Pending> {
        std::mem::take(&mut self.kept)
    }

    /// Returns how many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// A time in which the database is taken to be away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    /// when it is tried again
    pub(super) retry_at: Instant,
    pause: Duration,
}

impl Outage {
    /// Begins an outage.
    pub(super) fn begin() -> Self {
        Self { retry_at: Instant::now() + PAUSE_MIN, pause: PAUSE_MIN }
    }

    /// Goes on with an outage after another try: each pause is twice the one before.
    pub(super) fn go_on(self) -> Self {
        let pause = (self.pause * 2).min(PAUSE_MAX);
        Self { retry_at: Instant::now() + pause, pause }
    }
}
