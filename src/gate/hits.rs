//! How often each rule decided, counted in memory and written now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::store::rule::Hits;
use crate::store::{self, Store, StoreError};

/// How often the counts are written.
const FLUSH_INTERVAL: Duration = Duration::from_mins(1);

/// Counts that are not written yet, by rule: how many, and when the last was.
pub(super) struct Counts {
    store: Store,
    unwritten: Mutex<HashMap<Arc<str>, (i64, i64)>>,
}

impl Counts {
    /// Nothing is counted yet; what will be is written from time to time, as long as somebody holds the result.
    pub(super) fn start(store: Store) -> Arc<Self> {
        let counts = Arc::new(Self { store, unwritten: Mutex::default() });
        tokio::spawn(flush_regularly(Arc::downgrade(&counts)));
        counts
    }

    pub(super) fn add(&self, rule_id: &Arc<str>, now_ms: i64) {
        let mut unwritten = self.unwritten();
        match unwritten.get_mut(rule_id) {
            Some((count, last)) => (*count, *last) = (*count + 1, now_ms.max(*last)),
            None => drop(unwritten.insert(rule_id.clone(), (1, now_ms))),
        }
    }

    /// What is counted of a rule beyond what is stored.
    pub(super) fn of(&self, rule_id: &str) -> Option<(i64, i64)> {
        self.unwritten().get(rule_id).copied()
    }

    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.unwritten());
        if taken.is_empty() {
            return Ok(());
        }
        let hits: Vec<Hits> = taken
            .iter()
            .map(|(id, (count, last_at))| Hits { id: id.to_string(), count: *count, last_at: *last_at })
            .collect();
        let written = store::rule::add_hits(&self.store, &hits).await;
        if written.is_err() {
            self.put_back(taken);
        }
        written
    }

    fn put_back(&self, taken: HashMap<Arc<str>, (i64, i64)>) {
        let mut unwritten = self.unwritten();
        for (id, (count, last_at)) in taken {
            let entry = unwritten.entry(id).or_insert((0, last_at));
            *entry = (entry.0 + count, entry.1.max(last_at));
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Arc<str>, (i64, i64)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn flush_regularly(counts: Weak<Counts>) {
    loop {
        tokio::time::sleep(FLUSH_INTERVAL).await;
        let Some(counts) = counts.upgrade() else { return };
        if let Err(error) = counts.flush().await {
            tracing::warn!(error.kind = error.kind(), "how often rules decided is not written yet: {error}");
        }
    }
}
