//! `atryum agent`: keys that hold, and keys that hold no more.

use super::run::{agent, demo, operator};

fn key_of(output: &str) -> String {
    let line = output.lines().find(|line| line.starts_with("key")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[actix_rt::test]
async fn a_key_is_printed_once_and_holds_until_it_is_rotated_or_revoked() {
    let app = demo().await;
    let call = |key: &str| agent(&app, key, &["call", "demo", "clock"]).code;
    let first = key_of(&operator(&app, &["agent", "add", "ann", "--server", "demo"]).ok().out);
    assert_eq!(call(&first), 0);
    let shown = operator(&app, &["agent", "show", "ann"]).ok();
    assert!(!shown.out.contains(&first), "{shown:?}");

    let second = key_of(&operator(&app, &["agent", "rotate", "ann"]).ok().out);
    assert_eq!((call(&first), call(&second)), (1, 0));
    let third = key_of(&operator(&app, &["agent", "rotate", "ann", "--keep-others"]).ok().out);
    assert_eq!((call(&second), call(&third)), (0, 0));

    let revoked = operator(&app, &["agent", "revoke", "ann"]).ok();
    assert_eq!(revoked.err, "2 keys of ann are revoked\n");
    assert_eq!((call(&second), call(&third)), (1, 1));
    operator(&app, &["agent", "remove", "ann"]).ok();
    assert_eq!(operator(&app, &["agent", "show", "ann"]).code, 1);
}

#[actix_rt::test]
async fn an_agent_reaches_only_the_servers_it_was_given() {
    let app = demo().await;
    let key = key_of(&operator(&app, &["agent", "add", "bob", "--server", "other-*"]).ok().out);
    assert_eq!(agent(&app, &key, &["call", "demo", "clock"]).code, 1);
    assert!(operator(&app, &["agent", "list"]).ok().out.contains("bob   other-*"));
}
