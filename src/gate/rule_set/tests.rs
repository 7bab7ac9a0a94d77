//! What a rule set promises, with and without chance.

use proptest::prelude::*;

use super::*;
use crate::store;

fn row(id: usize, action: &str, agents: &str, servers: &str, tools: &str, methods: &str) -> store::rule::Row {
    let list = |glob: &str| serde_json::json!([glob]).to_string();
    store::rule::Row {
        id: format!("r{id}"),
        position: i32::try_from(id).expect("few rules"),
        enabled: true,
        action: action.into(),
        agents: list(agents),
        servers: list(servers),
        tools: list(tools),
        methods: list(methods),
        description: String::new(),
        guidance: String::new(),
        revision: 1,
        created_at: 0,
        updated_at: 0,
    }
}

fn set(rows: &[store::rule::Row]) -> RuleSet {
    RuleSet::new(1, Action::Ask, rows.iter().map(|row| Rule::parse(row).expect("a rule")).collect())
}

fn call(agent: &str, server: &str, method: &str, tool: Option<&str>) -> Call {
    Call { agent: agent.into(), server: server.into(), method: method.into(), tool: tool.map(Into::into) }
}

#[test]
fn the_first_match_wins() {
    let set = set(&[row(1, "deny", "*", "*", "delete_*", "tools/call"), row(2, "allow", "*", "*", "*", "tools/call")]);
    assert_eq!(set.evaluate(&call("a", "s", "tools/call", Some("delete_all"))).action, Action::Deny);
    assert_eq!(set.evaluate(&call("a", "s", "tools/call", Some("read"))).action, Action::Allow);
}

#[test]
fn an_unmatched_call_gets_the_default_and_an_unmatched_listing_passes() {
    let set = set(&[]);
    assert_eq!(set.evaluate(&call("a", "s", "tools/call", Some("x"))).action, Action::Ask);
    assert_eq!(set.evaluate(&call("a", "s", "made/up", None)).action, Action::Ask);
    assert_eq!(set.evaluate(&call("a", "s", "tools/list", None)).action, Action::Allow);
}

#[test]
fn a_rule_about_named_tools_says_nothing_about_calls_without_one() {
    let set = set(&[row(1, "deny", "*", "*", "delete_*", "*")]);
    assert_eq!(set.evaluate(&call("a", "s", "tools/list", None)).action, Action::Allow);
}

const NAMES: [&str; 4] = ["a", "ab", "b", "*"];
const METHODS: [&str; 4] = ["tools/call", "tools/list", "resources/read", "*"];
const ACTIONS: [&str; 3] = ["allow", "deny", "ask"];

proptest! {
    #[test]
    fn listing_and_calling_agree_and_the_trace_ends_at_the_deciding_rule(
        rules in prop::collection::vec((0..3usize, 0..4usize, 0..4usize, 0..4usize, 0..4usize), 0..8),
        who in 0..3usize, which in 0..3usize, what in 0..3usize, how in 0..3usize,
    ) {
        let rows: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(id, (action, agent, server, tool, method))| {
                row(id, ACTIONS[*action], NAMES[*agent], NAMES[*server], NAMES[*tool], METHODS[*method])
            })
            .collect();
        let set = set(&rows);
        let call = call(NAMES[who], NAMES[which], METHODS[how], Some(NAMES[what]));
        let decision = set.evaluate(&call);
        prop_assert_eq!(set.shows(&call), decision.action != Action::Deny);
        let trace = set.trace(&call);
        let matched = trace.last().filter(|step| step.mismatch.is_none());
        prop_assert_eq!(decision.rule_id.as_deref(), matched.map(|step| &*step.rule.id));
        prop_assert!(trace.iter().rev().skip(1).all(|step| step.mismatch.is_some()));
    }
}
