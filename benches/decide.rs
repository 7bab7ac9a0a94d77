//! What a decision costs, by the number of rules. `make bench` runs it; what came out is in docs/benchmarks.md.
//!
//! The rules stand for a large installation's: none of them matches but the last, so that each call is put to all of
//! them. Every call is decided from its text, as the gateway does it, conditions and arguments included.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that meets an error has no figures to give, and prints those that it has"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use atryum::gate::{Action, Arguments, Call, RuleSet};
use atryum::store::rule::{NewRule, Row, Snapshot};

const NUMBERS_OF_RULES: [usize; 4] = [10, 100, 1_000, 10_000];
const NOW_MS: i64 = 1_795_435_200_000;
/// Decisions that are timed, one by one.
const SAMPLES: usize = 20_000;
const SAMPLES_SLOW: usize = 2_000;

/// A way in which rules miss a call.
struct Shape {
    name: &'static str,
    make: fn(usize) -> NewRule,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "each names a server", make: |place| rule(&format!("server-{place}"), "*", None) },
    Shape { name: "each names a tool", make: |place| rule("*", &format!("tool_{place}"), None) },
    Shape { name: "each has a glob", make: |place| rule("*", &format!("tool_{place}_*"), None) },
    Shape { name: "each has a glob with a choice", make: |place| rule("*", &format!("{{get,set}}_{place}_*"), None) },
    Shape {
        name: "one in ten has a condition that is reached",
        make: |place| match place % 10 {
            0 => rule("bank", "pay", Some(&format!("args.amount > 1000 && args.currency == 'C{place}'"))),
            _ => rule(&format!("server-{place}"), "*", None),
        },
    },
];

fn rule(server: &str, tool: &str, condition: Option<&str>) -> NewRule {
    NewRule {
        enabled: true,
        action: "deny".into(),
        agents: r#"["*"]"#.into(),
        servers: format!("[\"{server}\"]"),
        tools: format!("[\"{tool}\"]"),
        methods: r#"["tools/call"]"#.into(),
        condition: condition.map(Into::into),
        ..NewRule::default()
    }
}

fn rule_set(shape: &Shape, rules: usize) -> RuleSet {
    let mut last = rule("bank", "pay", None);
    last.action = "allow".into();
    let made = (0..rules - 1).map(shape.make).chain([last]);
    let rules: Vec<Row> =
        (1..).zip(made).map(|(place, rule): (i32, NewRule)| rule.into_row(place.to_string(), place, 0)).collect();
    RuleSet::of(&Snapshot { revision: 1, default_action: "ask".into(), rules }).expect("rules that can be read")
}

fn call() -> Call {
    Call {
        agent: "claude".into(),
        server: "bank".into(),
        method: "tools/call".into(),
        tool: Some("pay".into()),
        arguments: Arguments::given(Some(
            r#"{"to":"DE02120300000000202051","amount":2000,"currency":"EUR","note":"invoice 4711"}"#,
        )),
        hints: None,
    }
}

fn main() {
    // `cargo test --benches` asks whether it works, not how fast it is.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let mut table = String::from("| rules | p50 µs | p99 µs | what misses |\n|---:|---:|---:|---|\n");
    for shape in &SHAPES {
        for rules in NUMBERS_OF_RULES {
            let set = rule_set(shape, rules);
            let samples = if is_test {
                1
            } else if rules > 1_000 {
                SAMPLES_SLOW
            } else {
                SAMPLES
            };
            let mut took: Vec<u128> = (0..samples).map(|_| time(&set)).collect();
            took.sort_unstable();
            let at = |share: usize| took[(took.len() - 1) * share / 100] as f64 / 1_000.0;
            let _ = writeln!(table, "| {rules} | {:.2} | {:.2} | {} |", at(50), at(99), shape.name);
        }
    }
    println!("{table}");
}

fn time(set: &RuleSet) -> u128 {
    let call = call();
    let began = Instant::now();
    let decision = black_box(set.evaluate(black_box(&call), NOW_MS));
    let took = began.elapsed().as_nanos();
    assert_eq!(decision.action, Action::Allow, "{}", decision.reason);
    took
}
