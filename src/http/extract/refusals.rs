//! Credentials that did not hold, gathered for the audit: who tries many must not fill the record with it.
//!
//! A minute's refusals of one source are one event with their number, and of so many sources; those of all others are
//! counted together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::attempts::network;
use crate::identity::Refusal;
use crate::store::{self, Store, StoreError};
use crate::trail::Event;

/// For how long refusals are gathered.
const GATHERED_FOR: Duration = Duration::from_mins(1);
/// How many sources are told one by one.
const SOURCES_MAX: usize = 16;

/// Who came, as what, and why it did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source {
    /// none for all that are too many to be told one by one
    address: Option<IpAddr>,
    /// what the credential would have been of
    claimed: &'static str,
    refusal: &'static str,
}

/// What is gathered.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: Mutex<HashMap<Source, u64>>,
}

impl Refusals {
    /// Counts a credential that did not hold: of an `operator` or an `agent`.
    pub fn note(&self, address: Option<IpAddr>, claimed: &'static str, refusal: Refusal) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = Source { address: Some(network(address)), claimed, refusal: refusal.kind() };
        if counts.len() >= SOURCES_MAX && !counts.contains_key(&source) {
            source.address = None;
        }
        *counts.entry(source).or_default() += 1;
    }

    /// Has the audit tell what was gathered.
    ///
    /// # Errors
    /// It could not be written; it is gathered still.
    pub async fn tell(&self, store: &Store) -> Result<(), StoreError> {
        let gathered = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if gathered.is_empty() {
            return Ok(());
        }
        let told = store::audit::tell(store, gathered.iter().map(|(source, count)| source.told(*count))).await;
        if told.is_err() {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (source, count) in gathered {
                *counts.entry(source).or_default() += count;
            }
        }
        told
    }

    /// Has the audit told once a minute, for as long as somebody holds this.
    pub fn start_telling(self: &Arc<Self>, store: Store) {
        let weak = Arc::downgrade(self);
        actix_web::rt::spawn(async move {
            loop {
                tokio::time::sleep(GATHERED_FOR).await;
                let Some(refusals) = weak.upgrade() else { return };
                if let Err(error) = refusals.tell(&store).await {
                    tracing::error!(error = %crate::chain(&error), "refused credentials could not be told in the audit");
                }
            }
        });
    }
}

impl Source {
    fn told(&self, count: u64) -> Event {
        let subject = self.address.map_or_else(|| "address:others".to_owned(), |address| format!("address:{address}"));
        let data = json!({ "claimed": self.claimed, "count": count, "refusal": self.refusal });
        Event::new("login.refused", subject, &data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sources_are_few_counts() {
        let refusals = Refusals::default();
        for number in 0..10_000_u32 {
            refusals.note(Some(IpAddr::V4(number.into())), "agent", Refusal::Unknown);
            refusals.note(Some(IpAddr::V4(number.into())), "operator", Refusal::Malformed);
        }
        let counts = refusals.counts.lock().expect("counts");
        assert!(counts.len() <= SOURCES_MAX + 2, "{}", counts.len());
        assert_eq!(counts.values().sum::<u64>(), 20_000);
    }
}
