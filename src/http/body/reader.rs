//! Reading typed values with a pointer to what is wrong.
//!
//! A JSON value, or the parameters of a query, comes in; a typed value goes out, or a [`Fault`] that knows its place. A
//! fault says what kind of thing was found, never its text: the field may be a secret.
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever is not the one kind that is read is the same mismatch")]

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, Unexpected, Visitor};
use serde_json::Value;

/// Names that differ in more than this many strokes are not taken for each other's misspelling.
const STROKES_MAX: usize = 3;

/// Something that can't be used, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// from the inside out
    path: Vec<String>,
    /// What is wrong there, in words.
    pub detail: String,
}

impl Fault {
    /// Returns the place as a JSON Pointer; empty for the whole.
    #[must_use]
    pub fn pointer(&self) -> String {
        let segments = self.path.iter().rev().map(|segment| segment.replace('~', "~0").replace('/', "~1"));
        segments.fold(String::new(), |pointer, segment| format!("{pointer}/{segment}"))
    }

    /// Returns the outermost name on the way to the place.
    #[must_use]
    pub fn outermost(&self) -> Option<&str> {
        self.path.last().map(String::as_str)
    }

    fn new(detail: impl Into<String>) -> Self {
        Self { path: Vec::new(), detail: detail.into() }
    }

    fn within(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.pointer(), self.detail)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        if matches!(found, Unexpected::Float(_)) {
            // The name of a type of the program would say nothing to whoever wrote the number.
            return Self::new("a whole number is expected");
        }
        Self::new(format!("{expected} is expected, not {}", kind_of(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("{expected} is expected"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::new(format!("{expected} is expected, not {length} items"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("one of {} is expected", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(match nearest(field, expected) {
            Some(near) => format!("the name is unknown; did you mean {near:?}?"),
            None => format!("the name is unknown; known are {}", expected.join(", ")),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("it is missing").within(field)
    }
}

/// Returns the known name that is most like `name`, when one is like it.
#[must_use]
pub fn nearest(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let strokes = |known: &&'static str| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    known.iter().copied().min_by_key(strokes).filter(|near| strokes(near) <= STROKES_MAX.min(near.len() / 2))
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// Reads a JSON value.
///
/// # Errors
/// The first fault that is met.
pub fn read<T: de::DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    T::deserialize(Reader::Json(value))
}

/// Reads the parameters of a query, whose values are all text.
///
/// # Errors
/// The first fault that is met.
pub fn read_parameters<T: de::DeserializeOwned>(parameters: &[(String, String)]) -> Result<T, Fault> {
    T::deserialize(Reader::Parameters(parameters))
}

/// What there is to read at one place.
#[derive(Clone, Copy)]
enum Reader<'v> {
    Json(&'v Value),
    Parameters(&'v [(String, String)]),
    Text(&'v str),
}

impl Reader<'_> {
    fn mismatch(self, expected: &str) -> Fault {
        let found = match self {
            Self::Json(Value::Null) => "null",
            Self::Json(Value::Bool(_)) => "true or false",
            Self::Json(Value::Number(_)) => "a number",
            Self::Json(Value::String(_)) | Self::Text(_) => "a string",
            Self::Json(Value::Array(_)) => "a list",
            Self::Json(Value::Object(_)) | Self::Parameters(_) => "an object",
        };
        Fault::new(format!("{expected} is expected, not {found}"))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match self {
            Self::Json(Value::Number(number)) => number.clone(),
            Self::Text(text) => match text.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => return Err(Fault::new("a whole number is expected")),
            },
            _ => return Err(self.mismatch("a number")),
        };
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => visitor.visit_u64(number),
            (_, Some(number), _) => visitor.visit_i64(number),
            (_, _, Some(number)) => visitor.visit_f64(number),
            _ => Err(Fault::new("the number is out of range")),
        }
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Null) => visitor.visit_unit(),
            Self::Json(Value::Bool(value)) => visitor.visit_bool(*value),
            Self::Json(Value::Number(_)) => self.number(visitor),
            Self::Json(Value::String(text)) => visitor.visit_borrowed_str(text),
            Self::Text(text) => visitor.visit_borrowed_str(text),
            Self::Json(Value::Array(items)) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Self::Json(Value::Object(members)) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), Self::Json(value)));
                visitor.visit_map(Members { members, value: None })
            }
            Self::Parameters(pairs) => {
                let members = pairs.iter().map(|(name, value)| (name.as_str(), Self::Text(value)));
                visitor.visit_map(Members { members, value: None })
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Bool(value)) => visitor.visit_bool(*value),
            Self::Text("true") => visitor.visit_bool(true),
            Self::Text("false") => visitor.visit_bool(false),
            Self::Text(_) => Err(Fault::new("true or false is expected")),
            _ => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::String(text)) => visitor.visit_borrowed_str(text),
            Self::Text(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.mismatch("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Array(_)) => self.deserialize_any(visitor),
            _ => Err(self.mismatch("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Object(_)) | Self::Parameters(_) => self.deserialize_any(visitor),
            _ => Err(self.mismatch("an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::String(text)) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(self.mismatch("a string")),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'v> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader::Json(item)).map(Some).map_err(|fault| fault.within(index.to_string()))
    }
}

struct Members<'v, I> {
    members: I,
    value: Option<(&'v str, Reader<'v>)>,
}

impl<'de, I: Iterator<Item = (&'de str, Reader<'de>)>> de::MapAccess<'de> for Members<'de, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.members.next();
        let Some((name, _)) = self.value else {
            return Ok(None);
        };
        let name_reader: CowStrDeserializer<'de, Fault> = Cow::Borrowed(name).into_deserializer();
        seed.deserialize(name_reader).map(Some).map_err(|fault: Fault| fault.within(name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((name, value)) = self.value.take() else {
            return Err(Fault::new("a value without a name"));
        };
        seed.deserialize(value).map_err(|fault| fault.within(name))
    }
}

#[cfg(test)]
mod tests;
