//! Tells the audit elsewhere: each event and each checkpoint, in their order, at least once.
//!
//! How far a sink has come is a row, so that nothing is left out by a restart or while the other side is away. Nobody
//! waits for a sink: events are read back from the database.

mod syslog;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Audit;
use super::line::{line_of_checkpoint, line_of_event};
use crate::backoff::Backoff;
use crate::config::SyslogTarget;
use crate::store::audit::SinkPosition;
use crate::store::{self, StoreError};
use crate::trail::{Checkpoint, Link};
use crate::vault::SecretText;
use syslog::Syslog;
use webhook::Webhook;

/// How many events are told at once.
const BATCH_ROWS: u64 = 100;
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Who is told.
#[derive(Clone)]
pub enum Target {
    /// a syslog daemon, by RFC 5424
    Syslog(SyslogTarget),
    /// whoever answers at this URL; signed when there is a secret
    Webhook {
        /// where to
        url: String,
        /// what the signature is made with
        secret: Option<SecretText>,
    },
}

impl Target {
    /// What it is called in the database, in metrics and for operators.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Syslog(_) => "syslog",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// How a sink does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkHealth {
    /// what it is called
    pub name: &'static str,
    /// how many events it has not been told
    pub behind: i64,
    /// why the last attempt failed
    pub failure: Option<String>,
}

/// What is told: one line.
struct Told {
    at: i64,
    /// what happened; `audit.checkpoint` for a signature
    kind: String,
    line: String,
}

enum Way {
    Syslog(Syslog),
    Webhook(Webhook),
}

/// A sink and how it does.
#[derive(Clone)]
pub(super) struct Sink {
    target: Target,
    health: Arc<Mutex<SinkHealth>>,
}

impl Sink {
    pub(super) fn new(target: Target) -> Self {
        let health = SinkHealth { name: target.name(), ..SinkHealth::default() };
        Self { target, health: Arc::new(Mutex::new(health)) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.target.name()
    }

    pub(super) fn health(&self) -> SinkHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, behind: i64, failure: Option<String>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        (health.behind, health.failure) = (behind, failure);
    }
}

/// Tells whatever there is to tell, and waits for more, for as long as the store is open.
pub(super) async fn tell(audit: Audit, sink: Sink) {
    let mut committed = store::audit::watch(&audit.inner.store).await;
    let mut way = match &sink.target {
        Target::Syslog(target) => Way::Syslog(Syslog::new(target.clone())),
        Target::Webhook { url, secret } => Way::Webhook(Webhook::new(url.clone(), secret.clone())),
    };
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        match tell_batch(&audit, &sink, &mut way).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                if committed.changed().await.is_err() {
                    return;
                }
            }
            Err(why) => {
                let name = sink.name();
                if sink.health().failure.is_none() {
                    tracing::error!(sink = name, "the audit can't be told to a sink; it is tried again: {why}");
                }
                audit.inner.metrics.audit_sink_failed(name);
                let behind = sink.health().behind;
                sink.note(behind, Some(why));
                tokio::time::sleep(backoff.fail()).await;
            }
        }
    }
}

/// Tells the next events and checkpoints; whether there were any.
async fn tell_batch(audit: &Audit, sink: &Sink, way: &mut Way) -> Result<bool, String> {
    let (store, name) = (&audit.inner.store, sink.name());
    let in_words = |error: StoreError| crate::chain(&error);
    let from = store::audit::sink_position(store, name).await.map_err(in_words)?;
    let links = store::audit::events_after(store, from.chain, from.seq, BATCH_ROWS).await.map_err(in_words)?;
    let end = links.last().map_or(from.seq, |last| last.seq);
    let mut signed = store::audit::checkpoints(store, from.chain, from.signed, BATCH_ROWS).await.map_err(in_words)?;
    signed.retain(|checkpoint| checkpoint.seq <= end);
    let to = SinkPosition { seq: end, signed: signed.last().map_or(from.signed, |last| last.seq), ..from };
    let is_new = to != from;
    if is_new {
        let id = format!("audit-{}-{}-{}-{}", to.chain, from.seq, to.seq, to.signed);
        let told = in_order(&links, &signed);
        match way {
            Way::Syslog(syslog) => syslog.send(&told).await?,
            Way::Webhook(webhook) => webhook.send(&id, &told).await?,
        }
        store::audit::put_sink_position(store, name, to).await.map_err(in_words)?;
    }
    let behind = store::audit::end(store).await.map_err(in_words)?.saturating_sub(end);
    sink.note(behind, None);
    audit.inner.metrics.audit_sink_behind(name, behind);
    Ok(is_new)
}

/// By number, a checkpoint after its event. One that was made when its event was told already comes first.
fn in_order(links: &[Link], signed: &[Checkpoint]) -> Vec<Told> {
    let events = links.iter().map(|link| {
        let told = Told { at: link.at, kind: link.kind.clone(), line: line_of_event(link) };
        ((link.seq, false), told)
    });
    let checkpoints = signed.iter().map(|checkpoint| {
        let (at, line) = (checkpoint.at, line_of_checkpoint(checkpoint));
        ((checkpoint.seq, true), Told { at, kind: "audit.checkpoint".to_owned(), line })
    });
    let mut told: Vec<_> = events.chain(checkpoints).collect();
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, told)| told).collect()
}
