//! A rule as operators write it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gate::{Action, Condition, Patterns};
use crate::http::body::Edit;
use crate::http::problem::{FieldError, Problem};
use crate::http::time::Time;
use crate::store::rule::{NewRule, Row};

/// A rule that is to be added.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RuleWrite)]
pub struct RuleDraft {
    pub(in crate::http::admin) action: Action,
    /// Globs (`*`, `?`, `{a,b}`) over agents' names; any when left out.
    #[schema(example = json!(["*"]))]
    pub(in crate::http::admin) agents: Option<Vec<String>>,
    /// Globs over servers' names; any when left out.
    #[schema(example = json!(["git*"]))]
    pub(in crate::http::admin) servers: Option<Vec<String>>,
    /// Globs over the names of tools and prompts, and over URIs of resources; any when left out.
    #[schema(example = json!(["create_*"]))]
    pub(in crate::http::admin) tools: Option<Vec<String>>,
    /// Globs over MCP methods; `tools/call` when left out.
    #[schema(example = json!(["tools/call"]))]
    pub(in crate::http::admin) methods: Option<Vec<String>>,
    /// CEL over `args`, `agent`, `server`, `tool`, `method`, `hints` and `now`; without it the rule holds for every call.
    /// A call for which it can't be evaluated is denied.
    #[schema(example = "args.repo == 'api' && args.amount <= 1000")]
    pub(in crate::http::admin) when: Option<String>,
    /// For operators.
    pub(in crate::http::admin) description: Option<String>,
    /// Told to the model when the rule denies.
    pub(in crate::http::admin) guidance: Option<String>,
    /// The rule is evaluated and recorded, and decides nothing; false when left out.
    pub(in crate::http::admin) shadow: Option<bool>,
    /// The rule matches nothing from then on; never when left out.
    pub(in crate::http::admin) expires_at: Option<Time>,
    /// A disabled rule never matches; true when left out.
    pub(in crate::http::admin) enabled: Option<bool>,
    /// The id of the rule before which it is to stand; at the end when left out.
    pub(in crate::http::admin) before: Option<String>,
}

impl RuleDraft {
    /// Judges the draft whole.
    ///
    /// # Errors
    /// Every field that can't be used.
    pub fn into_new(self) -> Result<(NewRule, Option<String>), Problem> {
        let before = self.before.clone();
        self.judged("").map(|new| (new, before)).map_err(Problem::fields)
    }

    /// Judges a draft that stands at `place` in a body and is only tried out.
    ///
    /// # Errors
    /// Every field that can't be used.
    pub fn into_tried(self, place: &str) -> Result<NewRule, Vec<FieldError>> {
        if self.before.is_some() {
            let detail = "here the rules are tried in the order in which they are given";
            return Err(vec![FieldError { pointer: format!("{place}/before"), detail: detail.into() }]);
        }
        self.judged(place)
    }

    fn judged(self, place: &str) -> Result<NewRule, Vec<FieldError>> {
        let any = || vec!["*".to_owned()];
        let mut fields = Fields { place, errors: Vec::new() };
        let new = NewRule {
            enabled: self.enabled.unwrap_or(true),
            action: self.action.as_str().to_owned(),
            agents: fields.text("/agents", &self.agents.unwrap_or_else(any)),
            servers: fields.text("/servers", &self.servers.unwrap_or_else(any)),
            tools: fields.text("/tools", &self.tools.unwrap_or_else(any)),
            methods: fields.text("/methods", &self.methods.unwrap_or_else(default_methods)),
            condition: fields.condition(self.when),
            description: self.description.unwrap_or_default(),
            guidance: self.guidance.unwrap_or_default(),
            shadow: self.shadow.unwrap_or_default(),
            expires_at: self.expires_at.map(|time| time.0),
        };
        if fields.errors.is_empty() { Ok(new) } else { Err(fields.errors) }
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
    when: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    guidance: Edit<String>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    shadow: Edit<bool>,
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    expires_at: Edit<Time>,
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
        let mut fields = Fields { place: "", errors: Vec::new() };
        fields.edit("/agents", self.agents.or_default(any), &mut row.agents);
        fields.edit("/servers", self.servers.or_default(any), &mut row.servers);
        fields.edit("/tools", self.tools.or_default(any), &mut row.tools);
        fields.edit("/methods", self.methods.or_default(default_methods), &mut row.methods);
        match self.action {
            Edit::Keep => {}
            Edit::Set(action) => action.as_str().clone_into(&mut row.action),
            Edit::Clear => fields.refuse("/action", "one of allow, deny, ask is expected, not null"),
        }
        match self.when {
            Edit::Keep => {}
            Edit::Clear => row.condition = None,
            Edit::Set(when) => row.condition = fields.condition(Some(when)),
        }
        self.description.apply_or_default(&mut row.description, String::new());
        self.guidance.apply_or_default(&mut row.guidance, String::new());
        self.enabled.apply_or_default(&mut row.enabled, true);
        self.shadow.apply_or_default(&mut row.shadow, false);
        match self.expires_at {
            Edit::Keep => {}
            Edit::Clear => row.expires_at = None,
            Edit::Set(time) => row.expires_at = Some(time.0),
        }
        if fields.errors.is_empty() { Ok(()) } else { Err(Problem::fields(fields.errors)) }
    }
}

/// A rule is about tools unless it says otherwise.
fn default_methods() -> Vec<String> {
    vec!["tools/call".to_owned()]
}

/// Fields on their way into a row, and what is wrong with them.
struct Fields<'p> {
    /// Where in the body the rule stands.
    place: &'p str,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    fn text(&mut self, pointer: &str, globs: &[String]) -> String {
        if let Err(error) = Patterns::parse(globs) {
            self.refuse(pointer, &error.to_string());
        }
        serde_json::to_string(globs).unwrap_or_default()
    }

    fn condition(&mut self, when: Option<String>) -> Option<String> {
        if let Some(Err(error)) = when.as_deref().map(Condition::parse) {
            self.refuse("/when", &error.to_string());
        }
        when
    }

    fn edit(&mut self, pointer: &str, wanted: Option<Vec<String>>, column: &mut String) {
        if let Some(globs) = wanted {
            *column = self.text(pointer, &globs);
        }
    }

    fn refuse(&mut self, pointer: &str, detail: &str) {
        self.errors.push(FieldError { pointer: format!("{}{pointer}", self.place), detail: detail.into() });
    }
}
