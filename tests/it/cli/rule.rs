//! `atryum rule`.

use super::run::{atryum, done, operator};
use crate::support::app::App;

fn tools_in_order(app: &App) -> Vec<String> {
    let rules = operator(app, &["rule", "list", "-o", "json"]).ok().json();
    rules.as_array().unwrap().iter().map(|rule| rule["tools"][0].as_str().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn rules_are_added_moved_and_removed_by_place() {
    let app = App::start().await;
    for tool in ["a", "b", "c"] {
        operator(&app, &["rule", "add", "allow", "--tool", tool]).ok();
    }
    operator(&app, &["rule", "add", "deny", "--tool", "first", "--before", "1", "--guidance", "no"]).ok();
    assert_eq!(tools_in_order(&app), ["first", "a", "b", "c"]);
    operator(&app, &["rule", "move", "4", "--before", "2"]).ok();
    assert_eq!(tools_in_order(&app), ["first", "c", "a", "b"]);
    operator(&app, &["rule", "move", "1", "--last"]).ok();
    assert_eq!(tools_in_order(&app), ["c", "a", "b", "first"]);
    operator(&app, &["rule", "remove", "1"]).ok();
    assert_eq!(tools_in_order(&app), ["a", "b", "first"]);
    let missing = operator(&app, &["rule", "remove", "9"]);
    assert_eq!(missing.err, "atryum: there is no rule 9; atryum rule list shows places and ids\n");
}

#[actix_rt::test]
async fn a_trial_says_which_rule_decides_and_follows_each_edit() {
    let app = App::start().await;
    let trial =
        || operator(&app, &["rule", "test", "git", "push", "--agent", "ann", "--arguments", "{\"a\":1}"]).ok().out;
    operator(&app, &["rule", "add", "deny", "--server", "git*", "--tool", "push"]).ok();
    assert!(trial().starts_with("deny, by rule "), "{}", trial());
    operator(&app, &["rule", "disable", "1"]).ok();
    assert!(trial().starts_with("ask, no rule matches: "), "{}", trial());
    operator(&app, &["rule", "enable", "1"]).ok();
    assert!(trial().starts_with("deny, "), "{}", trial());
}

#[actix_rt::test]
async fn the_default_is_shown_and_set() {
    let app = App::start().await;
    assert_eq!(operator(&app, &["rule", "default"]).ok().out, "ask\n");
    operator(&app, &["rule", "default", "deny"]).ok();
    assert_eq!(operator(&app, &["rule", "default"]).ok().out, "deny\n");
}

#[actix_rt::test]
async fn a_rule_that_cannot_be_used_names_its_field() {
    let app = App::start().await;
    let refused = operator(&app, &["rule", "add", "allow", "--tool", "{a"]);
    assert!(refused.code == 1 && refused.err.contains("\n  /tools: "), "{refused:?}");
}

const POLICY: &str = r##"
default = "deny"

[[rules]]
action = "allow"
servers = ["bank"]
tools = ["pay"]
when = "args.amount <= 1000"

[[tests]]
name = "a small payment passes"
agent = "ann"
server = "bank"
tool = "pay"
arguments = { amount = 10 }
expect = "allow"
rule = "#1"

[[tests]]
name = "a large one does not"
agent = "ann"
server = "bank"
tool = "pay"
arguments = { amount = 1001 }
expect = "deny"
rule = "default"
"##;

#[actix_rt::test]
async fn a_file_with_rules_of_its_own_is_tested_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let nobody = |content: &str| {
        std::fs::write(&path, content).unwrap();
        done(&mut atryum(&["rule", "test", path.to_str().unwrap(), "--url", "http://127.0.0.1:9"]))
    };
    assert_eq!(
        nobody(POLICY).ok().out,
        "ok      a small payment passes\nok      a large one does not\nall 2 tests passed\n"
    );
    let failed = nobody(&POLICY.replace("<= 1000", "<= 5"));
    assert!(failed.code == 1 && failed.out.contains("FAILED  a small payment passes"), "{failed:?}");
    assert!(
        failed.out.contains("deny instead of allow") && failed.out.contains("#1: when does not match"),
        "{failed:?}"
    );
    assert!(failed.err.contains("1 of 2 tests failed"), "{failed:?}");
    let wrong_rule = nobody(&POLICY.replace("rule = \"default\"", "rule = \"#1\""));
    assert!(wrong_rule.code == 1 && wrong_rule.out.contains("by default instead of #1"), "{wrong_rule:?}");
    for (from, to, word) in [
        ("args.amount <=", "arg.amount <=", "there is no \"arg\""),
        ("expect = \"allow\"", "expect = \"yes\"", "can't be read"),
        ("tool = \"pay\"\narg", "toool = \"pay\"\narg", "can't be read"),
    ] {
        let refused = nobody(&POLICY.replace(from, to));
        assert!(refused.code == 1 && refused.err.contains(word), "{refused:?}");
    }
}

#[actix_rt::test]
async fn a_file_without_rules_is_tested_on_those_in_force() {
    let app = App::start().await;
    operator(&app, &["rule", "add", "deny", "--tool", "pay", "--when", "args.amount > 1000"]).ok();
    let path = app.dir().join("tests.json");
    let test = |expect: &str| {
        let call = serde_json::json!({"agent": "a", "server": "bank", "tool": "pay", "arguments": {"amount": 2000}});
        let mut case = call;
        case["expect"] = serde_json::json!(expect);
        std::fs::write(&path, serde_json::json!({ "tests": [case] }).to_string()).unwrap();
        operator(&app, &["rule", "test", path.to_str().unwrap()])
    };
    test("deny").ok();
    assert_eq!(test("allow").code, 1);
}

/// A number that is rounded on its way to the rules would pass here and fail in the call.
#[actix_rt::test]
async fn a_file_in_json_is_read_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let test = |amount: &str, expect: &str| {
        let content = format!(
            r#"{{"rules":[{{"action":"allow","when":"args.amount <= 0.1"}}],"tests":[
                {{"agent":"a","server":"bank","tool":"pay","arguments":{{"amount":{amount}}},"expect":"{expect}"}}]}}"#
        );
        std::fs::write(&path, content).unwrap();
        done(&mut atryum(&["rule", "test", path.to_str().unwrap(), "--url", "http://127.0.0.1:9"]))
    };
    test("0.1", "allow").ok();
    test("0.10000000000000001", "deny").ok();
    let app = App::start().await;
    operator(&app, &["rule", "add", "allow", "--tool", "pay", "--when", "args.amount <= 0.1"]).ok();
    let told = |amount: &str| {
        let arguments = format!(r#"{{"amount":{amount}}}"#);
        operator(&app, &["rule", "test", "--agent", "a", "bank", "pay", "--arguments", &arguments]).ok().out
    };
    assert!(told("0.1").starts_with("allow"));
    assert!(told("0.10000000000000001").starts_with("deny"));
}

#[actix_rt::test]
async fn a_simulation_takes_the_rules_of_a_file() {
    let app = App::start().await;
    let path = app.dir().join("policy.toml");
    std::fs::write(&path, POLICY).unwrap();
    let told = operator(&app, &["rule", "simulate", path.to_str().unwrap(), "--limit", "5"]).ok().out;
    assert!(told.starts_with("0 calls; 0 would be decided otherwise"), "{told}");
}

#[actix_rt::test]
async fn a_rule_that_matches_nothing_is_remarked_when_it_is_added() {
    let app = App::start().await;
    let added = operator(
        &app,
        &["rule", "add", "allow", "--server", "nowhere", "--shadow", "--expires-at", "2999-01-01T00:00:00Z"],
    );
    assert!(added.code == 0 && added.err.contains("no registered server"), "{added:?}");
}
