//! A rule as operators write it.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::gate::{Action, Patterns};
use crate::http::body::Edit;
use crate::http::problem::{FieldError, Problem};
use crate::store::rule::{NewRule, Row};

/// A rule that is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RuleWrite)]
pub struct RuleDraft {
    action: Action,
    /// Globs (`*`, `?`, `{a,b}`) over agents' names; any when left out.
    #[schema(example = json!(["*"]))]
    agents: Option<Vec<String>>,
    /// Globs over servers' names; any when left out.
    #[schema(example = json!(["git*"]))]
    servers: Option<Vec<String>>,
    /// Globs over the names of tools and prompts, and over URIs of resources; any when left out.
    #[schema(example = json!(["create_*"]))]
    tools: Option<Vec<String>>,
    /// Globs over MCP methods; `tools/call` when left out.
    #[schema(example = json!(["tools/call"]))]
    methods: Option<Vec<String>>,
    /// For operators.
    description: Option<String>,
    /// Told to the model when the rule denies.
    guidance: Option<String>,
    /// A disabled rule never matches; true when left out.
    enabled: Option<bool>,
    /// The id of the rule before which it is to stand; at the end when left out.
    before: Option<String>,
}

impl RuleDraft {
    /// Judges the draft whole.
    ///
    /// # Errors
    /// Every field that can't be used.
    pub fn into_new(self) -> Result<(NewRule, Option<String>), Problem> {
        let any = || vec!["*".to_owned()];
        let mut lists = Lists::default();
        let new = NewRule {
            enabled: self.enabled.unwrap_or(true),
            action: self.action.as_str().to_owned(),
            agents: lists.text("/agents", &self.agents.unwrap_or_else(any)),
            servers: lists.text("/servers", &self.servers.unwrap_or_else(any)),
            tools: lists.text("/tools", &self.tools.unwrap_or_else(any)),
            methods: lists.text("/methods", &self.methods.unwrap_or_else(default_methods)),
            description: self.description.unwrap_or_default(),
            guidance: self.guidance.unwrap_or_default(),
        };
        lists.finish()?;
        Ok((new, self.before))
    }
}

/// What is to change, as a JSON Merge Patch: what is absent stays, what is `null` is as if it had been left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulePatch {
    #[serde(default)]
    #[schema(value_type = Option<Action>)]
    action: Edit<Action>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    agents: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    servers: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    tools: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    methods: Edit<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    guidance: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Edit<bool>,
}

impl RulePatch {
    /// Applies the patch to a stored rule.
    ///
    /// # Errors
    /// Every field that can't be used.
    pub fn apply(self, row: &mut Row) -> Result<(), Problem> {
        let any = || vec!["*".to_owned()];
        let mut lists = Lists::default();
        lists.edit("/agents", self.agents.or_default(any), &mut row.agents);
        lists.edit("/servers", self.servers.or_default(any), &mut row.servers);
        lists.edit("/tools", self.tools.or_default(any), &mut row.tools);
        lists.edit("/methods", self.methods.or_default(default_methods), &mut row.methods);
        match self.action {
            Edit::Keep => {}
            Edit::Set(action) => action.as_str().clone_into(&mut row.action),
            Edit::Clear => lists.refuse("/action", "one of allow, deny, ask is expected, not null"),
        }
        self.description.apply_or_default(&mut row.description, String::new());
        self.guidance.apply_or_default(&mut row.guidance, String::new());
        self.enabled.apply_or_default(&mut row.enabled, true);
        lists.finish()
    }
}

/// A rule is about tools unless it says otherwise.
fn default_methods() -> Vec<String> {
    vec!["tools/call".to_owned()]
}

/// Lists of globs on their way into a row, and what is wrong with them.
#[derive(Default)]
struct Lists {
    errors: Vec<FieldError>,
}

impl Lists {
    fn text(&mut self, pointer: &str, globs: &[String]) -> String {
        if let Err(error) = Patterns::parse(globs) {
            self.refuse(pointer, &error.to_string());
        }
        serde_json::to_string(globs).unwrap_or_default()
    }

    fn edit(&mut self, pointer: &str, wanted: Option<Vec<String>>, column: &mut String) {
        if let Some(globs) = wanted {
            *column = self.text(pointer, &globs);
        }
    }

    fn refuse(&mut self, pointer: &str, detail: &str) {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }
}
