//! Whether a value fits a tool's schema, as far as the schema itself says: nothing that it points to elsewhere is fetched.
//!
//! The schema is a server's, and may be anything. Regular expressions run in linear time; how long the rest takes is for
//! the caller to bound.

use std::error::Error;

use boon::{Compiler, Schemas, UrlLoader};
use serde_json::Value;

/// Where the schema stands while it is read; nothing is ever fetched from there.
const PLACE: &str = "mem:///schema.json";

/// Fetches nothing: a schema must not make the gateway read a file or ask another machine.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("{url} is not fetched").into())
    }
}

/// Checks the text `value` against the text `schema`.
///
/// # Errors
/// What doesn't fit, or that the schema can't be used, in words.
pub fn check(schema: &str, value: &str) -> Result<(), String> {
    let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let (schema, value) = (read(schema)?, read(value)?);
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.use_loader(Box::new(Nothing));
    let unusable = |error: &dyn std::fmt::Display| format!("the tool's schema can't be used: {error}");
    compiler.add_resource(PLACE, schema).map_err(|error| unusable(&error))?;
    let index = compiler.compile(PLACE, &mut schemas).map_err(|error| unusable(&error))?;
    schemas.validate(&value, index).map_err(|error| {
        let text = error.to_string();
        // The first line names the schema's place, which is ours.
        text.split_once('\n').map_or(text.as_str(), |(_, rest)| rest).trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_or_it_is_said_where_it_does_not() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","maximum":5}},"required":["n"]}"#;
        assert_eq!(check(schema, r#"{"n":5}"#), Ok(()));
        let refused = check(schema, r#"{"n":6}"#).unwrap_err();
        assert!(refused.contains("/n") && !refused.contains("mem:"), "{refused}");
        assert!(check(schema, "{}").unwrap_err().contains('n'));
    }

    #[test]
    fn nothing_that_a_schema_points_to_is_fetched() {
        for elsewhere in ["file:///etc/hostname", "http://127.0.0.1:1/x", "other.json"] {
            let refused = check(&format!(r#"{{"$ref":"{elsewhere}"}}"#), "1").unwrap_err();
            assert!(refused.contains("can't be used"), "{elsewhere}: {refused}");
        }
    }
}
