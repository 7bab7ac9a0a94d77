//! What a rule set promises, with and without chance.
//!
//! The last ones go through as many random rule sets and calls as `PROPTEST_CASES` says.

use proptest::prelude::*;

use super::*;
use crate::gate::Arguments;
use crate::store;

const NOW_MS: i64 = 1_000;

fn row(id: usize, action: &str, agents: &str, servers: &str, tools: &str, methods: &str) -> store::rule::Row {
    let list = |glob: &str| serde_json::json!([glob]).to_string();
    let new = store::rule::NewRule {
        enabled: true,
        action: action.into(),
        agents: list(agents),
        servers: list(servers),
        tools: list(tools),
        methods: list(methods),
        ..store::rule::NewRule::default()
    };
    new.into_row(format!("r{id}"), i32::try_from(id).expect("few rules"), 0)
}

fn when(action: &str, condition: &str) -> store::rule::Row {
    store::rule::Row { condition: Some(condition.into()), ..row(1, action, "*", "*", "*", "tools/call") }
}

fn set(rows: &[store::rule::Row]) -> RuleSet {
    let stored = store::rule::Snapshot { revision: 1, default_action: "ask".into(), rules: rows.to_vec() };
    RuleSet::of(&stored).expect("rules")
}

fn call(agent: &str, server: &str, method: &str, tool: Option<&str>) -> Call {
    Call {
        agent: agent.into(),
        server: server.into(),
        method: method.into(),
        tool: tool.map(Into::into),
        arguments: Arguments::None,
        hints: None,
    }
}

fn action(set: &RuleSet, call: &Call) -> Action {
    set.evaluate(call, NOW_MS).action
}

#[test]
fn the_first_match_wins() {
    let set = set(&[row(1, "deny", "*", "*", "delete_*", "tools/call"), row(2, "allow", "*", "*", "*", "tools/call")]);
    assert_eq!(action(&set, &call("a", "s", "tools/call", Some("delete_all"))), Action::Deny);
    assert_eq!(action(&set, &call("a", "s", "tools/call", Some("read"))), Action::Allow);
}

#[test]
fn an_unmatched_call_gets_the_default_and_an_unmatched_listing_passes() {
    let set = set(&[]);
    assert_eq!(action(&set, &call("a", "s", "tools/call", Some("x"))), Action::Ask);
    assert_eq!(action(&set, &call("a", "s", "made/up", None)), Action::Ask);
    assert_eq!(action(&set, &call("a", "s", "tools/list", None)), Action::Allow);
}

#[test]
fn a_rule_about_named_tools_says_nothing_about_calls_without_one() {
    let set = set(&[row(1, "deny", "*", "*", "delete_*", "*")]);
    assert_eq!(action(&set, &call("a", "s", "tools/list", None)), Action::Allow);
}

#[test]
fn a_condition_that_fails_denies_whatever_its_rule_does_and_says_why() {
    let tool = call("a", "s", "tools/call", Some("x"));
    for action in ["allow", "ask", "deny"] {
        let decision = set(&[when(action, "args.n > 1"), row(2, "allow", "*", "*", "*", "*")]).evaluate(&tool, NOW_MS);
        assert_eq!((decision.action, decision.rule_id.as_deref()), (Action::Deny, Some("r1")), "{action}");
        assert!(decision.reason.contains("can't be evaluated") && decision.reason.contains("has()"), "{decision:?}");
    }
}

#[test]
fn a_stored_condition_that_can_not_be_read_denies_its_calls_and_no_others() {
    let broken = store::rule::Row { tools: r#"["x"]"#.into(), ..when("allow", "args.n >") };
    let set = set(&[broken, row(2, "allow", "*", "*", "*", "*")]);
    assert_eq!(action(&set, &call("a", "s", "tools/call", Some("x"))), Action::Deny);
    assert_eq!(action(&set, &call("a", "s", "tools/call", Some("y"))), Action::Allow);
}

#[test]
fn a_rule_ends_at_its_time() {
    let mut rule = row(1, "deny", "*", "*", "*", "*");
    rule.expires_at = Some(NOW_MS);
    let set = set(&[rule]);
    let tool = call("a", "s", "tools/call", Some("x"));
    assert_eq!(set.evaluate(&tool, NOW_MS - 1).action, Action::Deny);
    assert_eq!(set.evaluate(&tool, NOW_MS).action, Action::Ask);
}

#[test]
fn a_rule_in_shadow_decides_nothing_and_the_first_that_matches_is_told() {
    let shadow = |mut row: store::rule::Row| {
        row.shadow = true;
        row
    };
    let set = set(&[
        shadow(row(1, "deny", "*", "*", "y", "*")),
        shadow(when("allow", "args.n > 1")),
        shadow(row(3, "ask", "*", "*", "*", "*")),
        row(4, "allow", "*", "*", "*", "*"),
        shadow(row(5, "deny", "*", "*", "*", "*")),
    ]);
    let told = |tool: &str, arguments: Arguments| {
        let decision = set.evaluate(&Call { arguments, ..call("a", "s", "tools/call", Some(tool)) }, NOW_MS);
        assert_eq!((decision.action, decision.rule_id.as_deref()), (Action::Allow, Some("r4")));
        decision.shadow.map(|shadow| (shadow.rule_id.to_string(), shadow.action))
    };
    assert_eq!(told("y", Arguments::None), Some(("r1".into(), Action::Deny)));
    assert_eq!(told("x", Arguments::None), Some(("r1".into(), Action::Deny)), "what fails would have denied");
    assert_eq!(told("x", Arguments::given(Some(r#"{"n":2}"#))), Some(("r1".into(), Action::Allow)));
    assert_eq!(told("x", Arguments::given(Some(r#"{"n":1}"#))), Some(("r3".into(), Action::Ask)));
}

#[test]
fn a_tool_is_shown_unless_every_call_of_it_would_be_denied() {
    let tool = Call { arguments: Arguments::Unknown, ..call("a", "s", "tools/call", Some("x")) };
    let rest = |action| row(2, action, "*", "*", "*", "*");
    for (rules, is_shown) in [
        (vec![when("deny", "args.n > 1"), rest("allow")], true),
        (vec![when("deny", "args.n > 1"), rest("deny")], false),
        (vec![when("allow", "args.n > 1"), rest("deny")], true),
        (vec![when("ask", "args.n > 1"), rest("deny")], true),
        (vec![when("allow", "agent == 'b' && args.n > 1"), rest("deny")], false),
        (vec![when("allow", "hints.readOnlyHint"), rest("allow")], false),
        (vec![when("deny", "agent == 'a'"), rest("allow")], false),
    ] {
        assert_eq!(set(&rules).shows(&tool, NOW_MS), is_shown, "{rules:?}");
    }
    let hinted = Call { hints: Some(r#"{"readOnlyHint":true}"#.into()), ..tool };
    assert!(set(&[when("allow", "hints.readOnlyHint"), rest("deny")]).shows(&hinted, NOW_MS));
}

#[test]
fn what_can_never_match_is_told() {
    let known = lint::Known { servers: vec![("git".into(), true), ("off".into(), false)], agents: vec!["ann".into()] };
    let codes = |rows: &[store::rule::Row]| -> Vec<Vec<&str>> {
        let rules: Vec<_> = rows.iter().map(|row| Rule::parse(row).expect("a rule")).collect();
        let found = (0..rules.len()).map(|place| lint::warnings(&rules, place, &known, NOW_MS));
        found.map(|found| found.into_iter().map(|warning| warning.code).collect()).collect()
    };
    let of_one = |row: store::rule::Row| codes(&[row]).remove(0);
    assert_eq!(of_one(row(1, "allow", "ann", "gi*", "*", "*")), Vec::<&str>::new());
    assert_eq!(of_one(row(1, "allow", "*", "none*", "*", "*")), ["no_such_server"]);
    assert_eq!(of_one(row(1, "allow", "*", "o*", "*", "*")), ["server_disabled"]);
    assert_eq!(of_one(row(1, "allow", "bob", "*", "*", "*")), ["no_such_agent"]);
    assert_eq!(of_one(when("allow", "1 == 2")), ["never_true"]);
    assert_eq!(of_one(when("allow", "args.")), ["broken_when"]);
    let ends = |at: i64, row: store::rule::Row| store::rule::Row { expires_at: Some(at), ..row };
    assert_eq!(of_one(ends(NOW_MS, row(1, "allow", "*", "*", "*", "*"))), ["expired"]);
    let (wide, narrow) =
        (row(1, "deny", "*", "git*", "*", "tools/*"), row(2, "allow", "ann", "git", "a*", "tools/call"));
    assert_eq!(codes(&[wide.clone(), narrow.clone()])[1], ["unreachable"]);
    assert_eq!(codes(&[narrow.clone(), wide.clone()])[1], Vec::<&str>::new());
    assert_eq!(codes(&[store::rule::Row { shadow: true, ..wide.clone() }, narrow.clone()])[1], Vec::<&str>::new());
    assert_eq!(codes(&[ends(2_000, wide.clone()), narrow.clone()])[1], Vec::<&str>::new(), "its time comes");
    assert_eq!(codes(&[ends(2_000, wide), ends(2_000, narrow)])[1], ["unreachable"]);
}

const NAMES: [&str; 6] = ["a", "ab", "b", "*", "a*", "{a,b}?"];
const METHODS: [&str; 4] = ["tools/call", "tools/list", "resources/read", "*"];
const ACTIONS: [&str; 3] = ["allow", "deny", "ask"];
const CONDITIONS: [Option<&str>; 12] = [
    None,
    None,
    Some("args.n > 1"),
    Some("has(args.n) && args.n > 1"),
    Some("args.n > 1 || true"),
    Some("agent == 'a'"),
    Some("agent == 'a' && args.n == 1"),
    Some("tool.startsWith('a')"),
    Some("hints.readOnlyHint"),
    Some("args.l.exists(x, x == 1)"),
    Some("now > timestamp('1970-01-01T00:00:00Z')"),
    Some("1 / 0 == 1"),
];
/// The first three can be read whole.
const ARGUMENTS: [&str; 5] =
    [r#"{"n":2,"l":[]}"#, r#"{"n":1,"l":[1]}"#, "{}", r#"{"n":"x"}"#, r#"{"n":18446744073709551617}"#];
const ENDS: [Option<i64>; 3] = [None, Some(NOW_MS), Some(NOW_MS + 1)];

fn any_rows() -> impl Strategy<Value = Vec<store::rule::Row>> {
    let globs = (0..NAMES.len(), 0..NAMES.len(), 0..NAMES.len(), 0..METHODS.len());
    let modes = (prop::bool::weighted(0.2), prop::bool::weighted(0.8));
    let rule = (0..ACTIONS.len(), globs, 0..CONDITIONS.len(), 0..ENDS.len(), modes);
    prop::collection::vec(rule, 0..8).prop_map(|rules| {
        type Drawn = (usize, (usize, usize, usize, usize), usize, usize, (bool, bool));
        let row = |(id, (action, (agent, server, tool, method), condition, end, (shadow, enabled))): (usize, Drawn)| {
            let plain = row(id, ACTIONS[action], NAMES[agent], NAMES[server], NAMES[tool], METHODS[method]);
            store::rule::Row {
                condition: CONDITIONS[condition].map(str::to_owned),
                expires_at: ENDS[end],
                shadow,
                enabled,
                ..plain
            }
        };
        rules.into_iter().enumerate().map(row).collect()
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let names = (0..3usize, 0..3usize, 0..3usize, 0..METHODS.len());
    (names, 0..ARGUMENTS.len(), prop::bool::ANY).prop_map(|((who, which, what, how), arguments, is_hinted)| Call {
        arguments: Arguments::Text(ARGUMENTS[arguments].into()),
        hints: is_hinted.then(|| r#"{"readOnlyHint":true}"#.into()),
        ..call(NAMES[who], NAMES[which], METHODS[how], Some(NAMES[what]))
    })
}

proptest! {
    /// The plainest reading of "first match wins", one rule after the other and without an index.
    #[test]
    fn the_first_rule_that_matches_decides(rows in any_rows(), call in any_call()) {
        let set = set(&rows);
        let facts = Facts::new(&call, NOW_MS);
        let enabled = rows.iter().filter(|row| row.enabled).map(|row| Rule::parse(row).expect("a rule"));
        let judge = |rule: Rule| {
            let verdict = rule.judge(&call, &facts);
            (rule, verdict)
        };
        let judged: Vec<_> = enabled.map(judge).collect();
        let first = |is_shadow| {
            judged.iter().find(move |(rule, verdict)| rule.is_shadow == is_shadow && !matches!(verdict, Verdict::Misses(_)))
        };
        let decision = set.evaluate(&call, NOW_MS);
        let expected = first(false).map_or_else(|| set.default_for(&call), |(rule, verdict)| match verdict {
            Verdict::Matches => rule.action,
            _ => Action::Deny,
        });
        prop_assert_eq!(decision.action, expected);
        prop_assert_eq!(decision.rule_id.as_deref(), first(false).map(|(rule, _)| &*rule.id));
        let place = |id: Option<&str>| judged.iter().position(|(rule, _)| Some(&*rule.id) == id).unwrap_or(usize::MAX);
        let shadow = first(true).map(|(rule, _)| &*rule.id);
        let told = shadow.filter(|_| place(shadow) < place(decision.rule_id.as_deref()));
        prop_assert_eq!(decision.shadow.as_ref().map(|shadow| &*shadow.rule_id), told);
        let trace = set.trace(&call, NOW_MS);
        let last = trace.last().filter(|step| !step.rule.is_shadow && !matches!(step.verdict, Verdict::Misses(_)));
        prop_assert_eq!(decision.rule_id.as_deref(), last.map(|step| &*step.rule.id));
    }

    #[test]
    fn listing_and_calling_agree(rows in any_rows(), call in any_call()) {
        let set = set(&rows);
        let unknown = Call { arguments: Arguments::Unknown, ..call.clone() };
        let is_shown = set.shows(&unknown, NOW_MS);
        let can = |arguments: &str| {
            action(&set, &Call { arguments: Arguments::Text(arguments.into()), ..call.clone() }) != Action::Deny
        };
        // What is hidden can't be called, whatever it is called with.
        prop_assert!(is_shown || !ARGUMENTS.iter().any(|arguments| can(arguments)));
        // Where the arguments don't matter, what is shown can be called with all that can be read.
        if !set.evaluate(&unknown, NOW_MS).is_open {
            prop_assert!(ARGUMENTS[..3].iter().all(|arguments| can(arguments) == is_shown));
        }
        // With the arguments known there is nothing left to guess.
        prop_assert_eq!(set.shows(&call, NOW_MS), action(&set, &call) != Action::Deny);
    }
}
