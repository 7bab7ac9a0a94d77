//! The layers on top of each other: default, file, environment, flags.
//!
//! In come the surroundings and the flags, out goes each key's value with its source. The last layer that sets a key
//! wins; every problem in any layer is told, also where a higher layer would have won.

use std::{collections::BTreeMap, thread};

use serde_json::{Map, Value, json};

use super::{
    ConfigError, Environment, Flags, KEYS, Key, Kind, Problem, Setting, Source, file,
    key::{self, Default},
    value::{self, Raw},
};

/// Every key that has a value.
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Value, Source)>,
    problems: Vec<Problem>,
}

/// Reads all layers.
pub(super) fn read(environment: &Environment, flags: &Flags) -> Result<Layers, ConfigError> {
    let mut layers = Layers { values: BTreeMap::new(), problems: Vec::new() };
    layers.add_file(environment, flags);
    let (found, problems) = environment.settings();
    layers.problems.extend(problems);
    for (key, raw, source) in found {
        layers.set(key, &raw, source);
    }
    for (name, value) in &flags.values {
        if let Some(key) = key::find(name) {
            layers.set(key, &Raw::Written(value.clone()), Source::flag(name));
        }
    }
    layers.add_defaults(environment);
    layers.expand_home(environment);
    if layers.problems.is_empty() { Ok(layers) } else { Err(ConfigError(layers.problems)) }
}

impl Layers {
    /// The values as the structs want them: sections as objects.
    pub(super) fn tree(&self) -> Value {
        let mut root = Map::new();
        for key in KEYS {
            let (section, name) = key.parts();
            let value = self.values.get(key.name).map_or(Value::Null, |(value, _)| value.clone());
            match section {
                None => {
                    root.insert(name.to_owned(), value);
                }
                Some(section) => {
                    let inner = root.entry(section).or_insert_with(|| json!({}));
                    if let Some(inner) = inner.as_object_mut() {
                        inner.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Value::Object(root)
    }

    /// The values as they may be shown.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |key: &Key| {
            let (value, source) = self.values.get(key.name).cloned().unwrap_or((Value::Null, Source::Default));
            let shown = if key.is_secret() && !value.is_null() { json!("***") } else { value };
            Setting { key: key.name, shown, source }
        };
        KEYS.iter().map(setting).collect()
    }

    fn add_file(&mut self, environment: &Environment, flags: &Flags) {
        let document = match file::read(environment, flags) {
            Ok(Some(document)) => document,
            Ok(None) => return,
            Err(problem) => return self.problems.push(problem),
        };
        for entry in document.entries {
            let source = Source::File { path: document.path.clone(), line: entry.line };
            let Some(key) = key::find(&entry.key) else {
                let nearest = key::nearest(&entry.key).map(|key| key.name.to_owned());
                self.problems.push(Problem::UnknownKey { key: entry.key, source_of: source, nearest });
                continue;
            };
            if key.is_secret() && document.is_public {
                self.problems.push(Problem::Exposed { path: document.path.clone(), key: key.name });
            }
            self.set(key, &entry.raw, source);
        }
    }

    fn set(&mut self, key: &'static Key, raw: &Raw, source: Source) {
        if let Some(value) = value::parse(key, raw) {
            self.values.insert(key.name, (value, source));
            return;
        }
        let found = (!key.is_secret()).then(|| value::found(raw));
        let expected = value::expected(key.kind);
        self.problems.push(Problem::WrongValue { key: key.name, source_of: source, expected, found });
    }

    fn add_defaults(&mut self, environment: &Environment) {
        for key in KEYS.iter().filter(|key| key.default != Default::Absent) {
            if self.values.contains_key(key.name) {
                continue;
            }
            match default(key, environment) {
                Ok(value) => {
                    self.values.insert(key.name, (value, Source::Default));
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// Paths that begin at the home directory.
    fn expand_home(&mut self, environment: &Environment) {
        for key in KEYS.iter().filter(|key| key.kind == Kind::Path) {
            let Some((value, _)) = self.values.get_mut(key.name) else { continue };
            let below = value.as_str().and_then(|path| path.strip_prefix("~/"));
            if let (Some(below), Some(home)) = (below, environment.home()) {
                *value = json!(home.join(below));
            }
        }
    }
}

fn default(key: &'static Key, environment: &Environment) -> Result<Value, Problem> {
    let below = |variable: &'static str, below_home: &str, name: &str| {
        let base = environment.base(variable, below_home).ok_or(Problem::NoHome { key: key.name, variable })?;
        Ok(json!(base.join(name)))
    };
    match (key.name, key.default) {
        (_, Default::Fixed(text)) => Ok(value::parse(key, &Raw::Written(text.into())).unwrap_or_default()),
        ("data_dir", _) => below("XDG_DATA_HOME", ".local/share", "atryum"),
        ("master_key_path", _) => below("XDG_CONFIG_HOME", ".config", "atryum/master.key"),
        ("http.workers", _) => Ok(json!(thread::available_parallelism().map_or(1, usize::from))),
        (_, Default::Absent | Default::OfMachine(_)) => Ok(Value::Null),
    }
}
