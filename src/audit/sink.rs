//! Tells the audit elsewhere: each event and each checkpoint, in their order, at least once.
//!
//! How far a sink has come is a row, so that nothing is left out by a restart or while the other side is away. Nobody
//! waits for a sink: events are read back from the database.

mod syslog;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::Audit;
use super::line::{line_of_checkpoint, line_of_event};
use crate::backoff::Backoff;
use crate::config::SyslogTarget;
use crate::store::audit::SinkPosition;
use crate::store::{self, StoreError};
use crate::trail::{Checkpoint, Link, digest};
use crate::vault::SecretText;
use syslog::Syslog;
use webhook::Webhook;

/// How long a line may be that is told in a datagram; of a longer one that part is told by its digest which is long.
const LINE_BYTES_SHORT: usize = 32 * 1024;
/// How long a text may be in a line that is too long.
const TEXT_BYTES_SHORT: usize = 1024;
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
    /// how many events were removed before it was told, since this process began
    pub missed: i64,
    /// why the last attempt failed
    pub failure: Option<String>,
}

/// What is told: one line.
struct Told {
    at: i64,
    /// what happened; `audit.checkpoint` for a signature
    kind: String,
    line: String,
    /// with the digest of what is long in its place, for ways that take no long lines
    short: Option<String>,
}

/// Why nothing was told.
struct Untold {
    why: String,
    /// what was said is not taken, and will not be when it is said again
    is_refused: bool,
}

impl From<String> for Untold {
    fn from(why: String) -> Self {
        Self { why, is_refused: false }
    }
}

impl From<StoreError> for Untold {
    fn from(error: StoreError) -> Self {
        crate::chain(&error).into()
    }
}

/// What is tried to be told at once.
struct Attempt {
    /// how many events at most
    rows_max: u64,
    /// how far the last attempt would have gone that failed: the next one goes as far, so that it is known for the same
    to: Option<SinkPosition>,
}

impl Attempt {
    fn new() -> Self {
        Self { rows_max: BATCH_ROWS, to: None }
    }

    /// Tells what is next as it was told before; half of it, when it was refused.
    fn fail(&mut self, is_refused: bool, rows: usize) {
        if is_refused && rows > 1 {
            *self = Self { rows_max: (rows as u64) / 2, to: None };
        }
    }
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

    fn missed(&self, events: i64) {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).missed += events;
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
    let mut attempt = Attempt::new();
    loop {
        match tell_batch(&audit, &sink, &mut way, &mut attempt).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                if committed.changed().await.is_err() {
                    return;
                }
            }
            Err(Untold { why, .. }) => {
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
async fn tell_batch(audit: &Audit, sink: &Sink, way: &mut Way, attempt: &mut Attempt) -> Result<bool, Untold> {
    let (store, name) = (&audit.inner.store, sink.name());
    let from = store::audit::sink_position(store, name).await?;
    let mut links = store::audit::events_after(store, from.chain, from.seq, attempt.rows_max).await?;
    let mut signed = store::audit::checkpoints(store, from.chain, from.signed, BATCH_ROWS).await?;
    let failed = attempt.to.take_if(|to| to.chain == from.chain);
    if let Some(to) = failed {
        links.retain(|link| link.seq <= to.seq);
        signed.retain(|checkpoint| checkpoint.seq <= to.signed);
    }
    let end = links.last().map_or(from.seq, |last| last.seq);
    signed.retain(|checkpoint| checkpoint.seq <= end);
    let to = SinkPosition { seq: end, signed: signed.last().map_or(from.signed, |last| last.seq), ..from };
    let is_new = to != from;
    if is_new {
        let id = format!("audit-{}-{}-{}-{}", to.chain, from.seq, to.seq, to.signed);
        let told = in_order(&links, &signed);
        let sent = match way {
            Way::Syslog(syslog) => syslog.send(&told).await.map_err(Untold::from),
            Way::Webhook(webhook) => webhook.send(&id, &told).await,
        };
        if let Err(untold) = sent {
            attempt.to = Some(to);
            attempt.fail(untold.is_refused, links.len());
            let first = links.first().map_or(from.seq, |first| first.seq);
            return Err(Untold { why: format!("{} (events {first} to {end})", untold.why), ..untold });
        }
        note_missed(audit, sink, from.seq, &links);
        store::audit::put_sink_position(store, name, to).await?;
        attempt.rows_max = attempt.rows_max.saturating_mul(2).min(BATCH_ROWS);
    }
    let behind = store::audit::end(store).await?.saturating_sub(end);
    sink.note(behind, None);
    audit.inner.metrics.audit_sink_behind(name, behind);
    // all that was to be told again may have been removed: then there may be more
    Ok(is_new || failed.is_some())
}

/// What was removed before it could be told is lost to this sink, and nobody else would say so.
fn note_missed(audit: &Audit, sink: &Sink, told: i64, links: &[Link]) {
    let missed = links.first().map_or(0, |first| first.seq.saturating_sub(told).saturating_sub(1));
    if missed > 0 {
        let name = sink.name();
        tracing::error!(sink = name, events = missed, after = told, "old events were removed before a sink was told");
        audit.inner.metrics.audit_sink_missed(name, u64::try_from(missed).unwrap_or(0));
        sink.missed(missed);
    }
}

/// By number, a checkpoint after its event. One that was made when its event was told already comes first.
fn in_order(links: &[Link], signed: &[Checkpoint]) -> Vec<Told> {
    let events = links.iter().map(|link| {
        let line = line_of_event(link);
        let short = (line.len() > LINE_BYTES_SHORT).then(|| line_of_event(&shortened(link)));
        let told = Told { at: link.at, kind: link.kind.clone(), line, short };
        ((link.seq, false), told)
    });
    let checkpoints = signed.iter().map(|checkpoint| {
        let (at, line) = (checkpoint.at, line_of_checkpoint(checkpoint));
        ((checkpoint.seq, true), Told { at, kind: "audit.checkpoint".to_owned(), line, short: None })
    });
    let mut told: Vec<_> = events.chain(checkpoints).collect();
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, told)| told).collect()
}

/// The event with the digest of what is long in its place. Its own hash stays, so it is seen that this is not all of it.
fn shortened(link: &Link) -> Link {
    let short = |text: &str| if text.len() > TEXT_BYTES_SHORT { digest(text) } else { text.to_owned() };
    Link {
        kind: short(&link.kind),
        actor: short(&link.actor),
        subject: short(&link.subject),
        data: json!({ "cut": digest(&link.data) }).to_string(),
        ..link.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::{Event, Head};

    #[test]
    fn of_a_long_event_the_digest_of_what_it_tells_is_told_and_all_else() {
        let mut head = Head::of_empty(1);
        let long = Event::new("server.updated", "server:calc", &json!({ "args": "x".repeat(LINE_BYTES_SHORT) }));
        let links = [head.append(long, "operator:ann", 5), head.append(Event::new("a", "b", &json!({})), "c", 6)];
        let told = in_order(&links, &[]);
        let short = told[0].short.as_deref().unwrap();
        let Ok(crate::audit::Line::Event(read)) = crate::audit::Line::parse(short) else { panic!("{short}") };
        let data = json!({ "cut": digest(&links[0].data) }).to_string();
        assert_eq!(read, Link { data, ..links[0].clone() });
        assert_eq!(told[1].short, None);
    }

    #[test]
    fn what_is_refused_is_told_in_halves_and_what_failed_is_told_again_as_it_was() {
        let to = Some(SinkPosition { chain: 1, seq: 9, signed: 0 });
        let mut attempt = Attempt { to, ..Attempt::new() };
        attempt.fail(false, 9);
        assert_eq!((attempt.rows_max, attempt.to), (BATCH_ROWS, to));
        attempt.fail(true, 9);
        assert_eq!((attempt.rows_max, attempt.to), (4, None));
        attempt.fail(true, 1);
        assert_eq!(attempt.rows_max, 4, "one alone is as little as there is");
    }
}
