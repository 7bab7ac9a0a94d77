//! What a server says with a 401 or a 403 of the login that it wants.
//!
//! It is for the gateway and for operators. An agent is never told: it would begin a login of its own, at a server that
//! is not its own.

use crate::egress::Answer;
use crate::oauth::Challenge;

/// Most of it that is read; a server that wants more said may say it in its metadata.
const BYTES_MAX: usize = 8 * 1024;
/// Most of the server's words that are kept.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// A bearer token, as OAuth gives one out.
    Bearer(Challenge),
    /// A login of another kind, such as a password.
    Other,
    /// It does not say.
    Unsaid,
}

impl Demand {
    /// Of that answer. `mask` takes out what the server repeats of the credential.
    pub(super) fn of(answer: &Answer, mask: impl Fn(String) -> String) -> Self {
        let mut room = BYTES_MAX;
        let mut lines = answer.headers("www-authenticate");
        lines.retain(|line| {
            let has_room = line.len() <= room;
            room = room.saturating_sub(line.len());
            has_room
        });
        let lines: Vec<String> = lines.into_iter().map(mask).collect();
        Self::parse(&lines)
    }

    fn parse(lines: &[String]) -> Self {
        match Challenge::parse(lines.iter().map(String::as_str)) {
            Some(mut challenge) => {
                challenge.error_description = challenge.error_description.map(|text| plain(&text));
                Self::Bearer(challenge)
            }
            None if lines.is_empty() => Self::Unsaid,
            None => Self::Other,
        }
    }

    /// The challenge, if it is one that a token can answer.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        match self {
            Self::Bearer(challenge) => Some(challenge),
            Self::Other | Self::Unsaid => None,
        }
    }

    /// Whether the login holds, but not for this: the server wants scopes that were not given.
    #[must_use]
    pub fn wants_scopes(&self) -> bool {
        self.challenge().is_some_and(|challenge| challenge.error.as_deref() == Some("insufficient_scope"))
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(DESCRIPTION_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Demand {
        Demand::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_login_of_another_kind_is_told_from_one_that_is_not_named() {
        assert_eq!(parse(&[]), Demand::Unsaid);
        assert_eq!(parse(&["Basic realm=\"x\""]), Demand::Other);
        assert_eq!(parse(&["Basic realm=\"x\"", "Bearer"]), Demand::Bearer(Challenge::default()));
    }

    #[test]
    fn only_the_word_for_it_asks_for_scopes() {
        assert!(parse(&["Bearer error=\"insufficient_scope\", scope=\"a\""]).wants_scopes());
        assert!(!parse(&["Bearer error=\"invalid_token\", scope=\"a\""]).wants_scopes());
        assert!(!parse(&["Basic error=\"insufficient_scope\""]).wants_scopes());
    }

    #[test]
    fn the_servers_words_are_bounded() {
        let line = format!("Bearer error_description=\"{}\"", "é\u{7}".repeat(1000));
        let kept = parse(&[&line]).challenge().and_then(|challenge| challenge.error_description.clone());
        assert_eq!(kept.map(|text| text.chars().count()), Some(DESCRIPTION_CHARS_MAX));
    }
}
