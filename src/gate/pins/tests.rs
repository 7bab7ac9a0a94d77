//! What holds a tool, and what follows.

use proptest::prelude::*;

use super::*;

fn brief(tool: &str, digest: &str) -> Brief {
    Brief {
        server_id: "s".into(),
        tool: tool.into(),
        digest: digest.into(),
        changed_digest: None,
        first_seen_at: 10,
        is_added: false,
        reviewed_at: None,
        returns: 0,
    }
}

fn published(pins: Vec<Brief>) -> Published {
    publish(&Snapshot { pins, on_changed: None, on_added: None })
}

#[test]
fn a_tool_is_held_by_what_its_own_connection_was_told() {
    let changed = Brief { changed_digest: Some("two".into()), ..brief("changed", "one") };
    let all = published(vec![brief("same", "one"), changed]);
    let hold = |tool, seen| all.hold("s", tool, seen);
    assert_eq!(hold("same", Seen::NotYet), None);
    assert_eq!(hold("same", Seen::Last(Some("one"))), None);
    assert_eq!(hold("same", Seen::Last(Some("other"))), Some(Hold::Changed));
    assert_eq!(hold("same", Seen::Last(None)), Some(Hold::Unseen));
    assert_eq!(hold("changed", Seen::NotYet), Some(Hold::Changed));
    assert_eq!(hold("changed", Seen::Last(Some("one"))), Some(Hold::Changed), "another connection was told otherwise");
    assert_eq!(hold("unknown", Seen::Last(None)), None, "where there is no pin the rules alone decide");
    assert_eq!(all.hold("t", "same", Seen::Last(Some("other"))), None, "another server's");
}

#[test]
fn a_change_is_asked_about_or_denied_and_never_let_through() {
    let of = |word: Option<&str>| {
        OnHold::of(&Snapshot { on_changed: word.map(Into::into), ..Snapshot::default() }).action(&Hold::Changed)
    };
    assert_eq!([None, Some("ask"), Some("allow")].map(of), [Action::Ask; 3]);
    assert_eq!([Some("deny"), Some("no such word")].map(of), [Action::Deny; 2]);
    assert_eq!(OnHold::of(&Snapshot::default()).action(&Hold::Added), Action::Allow);
}

#[test]
fn a_tool_that_a_known_server_added_waits_for_a_look_where_that_is_set() {
    let added = Brief { is_added: true, ..brief("added", "one") };
    let looked_at = Brief { reviewed_at: Some(20), ..added.clone() };
    assert_eq!(published(vec![added]).hold("s", "added", Seen::NotYet), Some(Hold::Added));
    assert_eq!(published(vec![looked_at]).hold("s", "added", Seen::NotYet), None);
}

#[test]
fn names_that_may_be_taken_for_each_other_are_both_held_until_somebody_looked_at_both() {
    for (one, other) in [("echo", "Echo"), ("list_l", "list_1"), ("list_l", "list_I"), ("v0", "vO"), ("farm", "farrn")]
    {
        let all = published(vec![brief(one, "1"), brief(other, "2"), brief("else", "3")]);
        assert_eq!(all.hold("s", one, Seen::NotYet), Some(Hold::LookAlike(other.into())));
        assert_eq!(all.hold("s", other, Seen::NotYet), Some(Hold::LookAlike(one.into())));
        assert_eq!(all.hold("s", "else", Seen::NotYet), None);
    }
    let at = |first_seen_at, reviewed_at, name| Brief { first_seen_at, reviewed_at, ..brief(name, "1") };
    let all = published(vec![at(10, Some(20), "echo"), at(30, None, "Echo")]);
    assert!(all.hold("s", "echo", Seen::NotYet).is_some(), "nobody has seen the two together");
    let all = published(vec![at(10, Some(30), "echo"), at(30, Some(30), "Echo")]);
    assert_eq!(all.hold("s", "echo", Seen::NotYet), None);
}

#[test]
fn only_names_of_plain_letters_are_callable() {
    for fit in ["a", "get_item", "files/read.all-2", &"x".repeat(128)] {
        assert!(is_fit(fit), "{fit}");
    }
    for unfit in ["", "a b", "écho", "a\u{200b}", "a:b", "a\n", &"x".repeat(129)] {
        assert!(!is_fit(unfit), "{unfit}");
        assert_eq!(published(Vec::new()).hold("s", unfit, Seen::NotYet), Some(Hold::Unfit));
    }
}

#[test]
fn a_server_with_more_tools_than_are_pinned_gets_none_through_unseen() {
    let pins = (0..PINS_MAX).map(|n| brief(&format!("tool_{n:04}"), "one")).collect();
    assert_eq!(published(pins).hold("s", "another", Seen::Last(Some("x"))), Some(Hold::TooMany));
}

fn listed(tool: &str, digest: &str) -> Listed {
    let definition = crate::mcp::definition::Definition { digest: digest.into(), has_output_schema: false };
    Listed { tool: tool.into(), definition, text: String::new() }
}

#[test]
fn a_listing_that_brings_nothing_new_is_not_written() {
    let changed = Brief { changed_digest: Some("two".into()), ..brief("changed", "one") };
    let restless = Brief { returns: RETURNS_MAX, tool: "restless".into(), ..changed.clone() };
    let all = published(vec![brief("same", "one"), changed, restless]);
    let is_news = |tool, digest| all.is_news("s", &[listed(tool, digest)], true);
    assert!(!is_news("same", "one") && is_news("same", "two") && is_news("new", "one"));
    assert!(!is_news("changed", "two") && is_news("changed", "one") && is_news("changed", "three"));
    assert!(!all.is_news("s", &[listed("changed", "one")], false), "a look of the gateway's own takes nothing back");
    assert!(!is_news("restless", "one") && is_news("restless", "three"));
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Allow), Just(Action::Ask), Just(Action::Deny)]
}

proptest! {
    /// A hold makes a decision stricter and never milder, and what is shown is what a call would not be denied for.
    #[test]
    fn what_is_shown_is_what_is_not_denied(rules in action(), changed in action(), added in action(), is_added: bool,
                                           is_changed: bool) {
        let words = |action: Action| Some(action.as_str().to_owned());
        let pin = Brief { is_added, changed_digest: is_changed.then(|| "two".into()), ..brief("t", "one") };
        let all = publish(&Snapshot { pins: vec![pin], on_changed: words(changed), on_added: words(added) });
        let held = all.hold("s", "t", Seen::NotYet).map(|hold| (all.on_hold.action(&hold), hold));
        let decision = crate::gate::Decision { action: rules, ..crate::gate::Decision::unavailable() };
        let decided = decision.held(held.clone().map(|(action, hold)| (hold, action))).action;
        prop_assert!(decided.strictness() >= rules.strictness());
        let is_shown = rules != Action::Deny && held.is_none_or(|(action, _)| action != Action::Deny);
        prop_assert_eq!(is_shown, decided != Action::Deny);
        prop_assert!(!is_changed || decided != Action::Allow);
    }
}
