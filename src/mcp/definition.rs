//! What a server says that a tool is: name, description, schemas, hints. A person's yes is for a tool as it was then.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::splice;

/// What is kept of a tool's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `sha256:` and hex, over the text in which the server listed it.
    pub digest: Arc<str>,
    /// Whether the tool promises the form of its structured results.
    pub has_output_schema: bool,
}

impl Definition {
    /// Reads the definitions that a listing gives under one name; there should be one.
    #[must_use]
    pub fn of(texts: &[&str]) -> Option<Self> {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let mut digest = String::from("sha256:");
        for byte in hash.finalize() {
            // Writing to a String can't fail.
            let _ = write!(digest, "{byte:02x}");
        }
        let has_output_schema = texts.iter().any(|text| splice::find(text, &["outputSchema"]).is_some());
        (!texts.is_empty()).then(|| Self { digest: digest.into(), has_output_schema })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_another_when_any_byte_of_it_is() {
        let of = |text: &str| Definition::of(&[text]).unwrap();
        let plain = of(r#"{"name":"t","description":"reads"}"#);
        assert!(plain.digest.starts_with("sha256:") && plain.digest.len() == 71 && !plain.has_output_schema);
        assert_eq!(plain, of(r#"{"name":"t","description":"reads"}"#));
        assert_ne!(plain, of(r#"{"name":"t","description":"writes"}"#));
        assert!(of(r#"{"name":"t","outputSchema":{"type":"object"}}"#).has_output_schema);
        assert_eq!(Definition::of(&[]), None);
    }
}
