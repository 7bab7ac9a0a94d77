//! How severe a log message is.

/// Least severe first (RFC 5424).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLevel(usize);

const NAMES: [&str; LogLevel::COUNT] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl LogLevel {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// The one at that place, the least severe first.
    #[must_use]
    pub fn at(place: usize) -> Option<Self> {
        (place < Self::COUNT).then_some(Self(place))
    }

    /// Its place among all.
    #[must_use]
    pub fn place(self) -> usize {
        self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.0).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_stand_in_the_order_of_their_severity() {
        let level = |name| LogLevel::named(name).unwrap();
        assert!(level("debug") < level("info") && level("warning") < level("error"));
        assert_eq!(level("notice").name(), "notice");
        assert_eq!((LogLevel::named("loud"), LogLevel::at(8)), (None, None));
    }
}
