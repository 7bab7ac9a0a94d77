//! The wall clock.
//!
//! Nothing comes in; milliseconds since the Unix epoch go out. The only reader of the system time, so that a test or a
//! reader knows where time enters. Never used to measure how long something took: that is `std::time::Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the milliseconds since the Unix epoch, UTC; 0 for a clock set before it.
#[must_use]
pub fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}
