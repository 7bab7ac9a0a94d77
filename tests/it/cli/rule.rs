//! `atryum rule`.

use super::run::operator;
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
