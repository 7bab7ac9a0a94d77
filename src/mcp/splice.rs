//! Changes one member of a JSON object's text and leaves every other byte as it is.
//!
//! The gateway has to replace a progress token here and add a `resultType` there. Reading the whole object into values
//! and writing it again would reorder keys and reprint numbers; so the member's place in the text is found, and only
//! that is replaced.

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members of an object, in their order, each key as it is meant and each value as its text.
pub type Members<'a> = Vec<(String, &'a RawValue)>;

/// Reads the members of the object `text`; `None` when it isn't one.
#[must_use]
pub fn members(text: &str) -> Option<Members<'_>> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Members<'de>;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Read).ok()
}

/// The value at `path`, each step a member of the object before it.
#[must_use]
pub fn find<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    let value = member(text, first)?;
    if rest.is_empty() { Some(value) } else { find(value, rest) }
}

/// The first member of that name; the others are passed over.
fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    struct Named<'n>(&'n str);
    #[derive(serde::Deserialize)]
    struct Key<'k>(#[serde(borrow)] std::borrow::Cow<'k, str>);
    impl<'de> Visitor<'de> for Named<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<Key<'de>>()? {
                if found.is_none() && key.0 == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Named(name)).ok()?.map(RawValue::get)
}

/// The string at `path`.
#[must_use]
pub fn find_string(text: &str, path: &[&str]) -> Option<String> {
    serde_json::from_str(find(text, path)?).ok()
}

/// Replaces the value at `path`, or adds it to the object that should hold it; objects on the way are made when absent.
#[must_use]
pub fn set(text: &str, path: &[&str], value: &str) -> String {
    let Some((first, rest)) = path.split_first() else {
        return value.to_owned();
    };
    let members = members(text).unwrap_or_default();
    match members.iter().find(|(key, _)| key == first) {
        Some((_, old)) => {
            let new = set(old.get(), rest, value);
            replace_within(text, old.get(), &new)
        }
        None => insert(text, first, &set("{}", rest, value)),
    }
}

/// Removes the members whose keys `unwanted` names from the object `text`.
#[must_use]
pub fn without(text: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let Some(members) = members(text) else {
        return text.to_owned();
    };
    if !members.iter().any(|(key, _)| unwanted(key)) {
        return text.to_owned();
    }
    let kept: Vec<String> = members
        .iter()
        .filter(|(key, _)| !unwanted(key))
        .map(|(key, value)| format!("{}:{}", super::envelope::quoted(key), value.get()))
        .collect();
    format!("{{{}}}", kept.join(","))
}

/// `part` is a slice of `whole`: its place is known from where it lies.
fn replace_within(whole: &str, part: &str, new: &str) -> String {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    let before = whole.get(..start).unwrap_or_default();
    let after = whole.get(start + part.len()..).unwrap_or_default();
    [before, new, after].concat()
}

fn insert(text: &str, key: &str, value: &str) -> String {
    let body = text.trim_end().strip_suffix('}').unwrap_or("{");
    // Not by what could be read of it: a member whose key can't be read stays a member.
    let comma = if body.trim_end().ends_with('{') { "" } else { "," };
    format!("{body}{comma}{}:{value}}}", super::envelope::quoted(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_member_changes() {
        let text = r#"{ "b" : 1.0, "_meta":{"progressToken":"p","x":[1]}, "a":2}"#;
        assert_eq!(
            set(text, &["_meta", "progressToken"], "42"),
            r#"{ "b" : 1.0, "_meta":{"progressToken":42,"x":[1]}, "a":2}"#
        );
    }

    #[test]
    fn an_absent_member_is_added_with_the_objects_on_its_way() {
        assert_eq!(set("{}", &["a"], "1"), r#"{"a":1}"#);
        assert_eq!(set(r#"{"b":1}"#, &["_meta", "t"], "2"), r#"{"b":1,"_meta":{"t":2}}"#);
        assert_eq!(set("{ }", &["a"], "1"), r#"{ "a":1}"#);
        assert_eq!(set(r#"{"\ud800":1}"#, &["a"], "1"), r#"{"\ud800":1,"a":1}"#);
    }

    #[test]
    fn members_are_removed_by_name() {
        assert_eq!(without(r#"{"a":1,"b":2.50,"c":3}"#, |key| key != "b"), r#"{"b":2.50}"#);
        assert_eq!(without(r#"{ "a":1 }"#, |_| false), r#"{ "a":1 }"#);
    }

    #[test]
    fn a_path_is_followed() {
        assert_eq!(find(r#"{"a":{"b":[1, 2]}}"#, &["a", "b"]), Some("[1, 2]"));
        assert_eq!(find_string(r#"{"a":"\u0041"}"#, &["a"]).as_deref(), Some("A"));
        assert_eq!(find(r#"{"a":1}"#, &["a", "b"]), None);
    }
}
