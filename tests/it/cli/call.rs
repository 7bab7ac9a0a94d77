//! `atryum call`: the way of an agent.

use super::run::{agent, atryum, demo, done, fed, operator};

#[actix_rt::test]
async fn an_allowed_call_prints_what_the_tool_said() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let added = agent(&app, &key, &["call", "demo", "notes_add", "--arguments", r#"{"text":"milk"}"#]).ok();
    assert_eq!(added.out, "{\"count\":1}\n");
    let clock = agent(&app, &key, &["call", "demo", "clock", "-o", "json"]).ok().json();
    assert!(clock["structuredContent"]["now"].is_string(), "{clock}");
}

#[actix_rt::test]
async fn a_denied_call_fails_and_says_why() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let denied = agent(&app, &key, &["call", "demo", "delete_everything"]);
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(denied.out.contains("Atryum did not make this call"), "{denied:?}");
}

#[actix_rt::test]
async fn a_tool_that_is_not_there_and_a_server_that_is_not_there_fail() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    operator(&app, &["rule", "default", "allow"]).ok();
    let tool = agent(&app, &key, &["call", "demo", "no_such_tool"]);
    assert!(tool.code == 1 && tool.err.contains("no_such_tool"), "{tool:?}");
    let server = agent(&app, &key, &["call", "nope", "clock"]);
    assert!(server.code == 1 && !server.err.is_empty(), "{server:?}");
}

#[actix_rt::test]
async fn without_a_key_nobody_calls() {
    let app = demo().await;
    let refused = done(&mut atryum(&["call", "demo", "clock", "--url", &app.url]));
    assert!(refused.code == 1 && refused.err.contains("set ATRYUM_AGENT_KEY"), "{refused:?}");
}

#[actix_rt::test]
async fn arguments_can_come_from_standard_input() {
    let app = demo().await;
    let key = app.agent_key("ann").await;
    let mut command = atryum(&["call", "demo", "notes_add", "--arguments", "-", "--key", &key, "--url", &app.url]);
    assert_eq!(fed(&mut command, "{\"text\": \"from a pipe\"}\n").ok().out, "{\"count\":1}\n");
    let wrong = agent(&app, &key, &["call", "demo", "clock", "--arguments", "[]"]);
    assert_eq!((wrong.code, wrong.err.as_str()), (2, "atryum: --arguments must be a JSON object\n"));
}
