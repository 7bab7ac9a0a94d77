//! The journal: no call goes out before its row is committed.
//!
//! Finished rows and moves between states come in; a [`Receipt`] goes out once the database has committed them, and
//! only then. Whether a call is allowed is never decided here, and a call is never sent from here.
//!
//! One task writes. While one commit runs the next batch gathers, so that the more is asked of it the larger its
//! batches are, and no timer is needed. Two promises differ:
//!
//! - [`Journal::record`] and [`Journal::advance`] are waited for, and when the database is away they fail at once: a
//!   call that cannot be recorded is not made.
//! - [`Journal::finish`] and [`Journal::settle`] tell what has already happened. They are kept in memory while the
//!   database is away, and written when it is back.

mod backlog;
mod entry;
mod error;
mod receipt;
mod redaction;
mod state;
mod told;
mod work;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::store::Store;
use work::{Job, Pending, Work};
use writer::{Counts, Writer};

pub use entry::{Entry, Outcome, RESULT_BYTES_MAX, Transition};
pub use error::JournalError;
pub use receipt::Receipt;
pub use redaction::{Digest, Part, Redaction, RedactionError, masked};
pub use state::State;

/// How many callers may wait to be recorded; the ones after them wait before they are let in.
const WAITING_MAX: usize = 1024;

/// The handle to the journal. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Journal {
    jobs: mpsc::UnboundedSender<Job>,
    /// bounds the jobs that may be refused; those that must be kept are not held back
    places: Arc<Semaphore>,
    counts: Arc<Counts>,
    redaction: Redaction,
}

/// What the journal is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// callers that wait for a commit
    pub waiting: usize,
    /// ends of calls that are kept until the database is back
    pub kept: usize,
    /// ends of calls that were given up because too many were kept
    pub dropped: u64,
    /// the database is taken to be away, and calls are refused
    pub is_away: bool,
    /// the writer is there; without it nothing is recorded, and so no call is made
    pub is_running: bool,
}

impl Journal {
    /// Starts the writer on the runtime of the caller.
    #[must_use]
    pub fn start(store: Store) -> Self {
        Self::start_with(store, Redaction::default())
    }

    /// Starts the writer, which does not write down what is named here.
    #[must_use]
    pub fn start_with(store: Store, redaction: Redaction) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let counts = Arc::new(Counts::default());
        tokio::spawn(Writer::new(store, queue, Arc::clone(&counts)).run());
        Self { jobs, places: Arc::new(Semaphore::new(WAITING_MAX)), counts, redaction }
    }

    /// Commits a new invocation, and its approval when it waits for one.
    pub async fn record(&self, entry: Entry) -> Result<Receipt, JournalError> {
        let work = entry.redacted(&self.redaction).check()?;
        self.wait_for(work).await
    }

    /// Commits a move of an invocation that is not in flight. It fails when the invocation is not in the state that the
    /// move starts from: of two moves from the same state, one wins.
    pub async fn advance(&self, transition: Transition) -> Result<Receipt, JournalError> {
        let work = transition.check()?;
        self.wait_for(work).await
    }

    /// Writes how a call that was in flight ended. The writing goes on when the answer is not awaited.
    pub fn finish(&self, outcome: Outcome) -> Writing {
        self.keep(outcome.check())
    }

    /// What is not written down. Arguments of a new call are seen to here; of what comes later the journal does not know the
    /// server and the tool, so whoever does asks this.
    #[must_use]
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Like [`Journal::finish`], for a call that ends before it was ever in flight and whose caller has gone.
    pub fn settle(&self, transition: Transition) -> Writing {
        self.keep(transition.check_end())
    }

    /// Takes nothing more, writes what is queued and kept, and returns when that is done or given up.
    pub async fn close(&self) {
        self.places.close();
        let (answer, done) = oneshot::channel();
        if self.jobs.send(Job::Close { answer }).is_ok() {
            // an error means that the writer has ended, which is what is waited for
            let _ = done.await;
        }
    }

    /// Returns what the journal is busy with.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            waiting: WAITING_MAX.saturating_sub(self.places.available_permits()),
            kept: self.counts.kept.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
            is_away: self.counts.is_away.load(Ordering::Relaxed),
            is_running: !self.jobs.is_closed(),
        }
    }

    async fn wait_for(&self, work: Work) -> Result<Receipt, JournalError> {
        if self.counts.is_away.load(Ordering::Relaxed) {
            return Err(JournalError::Away);
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let (answer, receipt) = oneshot::channel();
        let answer = Some(answer);
        self.send(Pending { work, answer, is_kept: false, is_repeated: false, _place: Some(place) })?;
        receipt.await.map_err(|_| JournalError::Closed)?
    }

    fn keep(&self, work: Result<Work, JournalError>) -> Writing {
        let (answer, receipt) = oneshot::channel();
        let answer = Some(answer);
        let kept = |work| self.send(Pending { work, answer, is_kept: true, is_repeated: false, _place: None });
        Writing { refused: work.and_then(kept).err(), receipt }
    }

    fn send(&self, pending: Pending) -> Result<(), JournalError> {
        self.jobs.send(Job::Write(pending)).map_err(|_| JournalError::Closed)
    }
}

/// The end of a call on its way into the journal. Awaiting it tells when it is committed, or that it is kept until the
/// database is back ([`JournalError::Kept`]); dropping it changes nothing.
#[derive(Debug)]
pub struct Writing {
    refused: Option<JournalError>,
    receipt: oneshot::Receiver<Result<Receipt, JournalError>>,
}

impl Future for Writing {
    type Output = Result<Receipt, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(refused) = self.refused.take() {
            return Poll::Ready(Err(refused));
        }
        Pin::new(&mut self.receipt).poll(context).map(|receipt| receipt.unwrap_or(Err(JournalError::Closed)))
    }
}
