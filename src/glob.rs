//! Globs over names: `*` is any text, `?` any one character, `{a,b}` either of the two, and every other character itself.
//!
//! Nothing else is known: no classes, no escapes, and no character that ends a part of a name, so that `*` also crosses `/`.
//! Case matters. A glob is translated into a regular expression, whose engine takes a time that is linear in the name and
//! counts characters, not bytes.

use regex::{Regex, RegexBuilder};

/// Most bytes of a compiled glob.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// A text is no glob: why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GlobError(String);

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Glob(Regex);

impl Glob {
    /// Compiles a text.
    ///
    /// # Errors
    /// It is empty, a brace has no other one or nothing in it, or it is too large.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let expression = translate(text)?;
        let compiled = RegexBuilder::new(&expression).dot_matches_new_line(true).size_limit(COMPILED_BYTES_MAX).build();
        compiled.map(Self).map_err(|_| GlobError("it is too large, or its braces are too deep".into()))
    }

    /// Whether it stands for that name, whole.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

fn translate(text: &str) -> Result<String, GlobError> {
    let refuse = |why: &str| Err(GlobError(why.into()));
    if text.is_empty() {
        return refuse("it is empty");
    }
    if text.contains("{}") {
        return refuse("there is nothing between its braces");
    }
    let mut expression = String::from(r"\A");
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            // A run of them is any text, too, and would only be slower.
            '*' if expression.ends_with(".*") => {}
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '{' => {
                depth += 1;
                expression.push_str("(?:");
            }
            '}' if depth == 0 => return refuse("there is a closing brace without an opening one"),
            '}' => {
                depth -= 1;
                expression.push(')');
            }
            ',' if depth > 0 => expression.push('|'),
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    if depth > 0 {
        return refuse("there is an opening brace without a closing one");
    }
    expression.push_str(r"\z");
    Ok(expression)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_match(glob: &str, name: &str) -> bool {
        Glob::parse(glob).unwrap_or_else(|error| panic!("{glob}: {error}")).is_match(name)
    }

    #[test]
    fn a_glob_means_what_the_contract_says() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*", "a\nb", true),
            ("create_*", "create_issue", true),
            ("create_*", "Create_issue", false),
            ("file://*", "file:///a/b", true),
            ("caf?", "café", true),
            ("?", "\u{1f600}", true),
            ("?", "e\u{301}", false),
            ("a?c", "ac", false),
            ("**/secret", "a-secret", false),
            ("**/secret", "a/secret", true),
            ("**secret", "a-secret", true),
            ("a/**/b", "a/b", false),
            ("a/**/b", "a/x/y/b", true),
            ("*/**", "a", false),
            ("{get,list}_*", "list_all", true),
            ("{get,list}_*", "set_all", false),
            ("{get,list}", "lists", false),
            ("{a,{b,c}}d", "cd", true),
            ("a{,b}", "a", true),
            ("a,b", "a,b", true),
            ("a,b", "a", false),
            ("[ab]", "[ab]", true),
            ("[!ab]", "c", false),
            (r"a\*", r"a\x", true),
            ("a.b|c$^(d)+", "a.b|c$^(d)+", true),
            ("a.b", "axb", false),
            ("exact", "exactly", false),
            ("exact", "exact\n", false),
        ] {
            assert_eq!(is_match(glob, name), expected, "{glob} on {name:?}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused_in_words() {
        let deep = format!("{}a{}", "{".repeat(500), "}".repeat(500));
        for (glob, words) in [
            ("", "empty"),
            ("{a", "without a closing"),
            ("a}", "without an opening"),
            ("a{}", "nothing between"),
            ("{{a}", "without a closing"),
            (deep.as_str(), "too deep"),
        ] {
            let refused = Glob::parse(glob).expect_err(glob).to_string();
            assert!(refused.contains(words), "{glob}: {refused}");
        }
    }

    /// The plainest reading of `*` and `?`.
    fn plainly(glob: &[char], name: &[char]) -> bool {
        match (glob.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', glob)), rest) => {
                plainly(glob, name) || rest.is_some_and(|(_, rest)| plainly(&[&['*'], glob].concat(), rest))
            }
            (Some(('?', glob)), Some((_, name))) => plainly(glob, name),
            (Some((one, glob)), Some((other, name))) => one == other && plainly(glob, name),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn stars_and_question_marks_are_read_plainly(glob in "[ab/é*?.]{1,6}", name in "[ab/é.\n]{0,6}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(is_match(&glob, &name), plainly(&chars(&glob), &chars(&name)));
        }
    }
}
