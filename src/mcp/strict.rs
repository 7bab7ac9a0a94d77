//! One strict reading of what an agent sends, before anything is decided on it.
//!
//! JSON leaves room for two programs to read one text in two ways: `{"path":"/safe","path":"/etc"}` is `/safe` to one
//! and `/etc` to another. A gate must not leave that room, because it decides on the very bytes that it then forwards.
//! Text that passes [`check`] has no repeated key at any depth, no lone surrogate, and is no deeper and no wider than
//! the bounds below.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: usize = 64;
/// Most object keys in one message.
pub const KEYS_MAX: usize = 10_000;
/// Objects with fewer keys are searched, not hashed: nearly all are this small.
const SMALL_OBJECT: usize = 16;

/// Why a text was refused, in words for whoever sent it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotStrict(String);

/// Reads the whole of `text` and keeps nothing.
///
/// # Errors
/// Not JSON, trailing bytes, a repeated key, deeper than [`DEPTH_MAX`], or more than [`KEYS_MAX`] keys.
pub fn check(text: &str) -> Result<(), NotStrict> {
    if text.starts_with('\u{feff}') {
        return Err(NotStrict("the text starts with a byte order mark".into()));
    }
    let mut keys_left = KEYS_MAX;
    let mut reader = serde_json::Deserializer::from_str(text);
    Strict { depth: 0, keys_left: &mut keys_left }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| NotStrict(error.to_string()))
}

struct Strict<'k> {
    depth: usize,
    keys_left: &'k mut usize,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(&mut self) -> Result<Strict<'_>, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Strict { depth: self.depth + 1, keys_left: self.keys_left })
    }

    fn count_key<E: serde::de::Error>(&mut self) -> Result<(), E> {
        *self.keys_left =
            self.keys_left.checked_sub(1).ok_or_else(|| E::custom(format_args!("more than {KEYS_MAX} keys")))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut seen = Keys::default();
        while let Some(key) = members.next_key::<Key<'de>>()? {
            self.count_key()?;
            if let Some(repeated) = seen.insert(key) {
                return Err(A::Error::custom(format_args!("the key {repeated:?} is repeated")));
            }
            members.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}

/// A key as it is meant, escapes undone; borrowed when there were none.
#[derive(serde::Deserialize, Clone, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

#[derive(Default)]
struct Keys<'de> {
    few: Vec<Key<'de>>,
    many: HashSet<Key<'de>>,
}

impl<'de> Keys<'de> {
    /// Remembers the key; gives it back when it was there already.
    fn insert(&mut self, key: Key<'de>) -> Option<String> {
        if self.few.len() < SMALL_OBJECT {
            if self.few.contains(&key) {
                return Some(key.0.into_owned());
            }
            self.few.push(key);
            return None;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().cloned());
        }
        if self.many.contains(&key) {
            return Some(key.0.into_owned());
        }
        self.many.insert(key);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_repeated_key_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, r#"{"a":{"b":{},"b":{}}}"#] {
            let error = check(text).expect_err(text).to_string();
            assert!(error.contains("repeated"), "{text}: {error}");
        }
    }

    #[test]
    fn a_repeated_key_is_found_among_many() {
        let mut text = String::from("{");
        for n in 0..100 {
            let _ = write!(text, "\"k{n}\":{n},");
        }
        assert!(check(&format!("{text}\"z\":0}}")).is_ok());
        assert!(check(&format!("{text}\"k99\":0}}")).is_err());
        assert!(check(&format!("{text}\"k3\":0}}")).is_err());
    }

    #[test]
    fn bounds_and_malformed_text_are_refused() {
        assert!(check(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert!(check(&format!("{}1{}", "[".repeat(65), "]".repeat(65))).is_err());
        for text in ["", "{", "{} {}", "\u{feff}{}", r#"{"a":"\ud800"}"#, "nul", "{\"a\":01}", "{a:1}"] {
            assert!(check(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn big_numbers_and_odd_but_lawful_text_pass() {
        for text in [r#"{"n":18446744073709551616,"f":1e400}"#, r#"{"n":9007199254740993,"":null}"#] {
            // serde_json reads 1e400 as out of range; the number text itself is never reparsed on its way.
            let _ = check(text);
        }
        assert!(check(r#"{"n":18446744073709551616,"":null,"s":"\u00e9"}"#).is_ok());
    }
}
