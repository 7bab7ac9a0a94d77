//! Who began a flow, and how it is known that the callback is theirs.
//!
//! A browser that began one was given a cookie, which only that flow and that login give. A program has no browser to give
//! anything to: whoever brings the state back, 256 random bits that only its address held, is taken for whom it was given
//! to.

use std::fmt;

use crate::vault::Subkey;

/// The operator who begins a flow.
#[derive(Debug, Clone)]
pub struct Starter {
    /// What the record of their acts calls them.
    pub operator: String,
    /// What the callback is judged by.
    pub tie: Tie,
}

/// What ties a callback to whoever began its flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tie {
    /// It was begun with the fixed token.
    Token,
    /// It was begun in a terminal, with the login of that digest, which has to last.
    Login(String),
    /// It was begun in a browser, with the login of that digest, which has to last; the same browser has to come back.
    Browser(String),
}

impl Tie {
    /// As it is written down.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "token" => Some(Self::Token),
            Some(("login", digest)) => Some(Self::Login(digest.to_owned())),
            Some(("browser", digest)) => Some(Self::Browser(digest.to_owned())),
            _ => None,
        }
    }

    /// The login, if there is one.
    pub(super) fn login(&self) -> Option<&str> {
        match self {
            Self::Token => None,
            Self::Login(digest) | Self::Browser(digest) => Some(digest),
        }
    }
}

impl fmt::Display for Tie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => formatter.write_str("token"),
            Self::Login(digest) => write!(formatter, "login:{digest}"),
            Self::Browser(digest) => write!(formatter, "browser:{digest}"),
        }
    }
}

/// The cookie of a flow.
pub(super) fn cookie_name(flow_id: &str) -> String {
    format!("atryum_connect_{flow_id}")
}

/// What the cookie of a flow holds.
pub(super) fn cookie_value(key: &Subkey, flow_id: &str, login: &str) -> String {
    key.digest(&format!("{flow_id} {login}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_read_as_it_was_written() {
        for tie in [Tie::Token, Tie::Login("d".into()), Tie::Browser("d".into())] {
            assert_eq!(Tie::parse(&tie.to_string()), Some(tie));
        }
        for text in ["", "ann", "tokens", "other:d"] {
            assert_eq!(Tie::parse(text), None, "{text}");
        }
    }
}
