//! What a server says that a tool is: name, description, schemas, hints. A person's yes is for a tool as it was then, and
//! what was seen of a tool first is what it is held to.
//!
//! Two texts that say the same are one definition: members are put in order and blanks are left out. `_meta` and `icons`
//! are no part of it, as no model is told them and servers fill them with what changes by itself. All else is, whatever a
//! later revision may add. A text that could be read in two ways stands for itself, byte by byte.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{envelope, splice, strict};

/// How much of a definition's text is kept to be shown, in bytes. The digest is over all of it.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Members of a tool that are no part of its definition.
const LEFT_OUT: [&str; 2] = ["_meta", "icons"];

/// What is kept of a tool's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `sha256:` and hex.
    pub digest: Arc<str>,
    /// Whether the tool promises the form of its structured results.
    pub has_output_schema: bool,
}

impl Definition {
    /// Reads the definitions that a listing gives under one name; there should be one.
    #[must_use]
    pub fn of(texts: &[&str]) -> Option<Self> {
        (!texts.is_empty()).then(|| read(texts).0)
    }
}

/// A tool of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub tool: String,
    /// What it is said to be.
    pub definition: Definition,
    /// The text of that, cut.
    pub text: String,
}

/// The tools of a listing by their names, in the listing's order. What has no name is no tool.
#[must_use]
pub fn listed<'t>(tools: impl Iterator<Item = &'t str>) -> Vec<Listed> {
    let mut texts: Vec<(String, Vec<&str>)> = Vec::new();
    let mut places = HashMap::new();
    for text in tools {
        let Some(name) = splice::find_string(text, &["name"]) else { continue };
        if let Some((_, of_name)) = places.get(&name).and_then(|place: &usize| texts.get_mut(*place)) {
            of_name.push(text);
        } else {
            places.insert(name.clone(), texts.len());
            texts.push((name, vec![text]));
        }
    }
    let read = |(tool, texts): (String, Vec<&str>)| {
        let (definition, text) = read(&texts);
        Listed { tool, definition, text }
    };
    texts.into_iter().map(read).collect()
}

fn read(texts: &[&str]) -> (Definition, String) {
    let canonical: Vec<String> = texts.iter().map(|text| canonical(text)).collect();
    let mut hash = Sha256::new();
    for text in &canonical {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let mut digest = String::from("sha256:");
    for byte in hash.finalize() {
        // Writing to a String can't fail.
        let _ = write!(digest, "{byte:02x}");
    }
    let has_output_schema = texts.iter().any(|text| splice::find(text, &["outputSchema"]).is_some());
    let mut text = canonical.join("\n");
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    (Definition { digest: digest.into(), has_output_schema }, text)
}

fn canonical(text: &str) -> String {
    if strict::check(text).is_err() {
        return text.to_owned();
    }
    let said = splice::without(text, |member| LEFT_OUT.contains(&member));
    let mut canonical = String::with_capacity(said.len());
    write_value(&mut canonical, &said);
    canonical
}

/// As deep as strict text is.
fn write_value(out: &mut String, text: &str) {
    let text = text.trim();
    match text.chars().next() {
        Some('{') => {
            let mut members = splice::members(text).unwrap_or_default();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            write_all(out, ('{', '}'), members, |out, (key, value)| {
                out.push_str(&envelope::quoted(&key));
                out.push(':');
                write_value(out, value.get());
            });
        }
        Some('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            write_all(out, ('[', ']'), items, |out, item| write_value(out, item.get()));
        }
        Some('"') => {
            let string: String = serde_json::from_str(text).unwrap_or_default();
            out.push_str(&envelope::quoted(&string));
        }
        // A number stays as it is written: to read it might be to round it.
        _ => out.push_str(text),
    }
}

fn write_all<T>(out: &mut String, (open, close): (char, char), items: Vec<T>, write: impl Fn(&mut String, T)) {
    out.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Arc<str> {
        Definition::of(&[text]).unwrap().digest
    }

    #[test]
    fn a_definition_is_another_when_anything_of_it_is() {
        let of = |text: &str| Definition::of(&[text]).unwrap();
        let plain = of(r#"{"name":"t","description":"reads"}"#);
        assert!(plain.digest.starts_with("sha256:") && plain.digest.len() == 71 && !plain.has_output_schema);
        assert_eq!(plain, of(r#"{"name":"t","description":"reads"}"#));
        assert_ne!(plain, of(r#"{"name":"t","description":"writes"}"#));
        assert!(of(r#"{"name":"t","outputSchema":{"type":"object"}}"#).has_output_schema);
        assert_eq!(Definition::of(&[]), None);
        for other in [
            r#"{"name":"t","description":"reads","title":"T"}"#,
            r#"{"name":"t","description":"reads","annotations":{"readOnlyHint":true}}"#,
            r#"{"name":"t","description":"reads","inputSchema":{"required":["a","b"]}}"#,
            r#"{"name":"t","description":"reads","execution":{"taskSupport":"required"}}"#,
            r#"{"name":"t","description":"reads ","x":1}"#,
        ] {
            assert_ne!(digest(r#"{"name":"t","description":"reads"}"#), digest(other), "{other}");
        }
        let required = |order: &str| digest(&format!(r#"{{"name":"t","inputSchema":{{"required":{order}}}}}"#));
        assert_ne!(required(r#"["a","b"]"#), required(r#"["b","a"]"#));
        assert_ne!(required("9007199254740993"), required("9007199254740992"), "no number is rounded");
    }

    #[test]
    fn what_says_the_same_is_the_same_definition() {
        let one = r#"{"name":"t","description":"read\u0073","inputSchema":{"a":1,"b":[{"x":1,"y":2}]}}"#;
        let other = r#" { "inputSchema" : {"b":[ {"y":2,"x":1} ],"a":1}, "description":"reads", "name":"t",
                         "icons":[{"src":"x"}], "_meta":{"tags":["b","a"]} }"#;
        assert_eq!(digest(one), digest(other));
    }

    #[test]
    fn what_can_be_read_in_two_ways_stands_for_itself() {
        let twice = r#"{"name":"t","description":"good","description":"evil"}"#;
        let other = r#"{"name":"t","description":"evil","description":"good"}"#;
        assert_ne!(digest(twice), digest(other));
        assert_ne!(digest(twice), digest(r#"{"name":"t","description":"evil"}"#));
    }

    #[test]
    fn tools_of_one_name_have_one_definition_together() {
        let texts = [r#"{"name":"a","x":1}"#, r#"{"name":"b"}"#, r#"{"name":"a","x":2}"#, r#"{"title":"none"}"#];
        let all = listed(texts.into_iter());
        assert_eq!(all.iter().map(|listed| listed.tool.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Some(&all[0].definition), Definition::of(&[texts[0], texts[2]]).as_ref());
        assert_eq!(all[0].text, "{\"name\":\"a\",\"x\":1}\n{\"name\":\"a\",\"x\":2}");
    }

    #[test]
    fn a_long_text_is_cut_and_its_digest_is_over_all() {
        let of = |end: &str| format!(r#"{{"name":"t","description":"{}{end}"}}"#, "é".repeat(TEXT_BYTES_MAX));
        let (one, other) = (of("1"), of("2"));
        let all = [listed([one.as_str()].into_iter()), listed([other.as_str()].into_iter())];
        assert_eq!(all[0][0].text, all[1][0].text);
        assert!(all[0][0].text.len() <= TEXT_BYTES_MAX);
        assert_ne!(all[0][0].definition, all[1][0].definition);
    }
}
