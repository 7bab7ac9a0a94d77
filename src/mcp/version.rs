//! Protocol revisions and the two eras.
//!
//! The *legacy* era opens with a handshake (`initialize`) and keeps a session; 2026-07-28, the *modern* era, has neither:
//! each request carries what the other side must know.

/// The newest revision that opens with a handshake: what an unknown request for one is answered with.
pub const LATEST_HANDSHAKE: &str = "2025-11-25";
/// The modern revision.
pub const MODERN: &str = "2026-07-28";
/// The one revision whose messages may come in batches.
pub const BATCHED: &str = "2025-03-26";

const HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LATEST_HANDSHAKE];

/// The revisions that are spoken towards agents, oldest first.
pub const SPOKEN: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", LATEST_HANDSHAKE, MODERN];

/// Which of the two protocols a side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// Whether `version` is one that a handshake may agree on.
#[must_use]
pub fn is_handshake(version: &str) -> bool {
    HANDSHAKE.contains(&version)
}

/// What a handshake that asks for `version` goes on with: that one if it is spoken, else the newest.
#[must_use]
pub fn negotiate(version: &str) -> &str {
    if is_handshake(version) { version } else { LATEST_HANDSHAKE }
}

/// Whether event streams of this revision are primed with an id and may be resumed after an early close (SEP-1699).
#[must_use]
pub fn has_polling(version: &str) -> bool {
    version == LATEST_HANDSHAKE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_never_agrees_on_the_modern_revision() {
        assert_eq!(negotiate("2026-07-28"), "2025-11-25");
        assert_eq!(negotiate("1999-01-01"), "2025-11-25");
        assert_eq!(negotiate("2025-03-26"), "2025-03-26");
    }
}
