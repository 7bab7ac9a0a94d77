//! `/api/v1/approvals`

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::{Answer, Client, Session};

/// A call that waits for a person, and what the person sees.
async fn ask(app: &App, session: &Session, arguments: &Value) -> (crate::support::http::Open, Value) {
    let call = session.open_call("echo", arguments.clone(), None).await;
    let pending = app.pending_approval().await;
    (call, pending)
}

async fn answer(client: &Client, approval: &Value, verb: &str, body: Value) -> Answer {
    client.post(&format!("/api/v1/approvals/{}/{verb}", approval["id"].as_str().unwrap()), body).await
}

async fn started() -> (App, Session) {
    let app = App::start().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    (app, session)
}

#[actix_rt::test]
async fn what_was_shown_and_approved_is_what_runs() {
    let (app, session) = started().await;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi", "n": 1})).await;
    assert_eq!(
        (&approval["agent"], &approval["server"], &approval["tool"]),
        (&json!("ann"), &json!("n"), &json!("echo"))
    );
    assert_eq!((&approval["status"], &approval["method"]), (&json!("pending"), &json!("tools/call")));
    assert!(approval["digest"].as_str().unwrap().starts_with("sha256:"));
    let shown: Value = serde_json::from_str(approval["arguments_text"].as_str().unwrap()).unwrap();
    assert_eq!(shown, json!({"text": "hi", "n": 1}));
    let approved = answer(&app.operator(), &approval, "approve", json!({"digest": approval["digest"]})).await;
    assert_eq!((approved.status, &approved.json["status"]), (200, &json!("approved")), "{approved:?}");
    assert_eq!(approved.json["decided_by"], "admin-token");
    let reply = call.message().await.expect("an answer");
    assert_eq!(reply["result"]["content"][0]["text"], "hi", "{reply}");
    assert_eq!(app.operator().get("/api/v1/approvals?status=pending").await.json["items"], json!([]));
    let rows = app.invocations().await;
    assert_eq!((&rows[0]["decision"]["by"], &rows[0]["decision"]["approval_id"]), (&json!("person"), &approval["id"]));
}

#[actix_rt::test]
async fn a_no_is_told_to_the_model_with_its_reason() {
    let (app, session) = started().await;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let reason = "use the staging account instead";
    let denied = answer(&app.operator(), &approval, "deny", json!({"reason": reason})).await;
    assert_eq!(
        (denied.status, &denied.json["status"], &denied.json["reason"]),
        (200, &json!("denied"), &json!(reason))
    );
    let reply = call.message().await.expect("an answer");
    assert_eq!(reply["result"]["isError"], true, "{reply}");
    assert!(reply["result"]["content"][0]["text"].as_str().unwrap().contains(reason), "{reply}");
}

#[actix_rt::test]
async fn the_digest_of_something_else_decides_nothing() {
    let (app, session) = started().await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    for verb in ["approve", "deny"] {
        let refused = answer(&app.operator(), &approval, verb, json!({"digest": "sha256:0000"})).await;
        assert_eq!((refused.status, &refused.json["code"]), (409, &json!("digest_mismatch")), "{refused:?}");
    }
    let without = answer(&app.operator(), &approval, "approve", json!({})).await;
    assert_eq!((without.status, &without.json["errors"][0]["pointer"]), (422, &json!("/digest")));
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().get(&path).await.json["status"], "pending");
}

#[actix_rt::test]
async fn of_all_who_answer_one_is_heard() {
    let (app, session) = started().await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let operator = app.operator();
    let digest = json!({"digest": approval["digest"]});
    let (yes, no) = futures_util::future::join(
        answer(&operator, &approval, "approve", digest.clone()),
        answer(&operator, &approval, "deny", digest.clone()),
    )
    .await;
    let mut statuses = [yes.status, no.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let late = answer(&operator, &approval, "approve", digest).await;
    assert_eq!((late.status, &late.json["code"]), (409, &json!("already_decided")), "{late:?}");
    let extended = answer(&operator, &approval, "extend", json!({"seconds": 60})).await;
    assert_eq!((extended.status, &extended.json["code"]), (409, &json!("already_decided")), "{extended:?}");
}

#[actix_rt::test]
async fn a_question_can_be_given_more_time() {
    let (app, session) = started().await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let extended = answer(&app.operator(), &approval, "extend", json!({"seconds": 3600})).await;
    assert_eq!(extended.status, 200, "{extended:?}");
    assert!(extended.json["expires_at"].as_str().unwrap() > approval["expires_at"].as_str().unwrap());
    for seconds in [json!(0), json!(86_401), json!(-1), json!("60"), json!(1.5)] {
        let refused = answer(&app.operator(), &approval, "extend", json!({ "seconds": seconds })).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!("/seconds")), "{seconds}");
    }
}

#[actix_rt::test]
async fn an_agent_can_not_answer_for_itself_and_nobody_answers_what_is_not_asked() {
    let (app, session) = started().await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let digest = json!({"digest": approval["digest"]});
    for client in [&session.client, &app.anonymous()] {
        assert_eq!(answer(client, &approval, "approve", digest.clone()).await.status, 401);
    }
    let nothing = json!({"id": "none"});
    for (verb, body) in [("approve", digest.clone()), ("deny", json!({})), ("extend", json!({"seconds": 60}))] {
        assert_eq!(answer(&app.operator(), &nothing, verb, body).await.status, 404, "{verb}");
    }
    assert_eq!(app.operator().get("/api/v1/approvals?status=open").await.status, 400);
}

#[actix_rt::test]
async fn what_a_person_edits_is_what_goes_out_and_both_versions_are_recorded() {
    let (app, session) = started().await;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let edited = r#"{ "text":"edited",  "n": 1.0 }"#;
    let body = json!({"digest": approval["digest"], "arguments_text": edited});
    let approved = answer(&app.operator(), &approval, "approve", body).await;
    assert_eq!((approved.status, &approved.json["edited_arguments_text"]), (200, &json!(edited)), "{approved:?}");
    assert_eq!(approved.json["arguments_text"], approval["arguments_text"]);
    let reply = call.message().await.expect("an answer");
    assert_eq!(reply["result"]["content"][0]["text"], "edited", "{reply}");
    let row = &app.invocations().await[0];
    assert_eq!(row["arguments"], json!({"text": "edited", "n": 1.0}), "the row says what ran");
}

#[actix_rt::test]
async fn an_edit_that_is_not_strict_or_does_not_fit_the_tool_decides_nothing() {
    let (app, session) = started().await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    for (edited, expected) in [
        (r#"{"text":"a","text":"b"}"#, "repeated"),
        (r#"["text"]"#, "object"),
        (r#"{"text":"a"},"x":{}"#, "object"),
        (r#"{"text":7}"#, "/text"),
        ("", "strict"),
    ] {
        let body = json!({"digest": approval["digest"], "arguments_text": edited});
        let refused = answer(&app.operator(), &approval, "approve", body).await;
        assert_eq!(
            (refused.status, &refused.json["errors"][0]["pointer"]),
            (422, &json!("/arguments_text")),
            "{edited}"
        );
        assert!(refused.json["detail"].as_str().unwrap().contains(expected), "{edited}: {refused:?}");
    }
    let other = json!({"digest": "sha256:00", "arguments_text": "{}"});
    assert_eq!(answer(&app.operator(), &approval, "approve", other).await.status, 409);
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    assert_eq!(app.operator().get(&path).await.json["status"], "pending");
}

fn soon(seconds: i64) -> String {
    (chrono::Utc::now() + chrono::TimeDelta::seconds(seconds)).to_rfc3339()
}

#[actix_rt::test]
async fn an_answer_is_remembered_for_what_it_was_about_and_no_longer_than_was_said() {
    let (app, session) = started().await;
    let asking = app.rule(json!({"action": "ask", "agents": ["*"], "servers": ["n"], "tools": ["*"]})).await.json;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let remember = json!({"expires_at": soon(600), "when": "args.text.startsWith('h')"});
    let body = json!({"digest": approval["digest"], "remember": remember});
    let approved = answer(&app.operator(), &approval, "approve", body).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    call.message().await.expect("an answer");
    let rules = app.operator().get("/api/v1/rules").await.json;
    let rule = &rules["items"][0];
    assert_eq!((&rule["id"], &rules["items"][1]["id"]), (&approved.json["remembered_rule_id"], &asking["id"]));
    let scope = (&rule["agents"], &rule["servers"], &rule["tools"], &rule["methods"]);
    assert_eq!(scope, (&json!(["ann"]), &json!(["n"]), &json!(["echo"]), &json!(["tools/call"])), "{rule}");
    assert!(rule["expires_at"].is_string() && rule["action"] == "allow", "{rule}");
    let again = session.call("echo", json!({"text": "hello"})).await;
    assert_eq!(again["result"]["content"][0]["text"], "hello", "{again}");
    let (_call, other) = ask(&app, &session, &json!({"text": "other"})).await;
    assert_eq!(other["status"], "pending", "what it is not about is asked");
}

#[actix_rt::test]
async fn before_it_is_remembered_it_can_be_seen_what_that_would_have_been_about() {
    let (app, session) = started().await;
    let allowed = app.allow_all().await.json;
    for text in ["a", "b", "b"] {
        session.call("echo", json!({ "text": text })).await;
    }
    app.operator().delete(&format!("/api/v1/rules/{}", allowed["id"].as_str().unwrap())).await;
    let (_call, approval) = ask(&app, &session, &json!({"text": "b"})).await;
    let body = json!({"remember": {"expires_at": soon(600), "when": "args.text == 'b'"}});
    let seen = answer(&app.operator(), &approval, "remember", body).await;
    assert_eq!((seen.status, &seen.json["matching"]), (200, &json!(3)), "{seen:?}");
    let rule = &seen.json["rule"];
    assert_eq!((&rule["action"], &rule["when"]), (&json!("allow"), &json!("args.text == 'b'")), "{rule}");
    let scope = (&rule["agents"], &rule["servers"], &rule["tools"], &rule["methods"]);
    assert_eq!(scope, (&json!(["ann"]), &json!(["n"]), &json!(["echo"]), &json!(["tools/call"])), "{rule}");
    assert_eq!(seen.json["denying"], 0);
    let body = json!({"remember": {"expires_at": soon(600), "when": "args.amount <= 100"}});
    let seen_of_none = answer(&app.operator(), &approval, "remember", body).await.json;
    assert_eq!((&seen_of_none["matching"], &seen_of_none["denying"]), (&json!(0), &json!(4)), "{seen_of_none}");
    assert_eq!(seen_of_none["matches"][0]["would_be"], "deny", "what is remembered as allowed would deny it");
    let was: Vec<_> =
        seen.json["matches"].as_array().unwrap().iter().map(|call| call["was"].as_str().unwrap()).collect();
    assert_eq!(was, ["ask", "allow", "allow"], "newest first: {seen:?}");
    assert_eq!(app.operator().get("/api/v1/rules").await.json["items"], json!([]), "nothing is remembered by looking");
    for (remember, pointer) in [
        (json!({"expires_at": soon(-1)}), "/remember/expires_at"),
        (json!({"expires_at": soon(600), "agents": []}), "/remember/agents"),
    ] {
        let refused = answer(&app.operator(), &approval, "remember", json!({ "remember": remember })).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!(pointer)), "{refused:?}");
    }
    let denied = json!({"reason": "never b", "remember": {"expires_at": soon(600)}});
    assert_eq!(answer(&app.operator(), &approval, "deny", denied).await.status, 200);
    let told = session.call("echo", json!({"text": "c"})).await;
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("never b"), "{told}");
}

/// An agent says what method it wants, and a rule reads methods as globs.
#[actix_rt::test]
async fn a_method_that_reads_as_a_glob_is_not_remembered_for_all_that_it_would_match() {
    let (app, session) = started().await;
    let asked = ["*", "tools/cal?", "{tools/call,x}"];
    for method in asked {
        let call = json!({"jsonrpc": "2.0", "id": session.next_id(), "method": method, "params": {}});
        let client = session.client.clone().header("content-type", "application/json");
        let waiting = client.open("POST", "/mcp/n", call.to_string()).await;
        let approval = app.pending_approval().await;
        assert_eq!(approval["method"], method);
        let remember = json!({"expires_at": soon(600)});
        for (verb, body) in [
            ("remember", json!({"remember": remember})),
            ("approve", json!({"digest": approval["digest"], "remember": remember})),
        ] {
            let refused = answer(&app.operator(), &approval, verb, body).await;
            assert_eq!(
                (refused.status, &refused.json["errors"][0]["pointer"]),
                (422, &json!("/remember")),
                "{method}: {refused:?}"
            );
        }
        assert_eq!(answer(&app.operator(), &approval, "deny", json!({})).await.status, 200, "nothing was decided yet");
        drop(waiting);
    }
    assert_eq!(app.operator().get("/api/v1/rules").await.json["items"], json!([]));
}

/// Asked by the default, and by now there are rules.
#[actix_rt::test]
async fn a_remembered_answer_stands_before_the_rule_that_asks_now() {
    let (app, session) = started().await;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    app.rule(json!({"action": "deny", "tools": ["raw"]})).await;
    app.rule(json!({"action": "ask", "tools": ["*"]})).await;
    let body = json!({"digest": approval["digest"], "remember": {"expires_at": soon(600)}});
    let approved = answer(&app.operator(), &approval, "approve", body).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    call.message().await.expect("an answer");
    let rules = app.operator().get("/api/v1/rules").await.json;
    assert_eq!(rules["items"][1]["id"], approved.json["remembered_rule_id"], "{rules}");
    let again = session.call("echo", json!({"text": "hello"})).await;
    assert_eq!(again["result"]["content"][0]["text"], "hello", "{again}");
}

#[actix_rt::test]
async fn edited_arguments_may_be_written_as_json_and_go_out_to_the_letter() {
    let (app, session) = started().await;
    let (mut call, approval) = ask(&app, &session, &json!({"text": "hi"})).await;
    let approve = async |members: &str| {
        let body = format!(r#"{{"digest":{},{members}}}"#, approval["digest"]);
        let client = app.operator().header("content-type", "application/json");
        client.send("POST", &format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap()), body).await
    };
    let twice = approve(r#""arguments":{"text":"a"},"arguments_text":"{\"text\":\"a\"}""#).await;
    assert_eq!((twice.status, &twice.json["errors"][0]["pointer"]), (422, &json!("/arguments_text")), "{twice:?}");
    let list = approve(r#""arguments":["text"]"#).await;
    assert_eq!((list.status, &list.json["errors"][0]["pointer"]), (422, &json!("/arguments")), "{list:?}");
    let approved = approve(r#""arguments":{ "text":"edited", "n": 1.10 }"#).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    assert_eq!(approved.json["edited_arguments_text"], r#"{ "text":"edited", "n": 1.10 }"#);
    let reply = call.message().await.expect("an answer");
    assert_eq!(reply["result"]["content"][0]["text"], "edited", "{reply}");
}
