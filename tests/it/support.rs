//! What several tests need.

pub mod app;
pub mod connecting;
pub mod database;
pub mod guarded;
pub mod held;
pub mod http;
pub mod keyring;
pub mod logged_in;
pub mod login;
pub mod muted;
pub mod postgres;
pub mod program;
pub mod provider;
pub mod raw;
pub mod remote;
pub mod replicas;

use std::time::{Duration, Instant};

/// Asks again until there is an answer; fails after a minute.
///
/// For what has no event to wait for: processes that go away, and what only the API tells.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
