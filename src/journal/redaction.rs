//! What is not written down: parts of arguments, results and errors, by rules that an operator wrote.
//!
//! The text of a part comes in; the same text goes out with each value that a rule names replaced by a keyed hash, so that
//! two values can be compared, and found by whoever knows one and has the key, but not read. Everything else stays to the
//! letter. What a rule is for and can't be read is replaced as a whole.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::glob::Glob;

/// How deep values are looked for; JSON from agents and servers is no deeper.
const DEPTH_MAX: usize = 128;

/// What stands for a value that is not shown.
const MASK: &str = "\"…\"";

/// Makes a keyed hash of a text.
pub type Digest = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// The part of a call that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// what the agent sent
    Arguments,
    /// what the server answered
    Result,
    /// the server's error
    Error,
}

/// All rules. Cloning gives another handle to the same.
#[derive(Clone, Default)]
pub struct Redaction {
    rules: Arc<[Rule]>,
    digest: Option<Digest>,
}

struct Rule {
    server: Glob,
    tool: Glob,
    part: Part,
    pointer: Vec<Step>,
}

/// A segment of a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// the member, or the item, of that name
    Named(String),
    /// every member and item
    Any,
    /// this value and all below it
    Deep,
}

/// A rule can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{rule:?} can't be used: {why}; \"SERVER TOOL arguments|result|error POINTER\" is expected")]
pub struct RedactionError {
    rule: String,
    why: String,
}

impl Redaction {
    /// Reads rules: globs over the server's and the tool's name, the part, and a JSON pointer (RFC 6901), in which `*` is any
    /// member or item and `**` any number of levels.
    ///
    /// # Errors
    /// Which rule can't be read, and why.
    pub fn parse(rules: &[String], digest: Digest) -> Result<Self, RedactionError> {
        let rules =
            rules.iter().map(|rule| Rule::parse(rule).map_err(|why| RedactionError { rule: rule.clone(), why }));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, digest: Some(digest) })
    }

    /// Replaces what must not be written down; none when nothing is.
    #[must_use]
    pub fn apply(&self, server: &str, tool: Option<&str>, part: Part, text: &str) -> Option<String> {
        let digest = self.digest.as_ref()?;
        let mut spans = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.is_about(server, tool, part)) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
                find(text, raw, &rule.pointer, DEPTH_MAX, &mut spans);
            } else {
                spans.push((0, text.len()));
            }
        }
        let hashed = |value: &str| format!("\"redacted:hmac-sha256:{}\"", digest(value));
        if spans.is_empty() { None } else { Some(replaced(text, spans, hashed)) }
    }

    /// Whether a rule names any part of the calls of that tool.
    #[must_use]
    pub fn is_for(&self, server: &str, tool: Option<&str>) -> bool {
        let parts = [Part::Arguments, Part::Result, Part::Error];
        self.rules.iter().any(|rule| parts.into_iter().any(|part| rule.is_about(server, tool, part)))
    }

    /// Replaces the whole of what a tool is called with beside its arguments, where a rule is about the arguments: no rule can
    /// point into it, and answers to questions stand there, which may say the same. None where there is no such rule.
    #[must_use]
    pub fn apply_beside_arguments(&self, server: &str, tool: Option<&str>, text: &str) -> Option<String> {
        let digest = self.digest.as_ref()?;
        let is_named = self.rules.iter().any(|rule| rule.is_about(server, tool, Part::Arguments));
        is_named.then(|| format!("\"redacted:hmac-sha256:{}\"", digest(text)))
    }

    /// What stands for a text of which a part is not written down: a digest without a key could be guessed.
    #[must_use]
    pub fn digest_of(&self, text: &str) -> Option<String> {
        self.digest.as_ref().map(|digest| format!("hmac-sha256:{}", digest(text)))
    }
}

/// Replaces the values of members whose names are secrets' by dots; numbers, which secrets rarely are, stay. What can't
/// be read is replaced as a whole.
#[must_use]
pub fn masked(text: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return MASK.to_owned() };
    let mut spans = Vec::new();
    find_named(text, raw, &is_secret, DEPTH_MAX, &mut spans);
    replaced(text, spans, |_| MASK.to_owned())
}

fn find_named(
    whole: &str,
    raw: &RawValue,
    is_secret: &impl Fn(&str) -> bool,
    depth_left: usize,
    spans: &mut Vec<(usize, usize)>,
) {
    let Some(depth_left) = depth_left.checked_sub(1) else { return find(whole, raw, &[], 0, spans) };
    let is_object = raw.get().starts_with('{');
    for (name, child) in children(raw.get()) {
        let may_be_text = child.get().starts_with(['"', '{', '[']);
        if is_object && may_be_text && is_secret(&name) {
            find(whole, child, &[], 0, spans);
        } else {
            find_named(whole, child, is_secret, depth_left, spans);
        }
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Redaction({} rules)", self.rules.len())
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [server, tool, part, pointer] = words.as_slice() else {
            return Err("four words are expected".to_owned());
        };
        let glob = |pattern: &str| Glob::parse(pattern).map_err(|error| error.to_string());
        let part = match *part {
            "arguments" => Part::Arguments,
            "result" => Part::Result,
            "error" => Part::Error,
            other => return Err(format!("{other:?} is no part of a call")),
        };
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err("a pointer begins with /".to_owned());
        }
        let pointer = pointer.split('/').skip(1).map(|step| match step {
            "*" => Step::Any,
            "**" => Step::Deep,
            name => Step::Named(name.replace("~1", "/").replace("~0", "~")),
        });
        // "/" alone is everything
        let pointer = pointer.filter(|step| *step != Step::Named(String::new())).collect();
        Ok(Self { server: glob(server)?, tool: glob(tool)?, part, pointer })
    }

    fn is_about(&self, server: &str, tool: Option<&str>, part: Part) -> bool {
        self.part == part && self.server.is_match(server) && self.tool.is_match(tool.unwrap_or_default())
    }
}

/// Finds where the values stand that the pointer leads to.
fn find(whole: &str, raw: &RawValue, pointer: &[Step], depth_left: usize, spans: &mut Vec<(usize, usize)>) {
    let text = raw.get();
    let Some((step, rest)) = pointer.split_first() else {
        let start = (text.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        return spans.push((start, start + text.len()));
    };
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    if *step == Step::Deep {
        find(whole, raw, rest, depth_left, spans);
    }
    for (name, child) in children(text) {
        match step {
            Step::Named(wanted) if *wanted == name => find(whole, child, rest, depth_left, spans),
            Step::Named(_) => {}
            Step::Any => find(whole, child, rest, depth_left, spans),
            Step::Deep => find(whole, child, pointer, depth_left, spans),
        }
    }
}

/// The members of an object by their names, the items of an array by their numbers.
fn children(text: &str) -> Vec<(Cow<'_, str>, &RawValue)> {
    match text.bytes().next() {
        Some(b'{') => serde_json::from_str::<Members<'_>>(text).map(|members| members.0).unwrap_or_default(),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            items.into_iter().enumerate().map(|(at, item)| (Cow::Owned(at.to_string()), item)).collect()
        }
        _ => Vec::new(),
    }
}

/// The members of an object in their order, read no further.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Puts something in the place of each value. Of values within each other the outer one is replaced.
fn replaced(text: &str, mut spans: Vec<(usize, usize)>, with: impl Fn(&str) -> String) -> String {
    spans.sort_unstable_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in spans {
        if start < at {
            continue;
        }
        let value = text.get(start..end).unwrap_or_default();
        out.push_str(text.get(at..start).unwrap_or_default());
        out.push_str(&with(value));
        at = end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redaction(rules: &[&str]) -> Redaction {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Redaction::parse(&rules, Arc::new(|text| format!("<{}>", text.len()))).unwrap()
    }

    fn applied(rule: &str, text: &str) -> Option<String> {
        redaction(&[rule]).apply("mail", Some("send"), Part::Arguments, text)
    }

    #[test]
    fn values_of_secrets_are_masked_and_the_rest_stays_to_the_letter() {
        let text = r#"{ "Token":"t", "max_token":7, "a":[{"key":{"x":["y"]},"n":1.10}], "b":"secret" }"#;
        let is_secret = |name: &str| ["Token", "max_token", "key", "0"].contains(&name);
        let expected = text.replace("\"t\"", "\"…\"").replace(r#"{"x":["y"]}"#, "\"…\"");
        assert_eq!(masked(text, is_secret), expected);
        assert_eq!(masked("{", is_secret), "\"…\"");
    }

    #[test]
    fn only_what_is_named_is_replaced_and_the_rest_stays_to_the_letter() {
        let text = r#"{ "n":1.10, "body" : "secret", "to":[{"name":"a","card":"4111"},{"card":12.0}],"é":1e400 }"#;
        let body = applied("mail send arguments /body", text).unwrap();
        assert_eq!(body, text.replace("\"secret\"", "\"redacted:hmac-sha256:<8>\""));
        let cards = applied("* s* arguments /to/*/card", text).unwrap();
        let expected =
            text.replace("\"4111\"", "\"redacted:hmac-sha256:<6>\"").replace("12.0", "\"redacted:hmac-sha256:<4>\"");
        assert_eq!(cards, expected);
        assert_eq!(applied("* * arguments /**/card", text).unwrap(), expected);
        assert_eq!(
            applied("* * arguments /to/1/card", text).unwrap(),
            text.replace("12.0", "\"redacted:hmac-sha256:<4>\"")
        );
        assert_eq!(applied("* * arguments /", text).unwrap(), format!("\"redacted:hmac-sha256:<{}>\"", text.len()));
        for other in
            ["mail read arguments /body", "calc send arguments /body", "* * result /body", "* * arguments /none"]
        {
            assert_eq!(applied(other, text), None, "{other}");
        }
    }

    #[test]
    fn what_stands_beside_arguments_is_replaced_as_a_whole_where_a_rule_is_about_them() {
        let beside = |rule: &str| redaction(&[rule]).apply_beside_arguments("mail", Some("send"), "{\"a\":1}");
        assert_eq!(beside("mail send arguments /body").unwrap(), "\"redacted:hmac-sha256:<7>\"");
        assert_eq!(beside("mail send result /body"), None);
        assert_eq!(beside("mail read arguments /body"), None);
    }

    #[test]
    fn what_can_not_be_read_is_replaced_as_a_whole() {
        assert_eq!(applied("* * arguments /body", "{\"body\":").unwrap(), "\"redacted:hmac-sha256:<8>\"");
    }

    #[test]
    fn a_rule_that_can_not_be_read_says_why() {
        let parse = |rule: &str| Redaction::parse(&[rule.to_owned()], Arc::new(str::to_owned)).unwrap_err().to_string();
        assert!(parse("mail send arguments").contains("four words"));
        assert!(parse("mail send body /x").contains("no part of a call"));
        assert!(parse("mail send arguments x").contains("begins with /"));
        assert!(parse("mail { arguments /x").contains("can't be used"));
    }

    proptest! {
        #[test]
        fn a_secret_is_gone_wherever_it_stands(path in proptest::collection::vec("[a-c~/é\"]{1,3}", 1..6)) {
            let mut text = "\"canary-4f1c\"".to_owned();
            for name in path.iter().rev() {
                text = format!("{{\"other\":[1.0],{}: {text}}}", serde_json::to_string(name).unwrap());
            }
            let steps: Vec<String> = path.iter().map(|name| name.replace('~', "~0").replace('/', "~1")).collect();
            let pointer = format!("/{}", steps.join("/"));
            let redacted = applied(&format!("* * arguments {pointer}"), &text).unwrap();
            prop_assert!(!redacted.contains("canary"));
            prop_assert_eq!(redacted.replace("redacted:hmac-sha256:<13>", "canary-4f1c"), text);
        }
    }
}
