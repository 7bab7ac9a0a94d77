//! The states of an invocation, and which may follow which.
//!
//! Pure: a state and a wish come in, yes or no goes out.

use std::fmt;

/// Where an invocation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// it has arrived and nothing is decided
    Received,
    /// it waits for a person
    Pending,
    /// it may be under way upstream
    Dispatched,
    /// rules or a person said no
    Denied,
    /// nobody answered in time
    Expired,
    /// it was given up before an outcome
    Cancelled,
    /// the upstream answered
    Completed,
    /// it is known that there is no result
    Failed,
    /// it may or may not have taken effect
    Unknown,
    /// the gateway could not take it on
    Refused,
}

impl State {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Received,
        Self::Pending,
        Self::Dispatched,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Completed,
        Self::Failed,
        Self::Unknown,
        Self::Refused,
    ];

    /// Returns whether an invocation in this state may go to `next`.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Received => {
                matches!(next, Self::Pending | Self::Dispatched | Self::Denied | Self::Refused | Self::Cancelled)
            }
            Self::Pending => matches!(next, Self::Dispatched | Self::Denied | Self::Expired | Self::Cancelled),
            Self::Dispatched => matches!(next, Self::Completed | Self::Failed | Self::Unknown | Self::Cancelled),
            Self::Denied
            | Self::Expired
            | Self::Cancelled
            | Self::Completed
            | Self::Failed
            | Self::Unknown
            | Self::Refused => false,
        }
    }

    /// Returns whether an invocation may be recorded in this state: what follows reception may be recorded with it.
    #[must_use]
    pub fn can_begin(self) -> bool {
        self == Self::Received || Self::Received.can_become(self)
    }

    /// Returns whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Received | Self::Pending | Self::Dispatched)
    }

    /// Returns the word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Pending => "pending",
            Self::Dispatched => "dispatched",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }

    /// Parses the word of the contract.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_state() -> impl Strategy<Value = State> {
        (0..State::ALL.len()).prop_map(|index| State::ALL[index])
    }

    #[test]
    fn every_state_is_parsed_from_its_own_word() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("Dispatched"), None);
    }

    #[test]
    fn exactly_the_agreed_moves_are_legal() {
        let legal = State::ALL
            .into_iter()
            .flat_map(|from| State::ALL.into_iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.can_become(*to))
            .map(|(from, to)| format!("{from} {to}"))
            .collect::<Vec<_>>();
        let agreed = [
            "received pending",
            "received dispatched",
            "received denied",
            "received cancelled",
            "received refused",
            "pending dispatched",
            "pending denied",
            "pending expired",
            "pending cancelled",
            "dispatched cancelled",
            "dispatched completed",
            "dispatched failed",
            "dispatched unknown",
        ];
        assert_eq!(legal, agreed);
    }

    proptest! {
        #[test]
        fn nothing_follows_a_terminal_state_and_something_follows_every_other(from in any_state()) {
            let is_dead_end = State::ALL.into_iter().all(|to| !from.can_become(to));
            prop_assert_eq!(from.is_terminal(), is_dead_end);
        }

        #[test]
        fn every_walk_ends_within_three_moves(wishes in prop::collection::vec(any_state(), 0..200)) {
            let mut state = State::Received;
            let mut moves = 0;
            for next in wishes {
                if state.can_become(next) {
                    state = next;
                    moves += 1;
                }
            }
            prop_assert!(moves <= 3);
        }

        #[test]
        fn an_upstream_outcome_is_only_reached_through_dispatched(wishes in prop::collection::vec(any_state(), 0..200)) {
            let mut walk = vec![State::Received];
            for next in wishes {
                if walk.last().is_some_and(|state| state.can_become(next)) {
                    walk.push(next);
                }
            }
            let has_outcome =
                walk.iter().any(|state| matches!(state, State::Completed | State::Failed | State::Unknown));
            prop_assert!(!has_outcome || walk.contains(&State::Dispatched));
        }
    }
}
