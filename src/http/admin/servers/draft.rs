//! A server as operators write it, and the definition that comes of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::http::problem::{FieldError, Problem};
use crate::upstream::Definition;
use crate::vault::SecretText;

/// A server that is to be registered, or tried.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerWrite)]
pub struct ServerDraft {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    #[schema(example = "calc")]
    pub name: String,
    /// `stdio`; may be left out.
    #[schema(example = "stdio")]
    pub mode: Option<String>,
    /// Whether agents may reach it; true when left out.
    pub enabled: Option<bool>,
    /// The executable, looked up in PATH.
    #[schema(example = "npx", required = true)]
    pub command: Option<String>,
    /// Its arguments, passed as they are: no shell.
    #[schema(value_type = Option<Vec<String>>)]
    pub args: Option<Vec<String>>,
    /// Variables of the process.
    #[schema(schema_with = env_schema)]
    pub env: Option<BTreeMap<String, Option<SecretWrite>>>,
    /// An absolute path.
    pub cwd: Option<String>,
    /// One process for all agents; false when left out.
    pub shared: Option<bool>,
    /// Not for a stdio server.
    #[schema(ignore)]
    pub base_url: Option<Value>,
    /// Not for a stdio server.
    #[schema(ignore)]
    pub timeout_seconds: Option<Value>,
    /// Not for a stdio server.
    #[schema(ignore)]
    pub auth: Option<Value>,
}

/// Variables as they are written: values go in and never come out.
pub(super) fn env_schema() -> Object {
    let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(value))
        .description(Some("Variables of the process: a value sets one, `null` removes it."))
        .write_only(true)
        .build()
}

/// A secret on its way in. It has no `Debug` and no `Serialize`, so it can't be logged or given out by accident.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct SecretWrite(String);

impl SecretWrite {
    /// Hands the text over to the vault.
    #[must_use]
    pub fn into_text(self) -> SecretText {
        SecretText::new(self.0)
    }
}

impl ServerDraft {
    /// Judges the draft whole, so that all that is wrong is told at once.
    ///
    /// # Errors
    /// Every field that can't be used.
    pub fn into_definition(self) -> Result<Definition, Problem> {
        let mut errors = self.foreign_fields();
        let env = self.env.unwrap_or_default();
        let definition = Definition {
            name: self.name,
            command: self.command.unwrap_or_default(),
            args: self.args.unwrap_or_default(),
            // A `null` here clears what was never set.
            env: env.into_iter().filter_map(|(name, value)| Some((name, value?.into_text()))).collect(),
            cwd: self.cwd,
            shared: self.shared.unwrap_or(false),
        };
        if errors.is_empty() {
            errors = faults_of(&definition);
        }
        if errors.is_empty() { Ok(definition) } else { Err(Problem::fields(errors)) }
    }

    fn foreign_fields(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let is_http = self.mode.as_deref() == Some("http") || (self.mode.is_none() && self.base_url.is_some());
        match self.mode.as_deref() {
            _ if is_http => errors.push(stdio_only()),
            None | Some("stdio") => {}
            Some(_) => errors.push(FieldError { pointer: "/mode".into(), detail: "one of stdio is expected".into() }),
        }
        if !is_http {
            errors.extend(foreign(self.base_url.is_some(), "/base_url"));
            errors.extend(foreign(self.timeout_seconds.is_some(), "/timeout_seconds"));
            errors.extend(foreign(self.auth.as_ref().is_some_and(|auth| !is_no_auth(auth)), "/auth"));
        }
        errors
    }
}

/// Lists what a definition's room finds wrong with it.
#[must_use]
pub fn faults_of(definition: &Definition) -> Vec<FieldError> {
    let faults = definition.faults().into_iter();
    faults.map(|fault| FieldError { pointer: fault.pointer, detail: fault.detail }).collect()
}

fn stdio_only() -> FieldError {
    FieldError {
        pointer: "/mode".into(),
        detail: "this version runs stdio servers only; write \"stdio\" and give a command".into(),
    }
}

/// A field of an http server in a stdio one.
pub fn foreign(is_given: bool, pointer: &str) -> Option<FieldError> {
    let detail = "a stdio server has no such field; leave it out".to_owned();
    is_given.then(|| FieldError { pointer: pointer.into(), detail })
}

/// `{"type": "none"}` says what holds anyway.
#[must_use]
pub fn is_no_auth(auth: &Value) -> bool {
    auth.as_object().is_some_and(|auth| auth.iter().all(|(name, value)| name == "type" && value == "none"))
}
