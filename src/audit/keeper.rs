//! Signs the end of the chain as it grows.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Audit;
use crate::store;
use crate::trail::SIGNED_EVERY;

/// How long an event waits for a signature at most.
const SIGNED_WITHIN: Duration = Duration::from_mins(1);
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Signs every thousand events and every minute, for as long as the store is open.
pub(super) async fn keep(audit: Audit) {
    let mut committed = store::audit::watch(&audit.inner.store).await;
    let mut signed = 0;
    let mut due = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            grown = committed.changed() => match grown {
                Ok(()) if *committed.borrow_and_update() - signed < SIGNED_EVERY => continue,
                Ok(()) => {}
                Err(_) => return,
            },
        }
        due = Instant::now() + SIGNED_WITHIN;
        match audit.checkpoint().await {
            Ok(Some(checkpoint)) => signed = checkpoint.seq,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = %crate::chain(&error), "the audit can't be signed; it is tried again");
                due = Instant::now() + RETRY_AFTER;
                // not with each event that comes meanwhile
                sleep_until(due).await;
            }
        }
    }
}
