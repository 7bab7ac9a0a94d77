//! A server as operators write it, and the definition that comes of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::auth::{self, AuthWrite, Stored};
use crate::http::body::Edit;
use crate::http::gateway::Gateway;
use crate::http::problem::{FieldError, Problem};
use crate::upstream::{Definition, HttpDefinition, Mode, StdioDefinition, TIMEOUT_SECONDS_DEFAULT};
use crate::vault::SecretText;

/// A server that is to be registered, or tried.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerWrite)]
pub struct ServerDraft {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    #[schema(example = "calc")]
    pub name: String,
    /// `stdio` or `http`; left out, it is `http` when there is a base URL.
    #[schema(example = "stdio")]
    pub mode: Option<String>,
    /// Whether agents may reach it; true when left out.
    pub enabled: Option<bool>,
    /// stdio: the executable, looked up in PATH.
    #[schema(example = "npx")]
    pub command: Option<String>,
    /// stdio: its arguments, passed as they are: no shell.
    #[schema(value_type = Option<Vec<String>>)]
    pub args: Option<Vec<String>>,
    /// stdio: variables of the process.
    #[schema(schema_with = env_schema)]
    pub env: Option<BTreeMap<String, Option<SecretWrite>>>,
    /// stdio: an absolute path.
    pub cwd: Option<String>,
    /// stdio: one process for all agents; false when left out.
    pub shared: Option<bool>,
    /// http: the address; http or https, without user, password and fragment. It is kept as it is typed.
    pub base_url: Option<String>,
    /// http: how long an answer, or a sign of progress, is waited for, 1 to 3600; 30 when left out.
    #[schema(minimum = 1, maximum = 3600)]
    pub timeout_seconds: Option<i64>,
    /// http: how the gateway logs in.
    pub auth: Option<AuthWrite>,
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
    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

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
    pub fn into_definition(self, gateway: &Gateway) -> Result<Definition, Problem> {
        let definition = match (self.mode.as_deref(), &self.base_url) {
            (Some("http"), _) | (None, Some(_)) => self.into_http(),
            (Some("stdio") | None, _) => self.into_stdio(),
            (Some(_), _) => return Err(Problem::field("/mode", "one of stdio and http is expected")),
        };
        let definition = definition.map_err(Problem::fields)?;
        let errors = faults_of(gateway, &definition);
        if errors.is_empty() { Ok(definition) } else { Err(Problem::fields(errors)) }
    }

    fn into_stdio(self) -> Result<Definition, Vec<FieldError>> {
        let strangers = [
            ("/base_url", self.base_url.is_some()),
            ("/timeout_seconds", self.timeout_seconds.is_some()),
            ("/auth", self.auth.is_some_and(|auth| !auth.is_none())),
        ];
        demand_none("stdio", &strangers)?;
        let env = self.env.unwrap_or_default();
        let stdio = StdioDefinition {
            command: self.command.unwrap_or_default(),
            args: self.args.unwrap_or_default(),
            // A `null` here clears what was never set.
            env: env.into_iter().filter_map(|(name, value)| Some((name, value?.into_text()))).collect(),
            cwd: self.cwd,
            shared: self.shared.unwrap_or(false),
        };
        Ok(Definition { name: self.name, mode: Mode::Stdio(stdio) })
    }

    fn into_http(self) -> Result<Definition, Vec<FieldError>> {
        let strangers = [
            ("/command", self.command.is_some()),
            ("/args", self.args.is_some_and(|args| !args.is_empty())),
            ("/env", self.env.is_some_and(|env| !env.is_empty())),
            ("/cwd", self.cwd.is_some()),
            ("/shared", self.shared == Some(true)),
        ];
        demand_none("http", &strangers)?;
        let login = auth::edit(self.auth.map_or(Edit::Keep, Edit::Set), Stored::nothing())?;
        let http = HttpDefinition {
            base_url: self.base_url.unwrap_or_default(),
            timeout_seconds: self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
            credential: login.credential,
        };
        Ok(Definition { name: self.name, mode: Mode::Http(http) })
    }
}

/// Lists what a definition's room finds wrong with it.
#[must_use]
pub fn faults_of(gateway: &Gateway, definition: &Definition) -> Vec<FieldError> {
    let faults = definition.faults().into_iter().chain(definition.fault_at(gateway.address, &gateway.public_url));
    faults.map(|fault| FieldError { pointer: fault.pointer, detail: fault.detail }).collect()
}

/// Refuses fields of the other mode; what they would say anyway may stand there.
pub(super) fn demand_none(mode: &str, strangers: &[(&str, bool)]) -> Result<(), Vec<FieldError>> {
    let given = strangers.iter().filter(|(_, is_given)| *is_given);
    let errors: Vec<_> = given
        .map(|(pointer, _)| FieldError {
            pointer: (*pointer).to_owned(),
            detail: format!("a server in {mode} mode has no such field; leave it out"),
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
