//! `atryum rule …`: what the gateway decides by.

mod policy;
mod simulation;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, Remote, segment},
    error::CliError,
    output::{cell, grid, remark, show, table, text},
};

use crate::mcp::{splice, strict};

const PATH: &str = "/api/v1/rules";

#[derive(Args, Debug)]
pub(super) struct Rule {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a rule, at the end or before another
    Add(Add),
    /// List the rules in the order in which they are tried
    List,
    /// Run a file of tests against rules, or ask what the rules say to one call, and why; nothing is called
    Test(Test),
    /// Tell which recorded calls other rules would have decided otherwise; nothing is called
    Simulate(simulation::Simulate),
    /// Give a rule another place
    Move(Move),
    /// Let a rule decide again
    Enable(Which),
    /// Keep a rule without letting it decide
    Disable(Which),
    /// Delete a rule
    Remove(Which),
    /// Show or set what happens to a call that no rule matches
    Default {
        /// The action; shown when left out
        action: Option<Action>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Let it through
    Allow,
    /// Refuse it
    Deny,
    /// Put it to a person
    Ask,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

#[derive(Args, Debug)]
struct Add {
    /// What to do with a call that matches
    action: Action,
    /// A glob over agents' names; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    agent: Vec<String>,
    /// A glob over servers' names; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    server: Vec<String>,
    /// A glob over the names of tools; repeat for more [default: any]
    #[arg(long, value_name = "GLOB")]
    tool: Vec<String>,
    /// A glob over MCP methods; repeat for more [default: tools/call]
    #[arg(long, value_name = "GLOB")]
    method: Vec<String>,
    /// A condition in CEL, such as "args.amount <= 1000"
    #[arg(long, value_name = "EXPRESSION")]
    when: Option<String>,
    /// Why the rule is there, for operators
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What the model is told when the rule denies
    #[arg(long, value_name = "TEXT")]
    guidance: Option<String>,
    /// Put it before this rule, by id or place
    #[arg(long, value_name = "RULE")]
    before: Option<String>,
    /// When it ends, such as 2026-12-31T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Evaluate and record it without enforcing it
    #[arg(long)]
    shadow: bool,
    /// Add it without letting it decide
    #[arg(long)]
    disabled: bool,
}

#[derive(Args, Debug)]
struct Test {
    /// A file of tests, TOML or JSON; with --agent, the server's name
    #[arg(value_name = "FILE|SERVER")]
    subject: String,
    /// The tool's name
    #[arg(requires = "agent")]
    tool: Option<String>,
    /// The agent's name
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// The MCP method [default: tools/call]
    #[arg(long, requires = "agent")]
    method: Option<String>,
    /// The call's arguments, a JSON object
    #[arg(long, value_name = "JSON", requires = "agent")]
    arguments: Option<String>,
}

#[derive(Args, Debug)]
struct Move {
    /// The rule, by id or place
    rule: String,
    /// Before this rule, by id or place
    #[arg(long, value_name = "RULE", required_unless_present = "last")]
    before: Option<String>,
    /// Behind all others
    #[arg(long, conflicts_with = "before")]
    last: bool,
}

#[derive(Args, Debug)]
struct Which {
    /// The rule, by id or place
    rule: String,
}

impl Rule {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = Client::new(&self.remote.url);
        match &self.act {
            Act::Add(add) => self.add(&client, add).await?,
            Act::List => self.list(&client.list(PATH).await?),
            Act::Test(test) => match &test.agent {
                Some(agent) => self.test(&client, &test.body(agent)?).await?,
                None => policy::run(&client, &test.subject, self.remote.output).await?,
            },
            Act::Simulate(simulate) => simulate.run(&client, self.remote.output).await?,
            Act::Move(to) => self.list(&reorder(&client, to).await?),
            Act::Enable(which) => self.set_enabled(&client, which, true).await?,
            Act::Disable(which) => self.set_enabled(&client, which, false).await?,
            Act::Remove(which) => {
                let id = which.id(&client).await?;
                client.delete(&format!("{PATH}/{}", segment(&id))).await?;
                remark("the rule is removed");
            }
            Act::Default { action } => self.default(&client, *action).await?,
        }
        Ok(())
    }

    fn list(&self, rules: &Value) {
        let columns = [
            ("#", "/position"),
            ("ON", "/enabled"),
            ("ACTION", "/action"),
            ("AGENTS", "/agents"),
            ("SERVERS", "/servers"),
            ("TOOLS", "/tools"),
            ("METHODS", "/methods"),
            ("WHEN", "/when"),
            ("SHADOW", "/shadow"),
            ("HITS", "/hits"),
            ("ID", "/id"),
            ("DESCRIPTION", "/description"),
        ];
        show(self.remote.output, rules, |rules| table(rules, &columns));
        for rule in rules.as_array().into_iter().flatten() {
            warn(rule);
        }
    }

    async fn add(&self, client: &Client, add: &Add) -> Result<(), CliError> {
        let before = match &add.before {
            Some(rule) => Some(find(&client.list(PATH).await?, rule)?),
            None => None,
        };
        let rule = client.post(PATH, &add.body(before)).await?;
        show(self.remote.output, &rule, |rule| {
            format!("rule {} stands at place {}", cell(rule, "/id"), cell(rule, "/position"))
        });
        warn(&rule);
        Ok(())
    }

    async fn test(&self, client: &Client, call: &RawValue) -> Result<(), CliError> {
        let verdict = client.post(&format!("{PATH}/test"), call).await?;
        show(self.remote.output, &verdict, |verdict| {
            let by = match text(verdict, "/rule_id") {
                "" => "no rule matches".to_owned(),
                id => format!("by rule {id}"),
            };
            let steps = verdict.pointer("/trace").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<Vec<String>> =
                steps.iter().map(|step| vec![cell(step, "/rule_id"), cell(step, "/why")]).collect();
            format!("{}, {by}: {}\n{}", cell(verdict, "/decision"), cell(verdict, "/reason"), grid(&rows))
        });
        Ok(())
    }

    async fn set_enabled(&self, client: &Client, which: &Which, enabled: bool) -> Result<(), CliError> {
        let id = which.id(client).await?;
        let rule = client.patch(&format!("{PATH}/{}", segment(&id)), &json!({ "enabled": enabled })).await?;
        let word = if enabled { "decides again" } else { "decides nothing any more" };
        show(self.remote.output, &rule, |rule| format!("rule {} {word}", cell(rule, "/id")));
        Ok(())
    }

    async fn default(&self, client: &Client, action: Option<Action>) -> Result<(), CliError> {
        let path = format!("{PATH}/default");
        let answer = match action {
            Some(action) => client.put(&path, &json!({ "action": action.word() })).await?,
            None => client.get(&path).await?,
        };
        show(self.remote.output, &answer, |answer| cell(answer, "/action"));
        Ok(())
    }
}

impl Add {
    /// What was said; what was not is left to the gateway.
    fn body(&self, before: Option<String>) -> Value {
        let mut body = Map::new();
        body.insert("action".into(), json!(self.action.word()));
        let lists =
            [("agents", &self.agent), ("servers", &self.server), ("tools", &self.tool), ("methods", &self.method)];
        for (name, globs) in lists.into_iter().filter(|(_, globs)| !globs.is_empty()) {
            body.insert(name.into(), json!(globs));
        }
        let texts = [
            ("when", self.when.clone()),
            ("description", self.description.clone()),
            ("guidance", self.guidance.clone()),
            ("expires_at", self.expires_at.clone()),
            ("before", before),
        ];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            body.insert(name.into(), json!(text));
        }
        if self.shadow {
            body.insert("shadow".into(), json!(true));
        }
        if self.disabled {
            body.insert("enabled".into(), json!(false));
        }
        Value::Object(body)
    }
}

impl Test {
    fn body(&self, agent: &str) -> Result<Box<RawValue>, CliError> {
        let mut body = Map::new();
        body.insert("agent".into(), json!(agent));
        body.insert("server".into(), json!(self.subject));
        if let Some(method) = &self.method {
            body.insert("method".into(), json!(method));
        }
        if let Some(tool) = &self.tool {
            body.insert("tool".into(), json!(tool));
        }
        let mut text = Value::Object(body).to_string();
        if let Some(arguments) = &self.arguments {
            // It goes out to the letter, as an agent's would.
            strict::check(arguments).map_err(|error| CliError::Usage(format!("--arguments is not JSON: {error}")))?;
            text = splice::set(&text, &["arguments"], arguments);
        }
        RawValue::from_string(text).map_err(|error| CliError::Failed(error.to_string()))
    }
}

impl Which {
    async fn id(&self, client: &Client) -> Result<String, CliError> {
        find(&client.list(PATH).await?, &self.rule)
    }
}

/// Says what the gateway remarks of a rule.
fn warn(rule: &Value) {
    for warning in rule.pointer("/warnings").and_then(Value::as_array).into_iter().flatten() {
        remark(&format!(
            "rule {} at place {}: {}",
            cell(rule, "/id"),
            cell(rule, "/position"),
            cell(warning, "/detail")
        ));
    }
}

/// The id of the rule that was named by its id or its place.
fn find(rules: &Value, named: &str) -> Result<String, CliError> {
    let is_meant = |rule: &&Value| text(rule, "/id") == named || cell(rule, "/position") == named;
    let found = rules.as_array().and_then(|rules| rules.iter().find(is_meant));
    let none = || CliError::Failed(format!("there is no rule {named}; atryum rule list shows places and ids"));
    found.map(|rule| text(rule, "/id").to_owned()).ok_or_else(none)
}

async fn reorder(client: &Client, to: &Move) -> Result<Value, CliError> {
    let rules = client.list(PATH).await?;
    let moved = find(&rules, &to.rule)?;
    let before = to.before.as_ref().map(|rule| find(&rules, rule)).transpose()?;
    let ids = rules.as_array().into_iter().flatten().map(|rule| text(rule, "/id").to_owned()).collect();
    let order = json!({ "ids": with_moved(ids, &moved, before.as_deref()) });
    let answer = client.put(&format!("{PATH}/order"), &order).await?;
    Ok(answer.pointer("/items").cloned().unwrap_or_default())
}

/// The ids with one of them before another, or at the end.
fn with_moved(ids: Vec<String>, moved: &str, before: Option<&str>) -> Vec<String> {
    if before == Some(moved) {
        return ids;
    }
    let mut order: Vec<String> = ids.into_iter().filter(|id| id != moved).collect();
    let place = before.and_then(|before| order.iter().position(|id| id == before)).unwrap_or(order.len());
    order.insert(place, moved.to_owned());
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(moved: &str, before: Option<&str>) -> String {
        let ids = ["a", "b", "c"].map(String::from).to_vec();
        with_moved(ids, moved, before).concat()
    }

    #[test]
    fn a_rule_moves_before_another_or_to_the_end() {
        assert_eq!(moved("c", Some("a")), "cab");
        assert_eq!(moved("a", Some("c")), "bac");
        assert_eq!(moved("a", None), "bca");
        assert_eq!(moved("b", Some("b")), "abc");
    }

    #[test]
    fn a_rule_is_found_by_id_and_by_place() {
        let rules = json!([{ "id": "x", "position": 1 }, { "id": "y", "position": 2 }]);
        assert_eq!(find(&rules, "2").unwrap(), "y");
        assert_eq!(find(&rules, "x").unwrap(), "x");
        assert!(matches!(find(&rules, "3"), Err(CliError::Failed(_))));
    }
}
