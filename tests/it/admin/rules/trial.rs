//! `POST /api/v1/rules/test`

use serde_json::json;

use crate::support::app::App;

#[actix_rt::test]
async fn a_trial_says_which_rule_decides_and_why_the_others_do_not() {
    let app = App::start().await;
    let other = app.rule(json!({"action": "allow", "servers": ["git*"]})).await.json["id"].clone();
    let off = app.rule(json!({"action": "allow", "enabled": false})).await.json["id"].clone();
    let deny = app.rule(json!({"action": "deny", "tools": ["add"], "guidance": "use sub"})).await.json["id"].clone();
    app.rule(json!({"action": "allow"})).await;
    let call = json!({"agent": "ann", "server": "calc", "tool": "add", "arguments": {"a": 1}});
    let answer = app.operator().post("/api/v1/rules/test", call).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (&answer.json["decision"], &answer.json["by"], &answer.json["rule_id"]),
        (&json!("deny"), &json!("rule"), &deny)
    );
    assert!(answer.json["revision"].as_i64().unwrap() > 0);
    assert!(answer.json["reason"].as_str().unwrap().contains("use sub"), "{answer:?}");
    let trace = answer.json["trace"].as_array().unwrap();
    assert_eq!(trace.len(), 2, "a rule that is off is not tried, and nothing after the one that decides: {trace:?}");
    assert_eq!((&trace[0]["rule_id"], &trace[0]["matched"]), (&other, &json!(false)));
    assert!(trace[0]["why"].as_str().unwrap().contains("servers"), "{trace:?}");
    assert_eq!((&trace[1]["rule_id"], &trace[1]["matched"]), (&deny, &json!(true)));
    assert!(!trace.iter().any(|step| step["rule_id"] == off));
    assert_eq!(app.invocations().await.len(), 0, "a trial is no call");
}

#[actix_rt::test]
async fn a_listing_needs_a_rule_to_be_refused() {
    let app = App::start().await;
    app.operator().put("/api/v1/rules/default", json!({"action": "deny"})).await;
    let trial = async |method: &str| {
        let call = json!({"agent": "ann", "server": "calc", "method": method});
        app.operator().post("/api/v1/rules/test", call).await.json["decision"].clone()
    };
    assert_eq!(trial("tools/list").await, "allow");
    assert_eq!(trial("resources/read").await, "deny");
    assert_eq!(trial("made/up").await, "deny");
}

#[actix_rt::test]
async fn a_trial_of_something_that_is_no_call_is_refused() {
    let app = App::start().await;
    for (body, pointer) in [
        (json!({"server": "calc", "tool": "add"}), "/agent"),
        (json!({"agent": "ann", "tool": "add"}), "/server"),
        (json!({"agent": "ann", "server": "calc", "tool": "add", "arguments": [1]}), "/arguments"),
        (json!({"agent": "ann", "server": "calc", "toool": "add"}), "/toool"),
    ] {
        let answer = app.operator().post("/api/v1/rules/test", body.clone()).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}: {answer:?}");
    }
}

#[actix_rt::test]
async fn a_trial_sees_arguments_hints_and_time() {
    let app = App::start().await;
    let when = "args.n > 1 && hints.readOnlyHint && now < timestamp('2026-06-01T00:00:00Z')";
    app.rule(json!({"action": "allow", "when": when})).await;
    let trial = async |arguments: serde_json::Value, hints: serde_json::Value, now: &str| {
        let call = json!({"agent": "ann", "server": "calc", "tool": "add", "arguments": arguments, "hints": hints,
            "now": now});
        app.operator().post("/api/v1/rules/test", call).await.json
    };
    let (hints, early) = (json!({"readOnlyHint": true}), "2026-01-01T00:00:00Z");
    assert_eq!(trial(json!({"n": 2}), hints.clone(), early).await["decision"], "allow");
    assert_eq!(trial(json!({"n": 1}), hints.clone(), early).await["decision"], "ask");
    assert_eq!(trial(json!({"n": 2}), hints.clone(), "2026-07-01T00:00:00Z").await["decision"], "ask");
    let failed = trial(json!({}), hints, early).await;
    assert_eq!((&failed["decision"], &failed["by"]), (&json!("deny"), &json!("rule")), "{failed}");
    assert!(failed["trace"][0]["why"].as_str().unwrap().contains("can't be evaluated"), "{failed}");
}

#[actix_rt::test]
async fn rules_that_are_not_stored_can_be_tried() {
    let app = App::start().await;
    app.allow_all().await;
    let call = json!({"agent": "ann", "server": "calc", "tool": "add", "default": "deny",
        "rules": [{"action": "ask", "shadow": true}, {"action": "allow", "tools": ["sub"]}]});
    let answer = app.operator().post("/api/v1/rules/test", call).await.json;
    assert_eq!(
        (&answer["decision"], &answer["by"], &answer["revision"]),
        (&json!("deny"), &json!("default"), &json!(0))
    );
    assert_eq!(answer["shadow"], json!({"decision": "ask", "rule_id": "#1"}), "{answer}");
    assert_eq!(answer["trace"][1], json!({"rule_id": "#2", "matched": false, "why": "tools does not match"}));
    let call =
        json!({"agent": "ann", "server": "calc", "rules": [{"action": "allow"}, {"action": "allow", "tools": []}]});
    let refused = app.operator().post("/api/v1/rules/test", call).await;
    assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!("/rules/1/tools")), "{refused:?}");
}

/// A number that is rounded on its way to a trial would pass there and fail in the call.
#[actix_rt::test]
async fn a_trial_reads_arguments_to_the_letter_as_a_call_is_read() {
    let app = App::start().await;
    app.rule(json!({"action": "allow", "when": "args.amount <= 0.1"})).await;
    let trial = async |arguments: &str| {
        let body = format!(r#"{{"agent":"ann","server":"bank","tool":"pay","arguments":{arguments}}}"#);
        let client = app.operator().header("content-type", "application/json");
        client.send("POST", "/api/v1/rules/test", body).await
    };
    assert_eq!(trial(r#"{"amount":0.1}"#).await.json["decision"], "allow");
    let rounded = trial(r#"{"amount":0.10000000000000001}"#).await.json;
    assert_eq!(rounded["decision"], "deny", "{rounded}");
    assert!(rounded["reason"].as_str().unwrap().contains("rounding"), "{rounded}");
    assert_eq!(trial("[1]").await.status, 422);
    assert_eq!(trial("null").await.json["decision"], "deny", "no arguments are no amount");
}
