//! Lists of globs over names.

use crate::glob::Glob;

/// Why a list of globs was refused.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Nobody is meant by an empty list; any is `["*"]`.
    #[error("the list is empty; write [\"*\"] for any")]
    Empty,
    /// The text is no glob.
    #[error("{glob:?} is not a glob: {reason}")]
    Malformed {
        /// The text.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A list of globs, compiled. Matches when one of them does.
#[derive(Debug, Clone)]
pub struct Patterns(Vec<Pattern>);

/// Most rules name things outright: those are compared as text, which is far cheaper than a glob.
#[derive(Debug, Clone)]
enum Pattern {
    Any,
    Literal(String),
    /// A text and then anything: the most usual glob, and cheap to compare.
    Prefix(String),
    Glob(String, Glob),
}

impl Patterns {
    /// Compiles a list.
    ///
    /// # Errors
    /// The list is empty, or one entry is no glob.
    pub fn parse(globs: &[String]) -> Result<Self, PatternError> {
        if globs.is_empty() {
            return Err(PatternError::Empty);
        }
        let patterns = globs.iter().map(|glob| parse_any(glob)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(patterns.into_iter().flatten().collect()))
    }

    /// Whether one of the globs matches `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Literal(literal) => literal == name,
            Pattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Pattern::Glob(_, glob) => glob.is_match(name),
        })
    }

    /// Whether the list is `["*"]`: only that matches what has no name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|pattern| matches!(pattern, Pattern::Any))
    }

    /// The names, when the list holds nothing but names.
    pub(super) fn literals(&self) -> Option<Vec<&str>> {
        let literal = |pattern: &'_ Pattern| matches!(pattern, Pattern::Literal(_));
        self.0.iter().all(literal).then(|| self.0.iter().map(Pattern::fixed).collect())
    }

    /// Whether it is known that each name which `other` matches is matched here, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.covers(theirs)))
    }
}

impl Pattern {
    /// The text that each name which it matches begins with.
    fn fixed(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Literal(text) | Self::Prefix(text) => text,
            Self::Glob(glob, _) => glob.split(['*', '?', '{']).next().unwrap_or_default(),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Prefix(ours), Self::Literal(_) | Self::Prefix(_) | Self::Glob(..)) => {
                other.fixed().starts_with(ours)
            }
            (Self::Glob(_, ours), Self::Literal(theirs)) => ours.is_match(theirs),
            (Self::Literal(ours), Self::Literal(theirs)) | (Self::Glob(ours, _), Self::Glob(theirs, _)) => {
                ours == theirs
            }
            _ => false,
        }
    }
}

/// One plain choice is as many globs without one, each of which is far cheaper to compare.
fn parse_any(glob: &str) -> Result<Vec<Pattern>, PatternError> {
    if let Some((before, (choices, after))) =
        glob.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        && ![before, choices, after].iter().any(|part| part.contains(['{', '}']))
        && choices.split(',').all(|choice| !choice.is_empty())
    {
        return choices.split(',').map(|choice| parse_one(&format!("{before}{choice}{after}"))).collect();
    }
    parse_one(glob).map(|pattern| vec![pattern])
}

fn parse_one(glob: &str) -> Result<Pattern, PatternError> {
    if glob == "*" {
        return Ok(Pattern::Any);
    }
    if glob.is_empty() {
        return Err(PatternError::Malformed { glob: String::new(), reason: "it is empty".into() });
    }
    if !glob.contains(['*', '?', '{', '}']) {
        return Ok(Pattern::Literal(glob.to_owned()));
    }
    if let Some(prefix) = glob.strip_suffix('*')
        && !prefix.contains(['*', '?', '{', '}'])
    {
        return Ok(Pattern::Prefix(prefix.to_owned()));
    }
    match Glob::parse(glob) {
        Ok(compiled) => Ok(Pattern::Glob(glob.to_owned(), compiled)),
        Err(error) => Err(PatternError::Malformed { glob: glob.to_owned(), reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(globs: &[&str]) -> Patterns {
        Patterns::parse(&globs.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("globs")
    }

    #[test]
    fn globs_match_as_the_contract_says() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("create_*", "create_issue", true),
            ("create_*", "Create_issue", false),
            ("file://*", "file:///a/b", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("{get,list}_*", "list_all", true),
            ("{get,list}_*", "set_all", false),
            ("{get,list}", "list", true),
            ("{get,list}", "lists", false),
            ("a{b,c}?{d,e}*", "abxe", true),
            ("a{b,c}?{d,e}*", "adxe", false),
            ("{a,{b,c}}d", "cd", true),
            ("a[b]*", "a[b]c", true),
            ("a[b]*", "abc", false),
            (r"a\*", r"a\x", true),
            ("exact", "exactly", false),
            ("caf?", "café", true),
            ("**/secret", "a-secret", false),
            ("**secret", "a-secret", true),
        ] {
            assert_eq!(patterns(&[glob]).matches(name), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn what_is_covered_is_matched() {
        for (ours, theirs, expected) in [
            ("*", "a?", true),
            ("git*", "github", true),
            ("git*", "gith*", true),
            ("git*", "git?ub{a,b}", true),
            ("git*", "gi*", false),
            ("github", "git*", false),
            ("g?t", "got", true),
            ("g?t", "g?t", true),
            ("g?t", "g*", false),
        ] {
            assert_eq!(patterns(&[ours]).covers(&patterns(&[theirs])), expected, "{ours} over {theirs}");
        }
        assert!(patterns(&["a", "b*"]).covers(&patterns(&["bc", "a"])));
        assert!(!patterns(&["a", "b*"]).covers(&patterns(&["bc", "d"])));
    }

    #[test]
    fn an_empty_list_and_a_malformed_glob_are_refused() {
        assert!(matches!(Patterns::parse(&[]), Err(PatternError::Empty)));
        assert!(Patterns::parse(&["{a".into()]).is_err());
        assert!(Patterns::parse(&[String::new()]).is_err());
    }
}
