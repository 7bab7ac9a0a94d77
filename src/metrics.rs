//! Every metric of the gateway: name, help, labels.
//!
//! What happened comes in through a [`Metrics`] handle, one method each; Prometheus text goes out. Labels are words of
//! ours and names that operators gave to servers; never a tool, an agent, or anything else that a caller could choose,
//! because each new value would be kept for as long as the process lives.

mod family;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::clock;
use family::Family;

/// From what a fast server needs to what a slow one may take.
const CALL_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// The gateway's own part of a call.
const OVERHEAD_BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];
/// From a person at the screen to one who comes back from lunch. Who answers within two seconds has hardly read what is
/// asked.
const WAIT_BUCKETS: [f64; 9] = [1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 600.0, 3600.0];

/// What may come of a try to tell people something.
const NOTIFIED: [&str; 4] = ["sent", "retried", "failed", "withdrawn"];

/// How a call ended, for its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered with a result.
    Ok,
    /// The tool said that it failed.
    ToolError,
    /// The server answered with an error, or not at all.
    UpstreamError,
    /// A rule or a person said no.
    Denied,
    /// Nobody answered the question in time.
    Expired,
    /// The question is still open: the agent was told to ask again.
    Pending,
    /// The agent went away.
    Cancelled,
}

impl Outcome {
    #[cfg(test)]
    const ALL: [Self; 7] =
        [Self::Ok, Self::ToolError, Self::UpstreamError, Self::Denied, Self::Expired, Self::Pending, Self::Cancelled];

    /// Returns the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::UpstreamError => "upstream_error",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a question to a person ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalOutcome {
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// No answer in time.
    Expired,
    /// The question was withdrawn.
    Cancelled,
}

impl ApprovalOutcome {
    const ALL: [Self; 4] = [Self::Approved, Self::Denied, Self::Expired, Self::Cancelled];

    /// Returns the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A handle to the metrics of this process. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    tool_calls: IntCounterVec,
    tool_call_duration: HistogramVec,
    overhead: Histogram,
    upstream_request_duration: HistogramVec,
    asked: Asked,
    server_up: IntGaugeVec,
    server_restarts: IntCounterVec,
    sessions: IntGauge,
    sse_streams: IntGauge,
    journal_write_failures: IntCounter,
    record: Record,
}

/// What is counted about rules and the people who are asked.
struct Asked {
    rule_evaluations: IntCounterVec,
    pending: IntGauge,
    oldest_pending: Gauge,
    /// when the oldest question was asked, ms; 0 when there is none
    oldest_asked_at: AtomicI64,
    ended: IntCounterVec,
    wait: HistogramVec,
}

impl Asked {
    fn register(of: &Family<'_>) -> Result<Self, prometheus::Error> {
        let asked = Self {
            rule_evaluations: of.counters(
                "atryum_rule_evaluations_total",
                "Decisions of the rules about requests of agents, by what was decided.",
                &["action"],
            )?,
            pending: of.gauge("atryum_approvals_pending", "Questions that wait for a person.")?,
            oldest_pending: of.seconds(
                "atryum_approval_oldest_pending_seconds",
                "How long the oldest question has waited for a person; 0 when none does.",
            )?,
            oldest_asked_at: AtomicI64::default(),
            ended: of.counters("atryum_approvals_total", "Questions to a person that ended, by how.", &["outcome"])?,
            wait: of.histograms(
                "atryum_approval_wait_seconds",
                "Time from a question to a person to its end.",
                &["outcome"],
                &WAIT_BUCKETS,
            )?,
        };
        for outcome in ApprovalOutcome::ALL {
            asked.ended.with_label_values(&[outcome.as_str()]);
            asked.wait.with_label_values(&[outcome.as_str()]);
        }
        for action in ["allow", "deny", "ask"] {
            asked.rule_evaluations.with_label_values(&[action]);
        }
        Ok(asked)
    }
}

/// What is counted about the record: the audit, and what is removed.
struct Record {
    audit_write_failures: IntCounter,
    audit_sign_failures: IntCounter,
    audit_sink_failures: IntCounterVec,
    audit_sink_behind: IntGaugeVec,
    audit_sink_missed: IntCounterVec,
    removed: IntCounterVec,
    notifications: IntCounterVec,
}

impl Record {
    fn register(of: &Family<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            audit_write_failures: of.counter(
                "atryum_audit_write_failures_total",
                "Commits that failed, of edits, calls and logins together with what the audit tells of them.",
            )?,
            audit_sign_failures: of
                .counter("atryum_audit_sign_failures_total", "Attempts to sign the end of the audit that failed.")?,
            audit_sink_failures: of.counters(
                "atryum_audit_sink_failures_total",
                "Attempts to tell the audit elsewhere that failed.",
                &["sink"],
            )?,
            audit_sink_missed: of.counters(
                "atryum_audit_sink_missed_total",
                "Events of the audit that were removed before they were told elsewhere.",
                &["sink"],
            )?,
            audit_sink_behind: of.gauges(
                "atryum_audit_sink_behind",
                "Events of the audit that were not told elsewhere yet.",
                &["sink"],
            )?,
            removed: of.counters(
                "atryum_removed_total",
                "What was removed because it was old or over, by what it was.",
                &["what"],
            )?,
            notifications: of.counters(
                "atryum_notifications_total",
                "Tries to tell people that an approval waits, by what came of them.",
                &["channel", "result"],
            )?,
        })
    }
}

impl Metrics {
    /// Registers every metric, each with a zero where its labels are known.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        build_info(&registry)?;
        process(&registry)?;
        let of = Family { registry: &registry };
        let inner = Inner {
            tool_calls: of.counters(
                "atryum_tool_calls_total",
                "Tool calls that ended, by what was decided and what came of it.",
                &["server", "decision", "outcome"],
            )?,
            tool_call_duration: of.histograms(
                "atryum_tool_call_duration_seconds",
                "Time from a tool call to its answer, a person's time left out.",
                &["server", "outcome"],
                &CALL_BUCKETS,
            )?,
            overhead: of.histogram(
                "atryum_overhead_seconds",
                "The gateway's own part of a call: neither the server's time nor a person's.",
                &OVERHEAD_BUCKETS,
            )?,
            upstream_request_duration: of.histograms(
                "atryum_upstream_request_duration_seconds",
                "Time from a request to a server to its answer.",
                &["server", "method"],
                &CALL_BUCKETS,
            )?,
            asked: Asked::register(&of)?,
            server_up: of.gauges(
                "atryum_server_up",
                "Whether the last connection to an enabled server opened and holds.",
                &["server"],
            )?,
            server_restarts: of.counters(
                "atryum_server_restarts_total",
                "Connections to a server that ended and nobody had asked to.",
                &["server"],
            )?,
            sessions: of.gauge("atryum_sessions", "Open MCP sessions of agents.")?,
            sse_streams: of.gauge("atryum_sse_streams", "Open event streams to agents.")?,
            journal_write_failures: of.counter(
                "atryum_journal_write_failures_total",
                "Records of calls that could not be written; the calls were refused.",
            )?,
            record: Record::register(&of)?,
            registry,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A tool call ended. `decision` is `allow`, `deny` or `ask`; `duration` leaves a person's time out.
    pub fn call_finished(&self, server: &str, decision: &'static str, outcome: Outcome, duration: Duration) {
        let outcome = outcome.as_str();
        self.inner.tool_calls.with_label_values(&[server, decision, outcome]).inc();
        self.inner.tool_call_duration.with_label_values(&[server, outcome]).observe(duration.as_secs_f64());
    }

    /// A call cost the gateway this much itself.
    pub fn overhead(&self, duration: Duration) {
        self.inner.overhead.observe(duration.as_secs_f64());
    }

    /// A server answered a request. A method that is not among MCP's own is counted as `other`.
    pub fn upstream_answered(&self, server: &str, method: &str, duration: Duration) {
        let labels = [server, bounded_method(method)];
        self.inner.upstream_request_duration.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// The rules decided about a request: `allow`, `deny` or `ask`.
    pub fn rules_evaluated(&self, action: &'static str) {
        self.inner.asked.rule_evaluations.with_label_values(&[action]).inc();
    }

    /// So many questions are open by now, and the oldest was asked then (ms).
    pub fn approvals_found(&self, pending: u64, oldest_asked_at: Option<i64>) {
        self.inner.asked.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.inner.asked.oldest_asked_at.store(oldest_asked_at.unwrap_or(0), Ordering::Relaxed);
    }

    /// A question waits for a person.
    pub fn approval_asked(&self) {
        self.inner.asked.pending.inc();
    }

    /// A question no longer waits for a person.
    pub fn approval_ended(&self, outcome: ApprovalOutcome, waited: Duration) {
        self.inner.asked.pending.dec();
        self.inner.asked.ended.with_label_values(&[outcome.as_str()]).inc();
        self.inner.asked.wait.with_label_values(&[outcome.as_str()]).observe(waited.as_secs_f64());
    }

    /// Notes whether a server can be called.
    pub fn server_up(&self, server: &str, is_up: bool) {
        self.inner.server_up.with_label_values(&[server]).set(i64::from(is_up));
    }

    /// A connection to a server ended and nobody had asked to.
    pub fn server_restarted(&self, server: &str) {
        self.inner.server_restarts.with_label_values(&[server]).inc();
    }

    /// Forgets a server that is gone.
    pub fn forget_server(&self, server: &str) {
        // An error says that there was nothing to forget.
        let _absent = self.inner.server_up.remove_label_values(&[server]);
        let _absent = self.inner.server_restarts.remove_label_values(&[server]);
    }

    /// An agent opened a session.
    pub fn session_opened(&self) {
        self.inner.sessions.inc();
    }

    /// A session of an agent ended.
    pub fn session_closed(&self) {
        self.inner.sessions.dec();
    }

    /// An event stream to an agent opened.
    pub fn stream_opened(&self) {
        self.inner.sse_streams.inc();
    }

    /// An event stream to an agent ended.
    pub fn stream_closed(&self) {
        self.inner.sse_streams.dec();
    }

    /// A record of a call could not be written.
    pub fn journal_write_failed(&self) {
        self.inner.journal_write_failures.inc();
    }

    /// So many commits with events of the audit have failed by now.
    pub fn audit_writes_failed(&self, count: u64) {
        let counted = &self.inner.record.audit_write_failures;
        counted.inc_by(count.saturating_sub(counted.get()));
    }

    /// The end of the audit could not be signed.
    pub fn audit_sign_failed(&self) {
        self.inner.record.audit_sign_failures.inc();
    }

    /// The audit could not be told to a sink.
    pub fn audit_sink_failed(&self, sink: &'static str) {
        self.inner.record.audit_sink_failures.with_label_values(&[sink]).inc();
    }

    /// Events were removed before a sink was told.
    pub fn audit_sink_missed(&self, sink: &'static str, events: u64) {
        self.inner.record.audit_sink_missed.with_label_values(&[sink]).inc_by(events);
    }

    /// A sink was not told this many events yet.
    pub fn audit_sink_behind(&self, sink: &'static str, events: i64) {
        self.inner.record.audit_sink_behind.with_label_values(&[sink]).set(events);
    }

    /// Something was removed because it was old or over.
    pub fn removed(&self, what: &'static str, count: u64) {
        self.inner.record.removed.with_label_values(&[what]).inc_by(count);
    }

    /// It was tried to tell something by a channel.
    pub fn notified(&self, channel: &str, result: &'static str) {
        self.inner.record.notifications.with_label_values(&[channel, result]).inc();
    }

    /// Forgets a channel that is gone.
    pub fn forget_channel(&self, channel: &str) {
        for result in NOTIFIED {
            // An error says that there was nothing to forget.
            let _absent = self.inner.record.notifications.remove_label_values(&[channel, result]);
        }
    }

    /// Returns all metrics in the Prometheus text format.
    ///
    /// # Errors
    /// A metric can't be written.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let asked_at = self.inner.asked.oldest_asked_at.load(Ordering::Relaxed);
        let waited_ms = if asked_at == 0 { 0 } else { clock::now_ms().saturating_sub(asked_at) };
        let waited = Duration::from_millis(u64::try_from(waited_ms).unwrap_or(0));
        self.inner.asked.oldest_pending.set(waited.as_secs_f64());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let revision = option_env!("ATRYUM_BUILD_REVISION").unwrap_or("unknown");
    let info = IntGauge::with_opts(
        Opts::new("atryum_build_info", "Always 1; its labels say what runs.")
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("revision", revision),
    )?;
    info.set(1);
    registry.register(Box::new(info))
}

#[cfg(target_os = "linux")]
fn process(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
}

#[cfg(not(target_os = "linux"))]
fn process(_: &Registry) -> Result<(), prometheus::Error> {
    Ok(())
}

/// Names MCP's own methods; an agent can make up any number of others.
fn bounded_method(method: &str) -> &'static str {
    const KNOWN: [&str; 20] = [
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "completion/complete",
        "logging/setLevel",
        "tasks/list",
        "tasks/get",
        "tasks/update",
        "tasks/result",
        "tasks/cancel",
    ];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests;
