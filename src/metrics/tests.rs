//! What is counted, under which names.

use super::*;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.text().expect("metrics")).expect("UTF-8")
}

#[test]
fn every_metric_is_there_with_help_once_it_has_happened() {
    let metrics = Metrics::new().expect("metrics");
    for outcome in Outcome::ALL {
        metrics.call_finished("calc", "allow", outcome, Duration::from_millis(3));
    }
    metrics.overhead(Duration::from_micros(400));
    metrics.upstream_answered("calc", "tools/call", Duration::from_millis(2));
    metrics.approval_asked();
    metrics.rules_evaluated("allow");
    metrics.approval_ended(ApprovalOutcome::Approved, Duration::from_secs(4));
    metrics.server_up("calc", true);
    metrics.server_restarted("calc");
    let text = text(&metrics);
    for name in [
        "atryum_build_info",
        "atryum_tool_calls_total",
        "atryum_tool_call_duration_seconds",
        "atryum_overhead_seconds",
        "atryum_upstream_request_duration_seconds",
        "atryum_approvals_pending",
        "atryum_approvals_total",
        "atryum_approval_wait_seconds",
        "atryum_server_up",
        "atryum_server_restarts_total",
        "atryum_sessions",
        "atryum_sse_streams",
        "atryum_journal_write_failures_total",
    ] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help:\n{text}");
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} has no value");
    }
    assert!(text.contains("process_resident_memory_bytes"), "the process itself is not measured");
    assert!(text.contains("atryum_tool_calls_total{decision=\"allow\",outcome=\"tool_error\",server=\"calc\"} 1"));
}

#[test]
fn a_method_that_an_agent_made_up_is_no_label() {
    let metrics = Metrics::new().expect("metrics");
    for n in 0..100 {
        metrics.upstream_answered("calc", &format!("made/up{n}"), Duration::ZERO);
    }
    let text = text(&metrics);
    assert!(!text.contains("made/up"));
    assert!(text.contains("atryum_upstream_request_duration_seconds_count{method=\"other\",server=\"calc\"} 100"));
}

#[test]
fn counters_start_at_zero_and_a_server_that_is_gone_is_forgotten() {
    let metrics = Metrics::new().expect("metrics");
    assert!(text(&metrics).contains("atryum_approvals_total{outcome=\"expired\"} 0"));
    metrics.server_up("gone", true);
    metrics.forget_server("gone");
    metrics.forget_server("gone");
    assert!(!text(&metrics).contains("gone"));
}
