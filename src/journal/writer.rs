//! The one task that writes the journal.
//!
//! Jobs come in through a queue; commits go out to the store, answers to those who wait. One row that the database
//! refuses costs the others of its batch nothing; a database that is away costs those who can be refused a refusal, and
//! those who cannot a place in the backlog.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::backlog::{Backlog, Outage};
use super::work::{Job, Pending, Work, batch};
use super::{JournalError, State};
use crate::clock;
use crate::store::batch::Change;
use crate::store::{self, Store, StoreError, invocation};

/// How many jobs are committed together; more would make those who wait first wait for those who came last.
const BATCH_MAX: usize = 256;
/// How long a commit may take before the database counts as away. SQLite's busy timeout is shorter.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the gateway waits for a database that is away.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What others may read of the writer's work.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// the length of the backlog
    pub(super) kept: AtomicUsize,
    /// what was given up
    pub(super) dropped: AtomicU64,
    /// the database is taken to be away: whoever can be refused need not even queue
    pub(super) is_away: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    queue: UnboundedReceiver<Job>,
    counts: Arc<Counts>,
    /// a job that did not fit into the last batch
    carried: Option<Job>,
    backlog: Backlog,
    /// set while the database is taken to be away
    outage: Option<Outage>,
}

/// What the writer does next.
enum Next {
    Job(Job),
    Retry,
    End,
}

/// The database went away before this was written.
struct Away {
    left: Vec<Pending>,
    error: StoreError,
}

impl Writer {
    pub(super) fn new(store: Store, queue: UnboundedReceiver<Job>, counts: Arc<Counts>) -> Self {
        Self { store, queue, counts, carried: None, backlog: Backlog::default(), outage: None }
    }

    /// Writes until it is told to close, or nobody is left to tell it anything.
    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Job(Job::Write(first)) => {
                    let pending = self.gather(first);
                    self.write(pending).await;
                }
                Next::Job(Job::Close { answer }) => {
                    self.close().await;
                    // whoever asked may have stopped waiting
                    let _ = answer.send(());
                    return;
                }
                Next::Retry => self.retry().await,
                Next::End => return self.close().await,
            }
            self.counts.kept.store(self.backlog.len(), Ordering::Relaxed);
            self.counts.is_away.store(self.outage.is_some(), Ordering::Relaxed);
        }
    }

    async fn next(&mut self) -> Next {
        if let Some(job) = self.carried.take() {
            return Next::Job(job);
        }
        let job = match self.outage {
            None => self.queue.recv().await,
            Some(outage) => tokio::select! {
                biased;
                () = sleep_until(outage.retry_at) => return Next::Retry,
                job = self.queue.recv() => job,
            },
        };
        job.map_or(Next::End, Next::Job)
    }

    /// Takes what has queued while the last commit ran; at most one move of an invocation is in a batch.
    fn gather(&mut self, first: Pending) -> Vec<Pending> {
        let mut moved = HashSet::new();
        let mut fits = |pending: &Pending| match &pending.work {
            Work::Insert { .. } => true,
            Work::Move { change, .. } => moved.insert(change.id.clone()),
        };
        fits(&first);
        let mut gathered = vec![first];
        while gathered.len() < BATCH_MAX {
            match self.queue.try_recv() {
                Ok(Job::Write(pending)) if fits(&pending) => gathered.push(pending),
                Ok(job) => {
                    self.carried = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        gathered
    }

    async fn write(&mut self, pending: Vec<Pending>) {
        if self.outage.is_some() {
            for pending in pending {
                self.put_off(pending, JournalError::Away);
            }
            return;
        }
        if let Err(Away { left, error }) = self.write_all(pending).await {
            self.begin_outage(left, error);
        }
    }

    /// Writes a batch, and when the database refuses it each row alone, to find the one that sank it.
    async fn write_all(&self, mut pending: Vec<Pending>) -> Result<(), Away> {
        for pending in &mut pending {
            pending.work.sit_at(self.store.seat());
        }
        match self.commit(&pending).await {
            Ok(moved) => {
                self.tell_all(pending, &moved).await;
                return Ok(());
            }
            Err(error) if error.is_retryable() => {
                return Err(Away { left: pending, error });
            }
            Err(error) if pending.len() == 1 => {
                self.give_up(pending, error);
                return Ok(());
            }
            Err(_) => {}
        }
        let mut left = pending.into_iter();
        while let Some(one) = left.next() {
            let alone = vec![one];
            match self.commit(&alone).await {
                Ok(moved) => self.tell_all(alone, &moved).await,
                Err(error) if error.is_retryable() => {
                    return Err(Away { left: alone.into_iter().chain(left).collect(), error });
                }
                Err(error) => self.give_up(alone, error),
            }
        }
        Ok(())
    }

    async fn commit(&self, pending: &[Pending]) -> Result<HashSet<String>, StoreError> {
        let batch = batch(pending);
        let committed = timeout(COMMIT_TIMEOUT, store::batch::write(&self.store, batch)).await;
        committed.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    async fn tell_all(&self, pending: Vec<Pending>, moved: &HashSet<String>) {
        for pending in pending {
            let answer = match &pending.work {
                Work::Move { from, to, change } if !moved.contains(&change.id) => {
                    self.explain(*from, *to, change, pending.is_repeated).await
                }
                Work::Insert { .. } | Work::Move { .. } => Ok(()),
            };
            pending.tell(answer);
        }
    }

    /// Finds out why a move did not take place. One that is repeated may have taken place the first time.
    async fn explain(&self, from: State, to: State, change: &Change, is_repeated: bool) -> Result<(), JournalError> {
        let row = invocation::find(&self.store, &change.id).await.ok().flatten();
        let found = row.and_then(|row| State::parse(&row.state));
        if is_repeated && found == Some(to) {
            return Ok(());
        }
        if change.spends.is_some() && found == Some(from) {
            return Err(JournalError::Spent);
        }
        Err(JournalError::Elsewhere { expected: from, found })
    }

    /// Takes the database to be away, and refuses or keeps the batch that found out.
    fn begin_outage(&mut self, pending: Vec<Pending>, error: StoreError) {
        tracing::error!(error.kind = error.kind(), "the journal cannot be written, calls are refused: {error}");
        self.outage = Some(Outage::begin());
        let maybe_done = !error.is_certainly_aborted();
        let error = Arc::new(error);
        for mut pending in pending {
            pending.is_repeated |= maybe_done;
            let undo = pending.undo(clock::now_ms()).filter(|_| maybe_done && !pending.is_kept);
            self.put_off(pending, JournalError::Store(Arc::clone(&error)));
            if let Some(undo) = undo {
                self.put_off(undo, JournalError::Away);
            }
        }
    }

    /// Keeps what must be kept, and refuses the rest with `error`. Nobody is made to wait for the database to come back.
    fn put_off(&mut self, mut pending: Pending, error: JournalError) {
        if !pending.is_kept {
            return pending.tell(Err(error));
        }
        let waiter = pending.answer.take();
        let kept = self.backlog.push(pending).map_err(|pending| self.drop_one(pending, JournalError::Full));
        if let Some(waiter) = waiter {
            // one that no longer waits does not mind
            let _ = waiter.send(Err(if kept.is_ok() { JournalError::Kept } else { JournalError::Full }));
        }
    }

    /// Ends work that the database refuses for what it is.
    fn give_up(&self, refused: Vec<Pending>, error: StoreError) {
        let error = Arc::new(error);
        for pending in refused {
            let error = JournalError::Store(Arc::clone(&error));
            if pending.is_kept { self.drop_one(pending, error) } else { pending.tell(Err(error)) }
        }
    }

    fn drop_one(&self, pending: Pending, error: JournalError) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        let (id, state) = (pending.work.id(), pending.work.state());
        tracing::error!(invocation.id = id, "the end of a call is lost to the journal, it was {state}: {error}");
        pending.tell(Err(error));
    }

    /// Tries the database again, and writes what was kept once it answers.
    async fn retry(&mut self) {
        let Some(outage) = self.outage else { return };
        if let Err(error) = self.write_backlog().await {
            tracing::warn!(error.kind = error.kind(), kept = self.backlog.len(), "the journal is still away: {error}");
            self.outage = Some(outage.go_on());
        } else {
            tracing::info!("the journal is written again");
            self.outage = None;
        }
    }

    async fn write_backlog(&mut self) -> Result<(), StoreError> {
        self.store.ping().await?;
        loop {
            let taken = self.backlog.take(BATCH_MAX);
            if taken.is_empty() {
                return Ok(());
            }
            if let Err(Away { left, error }) = self.write_all(taken).await {
                self.backlog.put_back(left);
                return Err(error);
            }
        }
    }

    /// Writes what is queued and kept, for as long as the end may take.
    async fn close(&mut self) {
        self.queue.close();
        while let Next::Job(job) = self.next_queued() {
            if let Job::Write(first) = job {
                let pending = self.gather(first);
                self.write(pending).await;
            }
        }
        let give_up_at = Instant::now() + CLOSE_TIMEOUT;
        while let Some(outage) = self.outage {
            if outage.retry_at > give_up_at {
                break;
            }
            sleep_until(outage.retry_at).await;
            self.retry().await;
        }
        for pending in self.backlog.take_all() {
            self.drop_one(pending, JournalError::Closed);
        }
    }

    fn next_queued(&mut self) -> Next {
        let job = self.carried.take().or_else(|| self.queue.try_recv().ok());
        job.map_or(Next::End, Next::Job)
    }
}
