//! JSON as CEL sees it.

use std::borrow::Cow;
use std::collections::HashMap;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde_json::value::RawValue;

use super::numbers::{self, Number};

/// Most bytes of arguments that a condition looks at.
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// Most values in them, at all depths.
const VALUES_MAX: usize = 10_000;
/// Most values in values.
const DEPTH_MAX: usize = 64;

/// Builds the value of a JSON text that is known to be strict.
///
/// # Errors
/// It is too large, or holds a number that would have to be rounded.
pub(super) fn build(json: &str) -> Result<Box<dyn Val>, String> {
    if json.len() > BYTES_MAX {
        return Err(format!("the arguments have more than {BYTES_MAX} bytes"));
    }
    Build { values: 0 }.value(json.trim_ascii(), 0)
}

/// Each value is read from its own text, because a number must not pass through a type that rounds it.
struct Build {
    values: usize,
}

impl Build {
    fn value(&mut self, json: &str, depth: usize) -> Result<Box<dyn Val>, String> {
        self.values += 1;
        if self.values > VALUES_MAX || depth > DEPTH_MAX {
            return Err(format!("the arguments have more than {VALUES_MAX} values, or are too deep"));
        }
        match json.as_bytes().first() {
            Some(b'{') => {
                let members: HashMap<Cow<'_, str>, &RawValue> = read(json)?;
                let mut map = HashMap::with_capacity(members.len());
                for (name, member) in members {
                    map.insert(CelMapKey::from(name.into_owned()), self.value(member.get(), depth + 1)?);
                }
                Ok(Box::new(CelMap::from(map)))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = read(json)?;
                let items =
                    items.into_iter().map(|item| self.value(item.get(), depth + 1)).collect::<Result<Vec<_>, _>>();
                Ok(Box::new(CelList::from(items?)))
            }
            Some(b'"') => Ok(Box::new(CelString::from(read::<String>(json)?))),
            Some(b't' | b'f') => Ok(Box::new(CelBool::from(read::<bool>(json)?))),
            Some(b'n') => Ok(Box::new(CelNull)),
            _ => match numbers::read(json) {
                Some(Number::Int(int)) => Ok(Box::new(CelInt::from(int))),
                Some(Number::UInt(uint)) => Ok(Box::new(CelUInt::from(uint))),
                Some(Number::Double(double)) => Ok(Box::new(CelDouble::from(double))),
                None => Err("the arguments hold a number that can't be compared without rounding it".into()),
            },
        }
    }
}

fn read<'j, T: serde::Deserialize<'j>>(json: &'j str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|_| "the arguments can't be read as JSON".into())
}
