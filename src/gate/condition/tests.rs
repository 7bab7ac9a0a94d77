//! What a condition may be, what it sees, and how it fails.

use proptest::prelude::*;

use super::*;
use crate::gate::{Arguments, Call};

/// 2026-11-23T12:00:00Z, a Monday.
const NOW_MS: i64 = 1_795_435_200_000;

fn call(arguments: Arguments) -> Call {
    Call {
        agent: "ann".into(),
        server: "bank".into(),
        method: "tools/call".into(),
        tool: Some("pay".into()),
        arguments,
        hints: Some(r#"{"readOnlyHint":true}"#.into()),
    }
}

fn outcome(text: &str, arguments: &str) -> Outcome {
    let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    condition.evaluate(&Facts::new(&call(Arguments::Text(arguments.into())), NOW_MS))
}

fn refusal(text: &str) -> String {
    Condition::parse(text).expect_err(text).to_string()
}

#[test]
fn a_condition_reads_the_call_and_the_time() {
    for (text, arguments, expected) in [
        ("args.repo == 'api' && args.amount <= 1000", r#"{"repo":"api","amount":1000}"#, Outcome::Holds),
        ("args.repo == 'api' && args.amount <= 1000", r#"{"repo":"api","amount":1000.5}"#, Outcome::Misses),
        ("agent == 'ann' && server == 'bank' && tool == 'pay' && method == 'tools/call'", "{}", Outcome::Holds),
        ("hints.readOnlyHint", "{}", Outcome::Holds),
        ("has(hints.destructiveHint) && hints.destructiveHint", "{}", Outcome::Misses),
        ("now.getDayOfWeek() == 1 && now.getHours('Europe/Berlin') == 13", "{}", Outcome::Holds),
        ("now < timestamp('2026-11-24T00:00:00Z')", "{}", Outcome::Holds),
        ("args.to.matches('^[a-z]+@example[.]com$')", r#"{"to":"bob@example.com"}"#, Outcome::Holds),
        ("args.to.matches('^[a-z]+@example[.]com$')", r#"{"to":"bob@example.org"}"#, Outcome::Misses),
        (
            "args.items.all(item, item.price < 10 && item.tags.exists(tag, tag == 'ok'))",
            r#"{"items":[{"price":1,"tags":["ok"]},{"price":2,"tags":["no","ok"]}]}"#,
            Outcome::Holds,
        ),
        // A name that is hidden is not read.
        (
            "args.rows.all(r, r.c.all(r, r.d.exists(x, x == 1)))",
            r#"{"rows":[{"c":[{"d":[0,1]},{"d":[1]}]},{"c":[]}]}"#,
            Outcome::Holds,
        ),
        ("args.items.exists_one(item, item > args.limit)", r#"{"items":[1,5],"limit":3}"#, Outcome::Holds),
        ("size(args.path) < 5 && !args.path.contains('..')", r#"{"path":"a/.."}"#, Outcome::Misses),
        (
            "args.a == null && args.b == true && args['c d'][0] == 'e'",
            r#"{"a":null,"b":true,"c d":["e"]}"#,
            Outcome::Holds,
        ),
        ("has(args.deep.er) || !has(args.deep)", "{}", Outcome::Holds),
    ] {
        assert_eq!(outcome(text, arguments), expected, "{text} on {arguments}");
    }
}

#[test]
fn what_can_not_be_evaluated_fails_and_tells_no_value() {
    for (text, arguments, words) in [
        ("args.amount <= 1000", "{}", "has()"),
        ("args.amount <= 1000", r#"{"amount":"s3cret"}"#, ""),
        ("args.amount", r#"{"amount":"s3cret"}"#, "string"),
        ("args.amount + 1 > 0", r#"{"amount":9223372036854775807}"#, "too large"),
        ("1 / args.amount == 1", r#"{"amount":0}"#, "zero"),
        ("args.amount < 10", r#"{"amount":18446744073709551617}"#, "rounding"),
        // Settled by the other side, but what was read can't be relied on.
        ("args.amount < 10 || true", r#"{"other":0.10000000000000000001}"#, "rounding"),
        ("int(args.amount) < 10", r#"{"amount":"s3cret"}"#, "int()"),
        ("args[args.key] == 1", r#"{"key":"s3cret"}"#, "not there"),
    ] {
        let Outcome::Failed(reason) = outcome(text, arguments) else {
            panic!("{text} on {arguments} is {:?}", outcome(text, arguments));
        };
        assert!(reason.contains(words) && !reason.contains("s3cret"), "{text}: {reason}");
    }
}

#[test]
fn a_text_that_is_no_bounded_condition_is_refused_in_words() {
    for (text, words) in [
        ("", "empty"),
        ("args.amount <=", "line 1"),
        ("arg.amount == 1", "there is no \"arg\""),
        ("args.amount.foo(1)", "there is no function \"foo\""),
        ("args.items.map(i, i + i).size() > 3", "map and filter"),
        ("args.items.filter(i, i > 3) == []", "map and filter"),
        ("args.items.all(i, args.items.all(j, i == j))", "a loop within a loop"),
        ("args.items.all(i, [1, 2].all(j, i == j))", "a loop within a loop"),
        ("args.rows.all(r, r.c.all(x, r.c.all(y, y != 0)))", "a loop within a loop"),
        ("args.rows.all(r, r.c.all(x, r.c.all(y, r.c.all(z, z != 0))))", "a loop within a loop"),
        ("args.rows.all(r, r.c.all(x, x in r.c))", "an outer loop"),
        ("args.rows.all(r, r.c.all(x, x.d[r.n].all(y, y == 1)))", "an outer loop"),
        ("args.rows.all(r, r.c.all(x, x.d.all(y, y == x.n)))", "an outer loop"),
        ("args.items.all(args, args == 1)", "can't be called"),
        ("args.to.matches(args.pattern)", "written out"),
        ("args.to.matches('(')", "regular expression"),
        ("args.to.matches('(\\\\w{100}){100}')", "regular expression"),
        ("Person{name: 'x'} == 1", "not there"),
        ("args.?amount == 1", "unsupported"),
        (&format!("args.a == '{}'", "x".repeat(TEXT_BYTES_MAX)), "bytes"),
        (&format!("{}true{}", "(".repeat(200), ")".repeat(200)), "more than"),
        (&format!("{}true{}", "[".repeat(100), "]".repeat(100)), "recursion"),
        (&format!("args{}", ".a".repeat(300)), "more than"),
        (&format!("args{} == 1", ".a".repeat(100)), "too deep"),
        (&"!-".repeat(2000), "more than"),
        (&"true?".repeat(800), "more than"),
        (&format!("args.a == 1{}", "+1".repeat(100)), "too deep"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(words), "{text}: {refusal}");
    }
    let many = vec!["args.a == 'x'"; 60].join(" || ");
    assert!(Condition::parse(&many).is_ok(), "what stands side by side is not deep");
}

#[test]
fn without_arguments_only_what_they_can_not_change_is_known() {
    for (text, expected) in [
        ("args.a == 1", Outcome::Open),
        ("agent == 'bob' && args.a == 1", Outcome::Misses),
        ("args.a == 1 && agent == 'bob'", Outcome::Misses),
        ("args.a == 1 || agent == 'ann'", Outcome::Holds),
        ("agent == 'ann' && args.a == 1", Outcome::Open),
        ("agent == 'ann'", Outcome::Holds),
        ("has(args.a)", Outcome::Open),
        ("[1, 2].exists(i, i == args.a)", Outcome::Open),
    ] {
        let condition = Condition::parse(text).expect(text);
        assert_eq!(condition.evaluate(&Facts::new(&call(Arguments::Unknown), NOW_MS)), expected, "{text}");
    }
    let fails = Condition::parse("hints.missing").expect("a condition");
    assert!(matches!(fails.evaluate(&Facts::new(&call(Arguments::Unknown), NOW_MS)), Outcome::Failed(_)));
}

#[test]
fn no_arguments_are_an_empty_object() {
    let condition = Condition::parse("size(args) == 0").expect("a condition");
    assert_eq!(condition.evaluate(&Facts::new(&call(Arguments::None), NOW_MS)), Outcome::Holds);
}

#[test]
fn arguments_of_any_size_are_read_within_a_budget() {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(value::BYTES_MAX));
    assert!(matches!(outcome("args.a == 'x'", &large), Outcome::Failed(reason) if reason.contains("bytes")));
    let many = format!(r#"{{"a":[{}]}}"#, vec!["1"; 20_000].join(","));
    assert!(matches!(outcome("size(args.a) > 1", &many), Outcome::Failed(reason) if reason.contains("values")));
    let wide = format!(r#"{{"a":[{}],"b":"{}"}}"#, vec!["1"; 9_000].join(","), "x".repeat(100_000));
    assert!(
        matches!(outcome("args.a.all(i, args.b != 'y')", &wide), Outcome::Failed(reason) if reason.contains("too long"))
    );
    assert!(
        matches!(outcome("args.a.all(i, args.b != 'y') || true", &wide), Outcome::Failed(_)),
        "a budget that is spent is a failure, whatever settles it"
    );
    assert_eq!(outcome("args.a.all(i, i == 1)", &wide), Outcome::Holds);
}

#[test]
fn what_is_never_true_is_known_without_a_call() {
    let is_never_true = |text| Condition::parse(text).expect(text).is_never_true();
    assert!(is_never_true("1 == 2") && is_never_true("false"));
    assert!(!is_never_true("true") && !is_never_true("agent == 'x' && false") && !is_never_true("1 / 0 == 1"));
}

const ARGUMENTS: [&str; 5] =
    ["{}", r#"{"a":1}"#, r#"{"a":{"b":[1,"x",null]}}"#, r#"{"a":"x","b":true}"#, r#"{"a":[[1]]}"#];

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[-a-z0-9 .+*/%!?:&|<>=(){}'\"\\[\\],]{0,80}") {
        let error = Condition::parse(&text).err().map(|error| error.to_string());
        prop_assert!(error.is_none_or(|error| !error.contains("can't be read as CEL")));
    }

    #[test]
    fn no_condition_breaks_the_evaluation(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "args", ".a", ".b", "[0]", " == ", " && ", " || ", "1", "'x'", "!", "(", ")", " in ", "size(", " + ", "null",
                " < ", "has(", "agent", ".exists(i, i == 1)", ".all(k, k == 'x')", "-", "hints", " ? ", " : ", "now", "[", "]",
                "int(", "string(", "double(", "duration('1s')", ".getHours()", "1.5", "9223372036854775807", ".contains(",
                "timestamp('9999-12-31T23:59:59Z')", " * ", " / ", " % ", ".matches('x')",
            ]),
            1..12,
        ),
        which in 0..ARGUMENTS.len(),
    ) {
        if let Ok(condition) = Condition::parse(&parts.concat()) {
            let outcome = condition.evaluate(&Facts::new(&call(Arguments::Text(ARGUMENTS[which].into())), NOW_MS));
            prop_assert_ne!(outcome, Outcome::Failed("the evaluation broke off".into()));
        }
    }
}

/// Each condition has its own patterns, and finds them again after others were asked.
#[test]
fn conditions_do_not_take_each_others_patterns() {
    let conditions: Vec<_> = (0..1_000)
        .map(|n| Condition::parse(&format!("args.a.matches('^x{n}$') && !args.a.matches('y')")).unwrap())
        .collect();
    for round in 0..2 {
        for (n, condition) in conditions.iter().enumerate() {
            assert_eq!(condition.patterns.len(), 2, "they are compiled once, when the condition is read");
            for (text, expected) in [(n, Outcome::Holds), (n + 1, Outcome::Misses)] {
                let call = call(Arguments::Text(format!(r#"{{"a":"x{text}"}}"#).into()));
                assert_eq!(condition.evaluate(&Facts::new(&call, NOW_MS)), expected, "{n} on {text} in round {round}");
            }
        }
    }
}
