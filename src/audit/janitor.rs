//! Removes what has been kept for as long as it should be: old calls, old events, logins and links that are over.
//!
//! In small steps, as whoever writes waits for each of them.

use std::time::Duration;

use super::{Audit, Inner};
use crate::clock;
use crate::identity::Operators;
use crate::store;

/// How often it looks.
const EVERY: Duration = Duration::from_mins(10);
/// How long it leaves others alone between two steps.
const PAUSE: Duration = Duration::from_millis(100);
/// How many calls are removed in one step.
const CALLS_MAX: u64 = 500;
/// How long a login at an authorization server can be asked about after it ended.
const FLOW_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Goes round, for as long as the gateway runs.
pub(super) async fn clean(audit: Audit, operators: Operators) {
    loop {
        if let Err(error) = go_round(&audit, &operators).await {
            tracing::warn!(error = %error, "what is old could not be removed; the next round tries again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn go_round(audit: &Audit, operators: &Operators) -> Result<(), String> {
    let Inner { store, keep, metrics, signer, .. } = &*audit.inner;
    let now = clock::now_ms();
    let in_words = |error: store::StoreError| crate::chain(&error);
    let before = |days: i64| (days > 0).then(|| now - days * DAY_MS);
    if let Some(before) = before(keep.call_days) {
        loop {
            let removed = store::invocation::delete_older(store, before, CALLS_MAX).await.map_err(in_words)?;
            metrics.removed("calls", removed);
            if removed < CALLS_MAX {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    let bytes_max = (keep.event_bytes > 0).then_some(keep.event_bytes);
    while let Some(removed) =
        store::audit::remove_old(store, before(keep.event_days), bytes_max, 1, signer).await.map_err(in_words)?
    {
        metrics.removed("events", u64::try_from(removed.to - removed.from + 1).unwrap_or(0));
        tracing::info!(from = removed.from, to = removed.to, "old events of the audit were removed");
        tokio::time::sleep(PAUSE).await;
    }
    let logins = operators.forget_ended(now).await.map_err(|error| crate::chain(&error))?;
    metrics.removed("logins", logins);
    let flows = store::oauth_flow::delete_expired(store, now - FLOW_KEPT_MS).await.map_err(in_words)?;
    metrics.removed("oauth_flows", flows);
    Ok(())
}
