//! For how long a call may wait for a person before its agent is told to come back, by the kind of client.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// For clients that are not named, and that no `*` stands for: below the 60 s of the usual SDKs.
const OTHER: Duration = Duration::from_secs(50);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    named: Vec<(String, Duration)>,
    other: Duration,
}

impl Waits {
    /// The time for a client of that name.
    #[must_use]
    pub fn of(&self, client: Option<&str>) -> Duration {
        let named = client.and_then(|client| self.named.iter().find(|(name, _)| name == client));
        named.map_or(self.other, |(_, wait)| *wait)
    }
}

impl<'de> Deserialize<'de> for Waits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut waits = Self { named: Vec::new(), other: OTHER };
        for text in Vec::<String>::deserialize(deserializer)? {
            let (name, seconds) = split(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is no wait")))?;
            let wait = Duration::from_secs(seconds);
            if name == "*" { waits.other = wait } else { waits.named.push((name.to_owned(), wait)) }
        }
        Ok(waits)
    }
}

/// The name and the number of `NAME=NUMBER`.
pub(super) fn split(text: &str) -> Option<(&str, u64)> {
    let (name, number) = text.rsplit_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then_some(())?;
    Some((name, number.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(texts: &[&str]) -> Waits {
        serde_json::from_value(serde_json::json!(texts)).unwrap()
    }

    #[test]
    fn a_client_waits_as_long_as_its_name_says_and_others_as_the_star_says() {
        let set = waits(&["claude-code=210", "a=b=7", "*=3"]);
        let seconds = |client| set.of(client).as_secs();
        assert_eq!((seconds(Some("claude-code")), seconds(Some("a=b"))), (210, 7));
        assert_eq!((seconds(Some("Claude-Code")), seconds(None)), (3, 3));
        assert_eq!(waits(&[]).of(None), OTHER);
    }

    #[test]
    fn what_is_no_name_and_number_is_refused() {
        for text in ["claude-code", "=5", "a=", "a=-1", "a=1.5", ""] {
            assert!(split(text).is_none(), "{text}");
        }
    }
}
