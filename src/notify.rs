//! Tells people that an approval waits, by the channels that operators set up.
//!
//! What waits is read from the store: nothing is handed in, nobody waits for this room, and whatever was not told when a
//! gateway died is told by the next one. Each approval is told once by each channel that is for it; a try that fails is
//! made again, with growing pauses, for as long as the approval waits. A notice holds a link to the approval. There is no
//! link that decides.
//!
//! What agents and servers wrote is shown, and does nothing: it is bounded, its invisible characters are written out, and
//! where it goes it can't be a link, a mention or markup.
//!
//! Never done here: deciding, or reading what comes back beyond whether it was taken.

mod channel;
mod notice;
mod reconciler;
mod send;
mod text;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use tokio::sync::watch;

use crate::clock;
use crate::metrics::Metrics;
use crate::store::channel::{Change, Row, Seen};
use crate::store::{self, Store, StoreError};
use crate::supervision::{Rounds, Slot, supervise};
use crate::vault::Vault;
use notice::Notice;

pub use channel::{ChannelError, Definition, Fault, Given, Kind};

/// The handle to the notifier. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Notifier {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    vault: Vault,
    metrics: Metrics,
    /// what links begin with
    public_url: String,
    /// says that a channel was edited
    nudged: tokio::sync::Notify,
    is_stopped: AtomicBool,
    /// held so that it is made again when it ends
    task: Mutex<Option<Arc<Slot<Rounds>>>>,
}

/// What came of a notice that was sent to try a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// why it was not taken; none of one that was
    pub problem: Option<String>,
    /// how long that took
    pub took: Duration,
}

impl Notifier {
    /// Nothing is told yet.
    #[must_use]
    pub fn new(store: Store, vault: Vault, metrics: Metrics, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let (nudged, is_stopped, task) = (tokio::sync::Notify::new(), AtomicBool::default(), Mutex::default());
        Self { inner: Arc::new(Inner { store, vault, metrics, public_url, nudged, is_stopped, task }) }
    }

    /// Begins to tell, on `arbiter`; `asked` says when a question was written.
    pub async fn start(&self, asked: watch::Receiver<()>, arbiter: &ArbiterHandle) {
        let notifier = self.clone();
        let begin = move || -> crate::supervision::Job { Box::pin(reconciler::keep(notifier.clone(), asked.clone())) };
        let make = move |sentinel| Rounds::new(sentinel, begin.clone());
        *self.task() = Some(supervise("notifier", arbiter.clone(), make).await);
    }

    /// A channel was edited: what waits is looked at again.
    pub fn nudge(&self) {
        self.inner.nudged.notify_one();
    }

    /// Forgets a channel that is gone.
    pub fn forget(&self, channel: &str) {
        self.inner.metrics.forget_channel(channel);
        self.nudge();
    }

    /// Nothing is begun any more. What was not told is told by the next start.
    pub fn stop(&self) {
        if let Some(task) = self.task().take() {
            task.retire();
        }
        self.inner.is_stopped.store(true, Ordering::Release);
        self.nudge();
    }

    /// Sends a notice that is about nothing, and notes how the channel does. That it is disabled is no reason not to.
    ///
    /// # Errors
    /// What came of it could not be written down.
    pub async fn test(&self, row: &Row) -> Result<Tested, StoreError> {
        let begun = Instant::now();
        let notice = Notice::test(&row.name, &self.inner.public_url, clock::now_ms());
        let sent = send::send(&self.inner.vault, row, &store::new_id(), &notice).await;
        let problem = sent.err().map(|failure| failure.problem);
        let seen = problem.clone().map_or(Seen::Well, Seen::Failing);
        let change = store::channel::note(&self.inner.store, &row.id, &seen, clock::now_ms()).await?;
        log_change(&row.name, change, problem.as_deref());
        Ok(Tested { problem, took: begun.elapsed() })
    }

    fn is_stopped(&self) -> bool {
        self.inner.is_stopped.load(Ordering::Acquire)
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<Arc<Slot<Rounds>>>> {
        self.inner.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Once for each change, and not for each try.
fn log_change(channel: &str, change: Option<Change>, problem: Option<&str>) {
    let problem = problem.unwrap_or_default();
    match change {
        Some(Change::Failing) => {
            tracing::error!(channel, "nobody is told by this channel; what waits is tried again: {problem}");
        }
        Some(Change::Disabled) => tracing::error!(channel, "this channel is disabled: {problem}"),
        Some(Change::Recovered) => tracing::info!(channel, "this channel works again"),
        None => {}
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Notifier")
    }
}
