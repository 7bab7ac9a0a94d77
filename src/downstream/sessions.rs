//! All sessions of this process: found by id, ended by their agent, by idleness, or by the bound on their number.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use super::session::Session;
use crate::clock;
use crate::metrics::Metrics;
use crate::upstream::Directory;

/// How often idle sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// A client that neither listens nor called for this long may have gone without a word; its process is the first to be
/// given to somebody else when all are taken. If it comes back, it gets another one.
const GONE_AFTER_MS: i64 = 10_000;

/// What bounds the sessions.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// A session in which nothing happened for this long is ended: clients often never say that they are done.
    pub idle: Duration,
    /// Most sessions; a new one beyond it is refused.
    pub count_max: usize,
}

pub(super) struct Sessions {
    by_id: DashMap<Arc<str>, Arc<Session>>,
    /// Sessions, and those that are being opened.
    taken: AtomicUsize,
    bounds: Bounds,
    metrics: Metrics,
    directory: Directory,
}

/// Room for one session. Dropped before the session is there, it is given back.
pub(super) struct Place(Option<Arc<Sessions>>);

impl Place {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(sessions) = &self.0 {
            sessions.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Sessions {
    /// Starts the sweep on this thread.
    pub(super) fn start(bounds: Bounds, metrics: Metrics, directory: Directory) -> Arc<Self> {
        let sessions = Arc::new(Self { by_id: DashMap::new(), taken: AtomicUsize::new(0), bounds, metrics, directory });
        let swept = Arc::downgrade(&sessions);
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                match swept.upgrade() {
                    Some(sessions) => sessions.sweep(),
                    None => return,
                }
            }
        });
        sessions
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken.load(Ordering::Acquire) >= self.bounds.count_max
    }

    /// A place for a session that is yet to be opened; `None` when all are taken. Many may be opened at once, so it is
    /// taken before.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let take = |taken: usize| (taken < self.bounds.count_max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Place(Some(self.clone())))
    }

    pub(super) fn count_max(&self) -> usize {
        self.bounds.count_max
    }

    pub(super) fn insert(&self, session: Arc<Session>, place: Place) {
        place.keep();
        self.metrics.session_opened();
        self.by_id.insert(session.id.clone(), session);
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// The session of that id, if it is this agent's with this server.
    pub(super) fn find(&self, id: &str, agent_id: &str, server_id: &str) -> Option<Arc<Session>> {
        let session = self.by_id.get(id)?.clone();
        (session.agent_id == agent_id && *session.server_id == *server_id).then_some(session)
    }

    pub(super) fn end(&self, session: &Session) {
        if self.by_id.remove(&session.id).is_some() {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            self.metrics.session_closed();
        }
        session.end();
    }

    /// Ends the standing streams and leaves the sessions.
    pub(super) fn quiet(&self) {
        for session in &self.by_id {
            session.standing().finish(None);
        }
    }

    pub(super) fn end_all(&self) {
        let all: Vec<_> = self.by_id.iter().map(|entry| entry.value().clone()).collect();
        for session in all {
            self.end(&session);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Makes the session of that server that was idle for longest give its process up, when it looks as if its client is
    /// gone. `false` when there is none.
    pub(super) fn make_room(&self, server_id: &str) -> bool {
        let quiet_since = clock::now_ms() - GONE_AFTER_MS;
        let oldest = self
            .by_id
            .iter()
            .filter(|session| *session.server_id == *server_id && session.is_connected())
            .filter_map(|session| Some((session.idle_since()?, session.value().clone())))
            .filter(|(since, _)| *since < quiet_since)
            .min_by_key(|(since, _)| *since);
        if let Some((_, session)) = &oldest {
            session.release();
        }
        oldest.is_some()
    }

    fn sweep(&self) {
        for session in &self.by_id {
            session.forget_stale();
        }
        let servers: HashSet<_> = self.directory.all().iter().map(|upstream| upstream.spec.id.clone()).collect();
        let idle_ms = i64::try_from(self.bounds.idle.as_millis()).unwrap_or(i64::MAX);
        let now = clock::now_ms();
        let is_over = |session: &Session| {
            // Nobody can find a session whose server was removed.
            !servers.contains(&session.server_id) || session.idle_since().is_some_and(|since| now - since > idle_ms)
        };
        let over: Vec<_> = self.by_id.iter().map(|session| session.value().clone()).filter(|it| is_over(it)).collect();
        for session in over {
            self.end(&session);
        }
    }
}
