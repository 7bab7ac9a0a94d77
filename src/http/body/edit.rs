//! One member of a JSON Merge Patch (RFC 7396).

use serde::{Deserialize, Deserializer};

/// What becomes of a field: absent keeps it, `null` clears it, a value sets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// The patch does not name it.
    #[default]
    Keep,
    /// The patch says `null`.
    Clear,
    /// The patch says what it is to be.
    Set(T),
}

impl<T> Edit<T> {
    /// Applies the edit to a field that may be empty.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// Returns what the patch says the field is to be.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Returns what the field is to be; none when it is to stay. Cleared, it is what it is when nothing is said.
    pub fn or_default(self, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(default()),
            Self::Set(value) => Some(value),
        }
    }

    /// Applies the edit to a field that is never empty: clearing it puts back what it is when nothing is said.
    pub fn apply_or_default(self, field: &mut T, default: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default,
            Self::Set(value) => *field = value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only called when the member is there; `serde(default)` stands for its absence.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}
