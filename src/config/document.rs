//! The configuration described: a JSON Schema for editors, and an example file for people.
//!
//! Both are written from the table of keys, so that neither can say anything that is not so.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{
    KEYS, Key, Kind,
    key::Default,
    value::{self, Raw},
};

const WIDTH: usize = 100;

/// The JSON Schema of the configuration file.
pub fn schema() -> Value {
    let mut root = Map::new();
    for key in KEYS {
        let (section, name) = key.parts();
        match section {
            None => {
                root.insert(name.to_owned(), schema_of(key));
            }
            Some(section) => {
                let inner = root.entry(section).or_insert_with(|| object(&Map::new()));
                if let Some(properties) = inner.get_mut("properties").and_then(Value::as_object_mut) {
                    properties.insert(name.to_owned(), schema_of(key));
                }
            }
        }
    }
    let mut schema = object(&root);
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".into(), json!("atryum.toml"));
    }
    schema
}

fn object(properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn schema_of(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Text | Kind::Path | Kind::Address => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret | Kind::Database => json!({ "type": "string", "minLength": 1, "writeOnly": true }),
        Kind::Url => json!({ "type": "string", "pattern": "^https?://" }),
        Kind::Syslog => json!({ "type": "string", "pattern": "^(udp://|tcp://|unix:/)" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Named(..) => json!({ "type": "array", "items": { "type": "string", "pattern": "^.+=[0-9]+$" } }),
    };
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".into(), json!(key.help));
        if let Some(default) = fixed(key) {
            members.insert("default".into(), default);
        }
    }
    schema
}

fn fixed(key: &Key) -> Option<Value> {
    match key.default {
        Default::Fixed(text) => value::parse(key, &Raw::Written(text.into())),
        Default::Absent | Default::OfMachine(_) => None,
    }
}

/// The example file: every key with its default, each behind a comment sign.
pub fn example() -> String {
    let mut text = String::from(
        "# Every key with its default. A flag wins over the environment, the environment over this file.\n\
         # The variable of a key is ATRYUM_<SECTION>__<KEY>; with _FILE behind it, it names a file that holds the value.\n",
    );
    let mut current = None;
    for key in KEYS {
        let (section, name) = key.parts();
        if section != current {
            let _ = write!(text, "\n[{}]\n", section.unwrap_or_default());
            current = section;
        } else if section.is_none() {
            text.push('\n');
        }
        for line in wrap(key.help) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{name} = {}", example_value(key));
    }
    text
}

fn example_value(key: &Key) -> String {
    match (key.default, fixed(key)) {
        (_, Some(default)) => default.to_string(),
        (Default::OfMachine(words), None) if key.kind == Kind::Path => json!(words).to_string(),
        _ => match key.kind {
            Kind::Number(..) => "4".into(),
            Kind::Database => json!("postgres://atryum@localhost/atryum").to_string(),
            Kind::Url => json!("https://atryum.example.com").to_string(),
            Kind::Syslog => json!("unix:/dev/log").to_string(),
            Kind::Text
            | Kind::Secret
            | Kind::Path
            | Kind::Address
            | Kind::Flag
            | Kind::Choice(_)
            | Kind::List
            | Kind::Named(..) => json!("…").to_string(),
        },
    }
}

/// Words in lines of bounded length.
fn wrap(words: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
