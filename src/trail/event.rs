//! What is told: who did what to what.

use serde::Serialize;
use serde_json::{Map, Value};

/// Something that happened, before it has its place in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// what happened, such as `server.updated`
    pub kind: String,
    /// who did it, such as `operator:ann`; whoever is acting when nobody is named
    pub actor: Option<String>,
    /// what it happened to, such as `server:calc`
    pub subject: String,
    /// a JSON object without blanks, its members sorted by name, without numbers that are not whole: see RFC 8785
    pub data: String,
}

impl Event {
    /// Tells that `kind` happened to `subject`. The data are brought into their one form by what they are made of: maps
    /// are sorted, blanks are not written.
    #[must_use]
    pub fn new(kind: impl Into<String>, subject: impl Into<String>, data: &Value) -> Self {
        Self { kind: kind.into(), actor: None, subject: subject.into(), data: data.to_string() }
    }

    /// Names who did it.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }
}

/// What an edit changed: for each field that differs, what it was and what it is. Counters and times of edits are left
/// out.
#[must_use]
pub fn difference(old: &impl Serialize, new: &impl Serialize) -> Value {
    let fields = |row: Value| match row {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let old = fields(serde_json::to_value(old).unwrap_or_default());
    let new = fields(serde_json::to_value(new).unwrap_or_default());
    let is_told = |name: &str| !matches!(name, "revision" | "updated_at");
    let changed = new.into_iter().filter(|(name, value)| is_told(name) && old.get(name) != Some(value));
    let told = changed.map(|(name, to)| {
        let from = old.get(&name).cloned().unwrap_or_default();
        (name, serde_json::json!({ "from": from, "to": to }))
    });
    Value::Object(told.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_have_one_form() {
        let event = Event::new("a.b", "c:d", &json!({ "z": 1, "a": { "y": "\u{1b}\n", "b": null } }));
        assert_eq!(event.data, r#"{"a":{"b":null,"y":"\u001b\n"},"z":1}"#);
    }

    #[test]
    fn an_edit_is_told_by_what_it_changed() {
        let old = json!({ "name": "a", "command": "x", "revision": 1, "updated_at": 1 });
        let new = json!({ "name": "a", "command": "y", "revision": 2, "updated_at": 2 });
        assert_eq!(difference(&old, &new), json!({ "command": { "from": "x", "to": "y" } }));
    }
}
