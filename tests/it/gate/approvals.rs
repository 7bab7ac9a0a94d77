//! Calls that wait for a person.

use serde_json::{Value, json};

use std::time::Duration;

use atryum::gate::{Answer, Approvals, Place, Terms};
use atryum::journal::{Entry, Journal, State, Transition};
use atryum::metrics::Metrics;

use crate::store::sample;
use crate::support::app::{App, Settings};
use crate::support::database::Database;
use crate::support::eventually;
use crate::support::http::{Session, modern_request};

async fn waiting() -> (App, Session) {
    let app = App::start().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &["both", &format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    (app, session)
}

fn ledger(app: &App) -> String {
    std::fs::read_to_string(app.dir().join("ledger")).unwrap_or_default()
}

#[actix_rt::test]
async fn an_approved_call_runs_once_and_the_agent_hears_that_it_waits() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), Some(json!("p"))).await;
    let progress = stream.message().await.expect("progress");
    assert!(progress["params"]["message"].as_str().unwrap().contains("Waiting for approval"), "{progress}");
    let approval = app.pending_approval().await;
    assert_eq!(ledger(&app), "", "nothing runs undecided");
    let (id, digest) = (approval["id"].as_str().unwrap(), approval["digest"].clone());
    let path = format!("/api/v1/approvals/{id}/approve");
    let wrong = app.operator().post(&path, json!({"digest": "sha256:00"})).await;
    assert_eq!(wrong.status, 409, "{wrong:?}");
    let approved = app.operator().post(&path, json!({"digest": digest})).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    let answer = stream.message().await.expect("the answer");
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
    assert_eq!(ledger(&app), "one\n");
    let again = app.operator().post(&path, json!({"digest": digest})).await;
    assert_eq!(again.status, 409, "{again:?}");
    let row = &app.invocations().await[0];
    assert_eq!((&row["state"], &row["decision"]["by"]), (&json!("completed"), &json!("person")), "{row}");
    assert_eq!(row["decision"]["approval_id"], id);
}

#[actix_rt::test]
async fn a_denied_approval_gives_its_reason_to_the_model_and_runs_nothing() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}/deny", approval["id"].as_str().unwrap());
    let denied =
        app.operator().post(&path, json!({"digest": approval["digest"], "reason": "use the sandbox account"})).await;
    assert_eq!(denied.status, 200, "{denied:?}");
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("use the sandbox account"), "{answer}");
    assert_eq!(ledger(&app), "");
    assert_eq!(app.invocations().await[0]["state"], "denied");
}

#[actix_rt::test]
async fn rules_that_came_to_deny_it_meanwhile_win_over_a_persons_yes() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    app.rule(json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]})).await;
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(ledger(&app), "");
}

#[actix_rt::test]
async fn a_question_that_was_given_more_time_is_waited_for_until_then() {
    let app = Settings::default().with("ATRYUM_GATE__APPROVAL_TIMEOUT_SECONDS", "2").start().await;
    app.nasty("n", &[]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let mut stream = session.open_call("echo", json!({"text": "x"}), None).await;
    let approval = app.pending_approval().await;
    let path = format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap());
    let extended = app.operator().post(&format!("{path}/extend"), json!({"seconds": 600})).await;
    assert_eq!(extended.status, 200, "{extended:?}");
    actix_rt::time::sleep(std::time::Duration::from_secs(3)).await;
    let approved = app.operator().post(&format!("{path}/approve"), json!({"digest": approval["digest"]})).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    let answer = stream.message().await.expect("the answer");
    assert_eq!(answer["result"]["content"][0]["text"], "x", "{answer}");
}

/// Rows must not blame a person for what the rules did.
#[actix_rt::test]
async fn a_denial_by_the_rules_after_a_persons_yes_is_told_as_theirs() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x"}), None).await;
    let approval = app.pending_approval().await;
    let rule = json!({"action": "deny", "agents": ["*"], "servers": ["*"], "tools": ["echo"], "methods": ["*"]});
    let rule = app.rule(rule).await.json["id"].clone();
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    stream.message().await.expect("an answer");
    let decision = &app.invocations().await[0]["decision"];
    assert_eq!((&decision["by"], &decision["rule_id"], &decision["action"]), (&json!("rule"), &rule, &json!("deny")));
}

/// A gateway that stops lets go of what waits; what begins to wait a moment later must not wait for a person, either.
#[actix_rt::test]
async fn nothing_waits_once_the_gateway_stops_and_the_question_stays() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let (invocation, approval) = sample::question(i64::MAX / 2);
    let id = approval.id.clone();
    let journal = Journal::start(store.clone());
    let _receipt = journal.record(Entry { invocation, approval: Some(approval) }).await.unwrap();
    let minute = Duration::from_secs(60);
    let terms = Terms { open: minute, holds: minute, agent_max: 20 };
    let approvals = Approvals::new(store.clone(), Metrics::new().unwrap(), terms);
    let (before, ()) = futures_util::future::join(approvals.wait(&id), async {
        actix_rt::task::yield_now().await;
        approvals.close();
    })
    .await;
    let after = tokio::time::timeout(Duration::from_secs(5), approvals.wait(&id)).await.expect("it does not wait");
    assert!(matches!((before.unwrap(), after.unwrap()), (Answer::Stopping, Answer::Stopping)));
    assert_eq!(atryum::store::approval::find(&store, &id).await.unwrap().unwrap().status, "pending");
}

/// Questions whose time is over are looked for every few seconds only.
#[actix_rt::test]
async fn what_is_asked_again_just_after_its_time_is_over_is_asked_anew() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let minute = Duration::from_secs(60);
    let terms = Terms { open: minute, holds: minute, agent_max: 20 };
    let approvals = Approvals::new(store.clone(), Metrics::new().unwrap(), terms);
    let (invocation, over) = sample::question(1);
    let _receipt = journal.record(Entry { invocation, approval: Some(over.clone()) }).await.unwrap();
    let (place, turn) = approvals.place(&over.agent_id, &over.digest).await.unwrap();
    assert!(matches!(place, Place::New), "{place:?}");
    let (invocation, mut again) = sample::question(i64::MAX / 2);
    again.digest.clone_from(&over.digest);
    let asked = journal.record(Entry { invocation, approval: Some(again.clone()) }).await;
    assert!(asked.is_ok(), "{asked:?}");
    drop(turn);
    let (place, _turn) = approvals.place(&over.agent_id, &over.digest).await.unwrap();
    assert!(matches!(place, Place::Known(row) if row.id == again.id));
    assert_eq!(atryum::store::approval::find(&store, &over.id).await.unwrap().unwrap().status, "expired");
}

/// The call that came last has a yes first; one that goes without using it does not take it along.
#[actix_rt::test]
async fn a_yes_that_the_last_call_leaves_is_for_the_one_before_and_used_is_only_what_was_used() {
    let database = Database::sqlite().await;
    let store = database.open().await;
    let journal = Journal::start(store.clone());
    let (invocation, approval) = sample::question(i64::MAX / 2);
    let (id, call) = (approval.id.clone(), invocation.id.clone());
    let _receipt = journal.record(Entry { invocation, approval: Some(approval.clone()) }).await.unwrap();
    let minute = Duration::from_secs(60);
    let terms = Terms { open: minute, holds: minute, agent_max: 20 };
    let approvals = Approvals::new(store.clone(), Metrics::new().unwrap(), terms);
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(approvals.wait(&id))).collect();
    let ready = async |wait: &mut _| tokio::time::timeout(Duration::from_millis(200), wait).await.ok();
    for wait in &mut waits {
        assert!(ready(wait).await.is_none(), "nobody has answered");
    }
    let now = atryum::clock::now_ms();
    let yes = atryum::store::approval::Answer {
        digest: approval.digest,
        status: "approved".into(),
        reason: None,
        edited_arguments: None,
        by: "ada".into(),
        now,
        holds_until: now + 60_000,
    };
    approvals.settle(&id, yes).await.unwrap();
    let (mut first, mut second, mut last) = (waits.remove(0), waits.remove(0), waits.remove(0));
    let taken = last.as_mut().await.unwrap();
    assert!(matches!(taken, Answer::Approved(_)), "{taken:?}");
    assert!(ready(&mut second).await.is_none(), "it is the other one's turn");
    drop(taken);
    let Answer::Approved(taken) = second.as_mut().await.unwrap() else { panic!("it was not used yet") };
    assert!(ready(&mut first).await.is_none());
    let spending = Transition {
        spends: Some(id.clone()),
        dispatched_at: Some(now),
        ..Transition::new(&call, State::Pending, State::Dispatched)
    };
    let receipt = journal.advance(spending).await.unwrap();
    assert!(taken.permit(receipt).is_some());
    assert!(matches!(first.await.unwrap(), Answer::Used));
    assert_eq!(approvals.waiting(), 0);
}

#[actix_rt::test]
async fn a_yes_for_a_server_that_was_edited_meanwhile_runs_nothing() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let edited = app.operator().patch("/api/v1/servers/n", json!({"cwd": "/"})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
    app.operator().post(&path, json!({"digest": approval["digest"]})).await;
    let answer = stream.message().await.expect("an answer");
    assert!(answer.to_string().contains("the server was edited"), "{answer}");
    assert_eq!(ledger(&app), "");
    assert_eq!(app.invocations().await[0]["state"], "denied");
}

#[actix_rt::test]
async fn an_agent_that_cancels_leaves_its_question_and_nothing_runs() {
    let (app, session) = waiting().await;
    let id = session.next_id();
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "x", "nonce": "one"}}});
    let client = session.client.clone().header("content-type", "application/json");
    let mut stream = client.open("POST", "/mcp/n", call.to_string()).await;
    let approval = app.pending_approval().await;
    session.notify("notifications/cancelled", json!({"requestId": id})).await;
    assert!(stream.message().await.is_none());
    is_left(&app, &approval).await;
}

#[actix_rt::test]
async fn a_modern_agent_that_hangs_up_leaves_its_question_and_nothing_runs() {
    let (app, session) = waiting().await;
    let agent = app.agent("bob").await;
    let mut params = json!({"name": "echo", "arguments": {"text": "x", "nonce": "one"}});
    let (client, body) = modern_request(&agent, "tools/call", &mut params);
    let stream = client.open("POST", "/mcp/n", body).await;
    let approval = app.pending_approval().await;
    drop(stream);
    is_left(&app, &approval).await;
    drop(session);
}

#[actix_rt::test]
async fn an_agent_that_loses_its_stream_and_does_not_come_back_leaves_its_question_and_nothing_runs() {
    let (app, session) = waiting().await;
    let stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    drop(stream);
    is_left(&app, &approval).await;
}

async fn is_left(app: &App, approval: &Value) {
    assert_eq!(approval["left_at"], Value::Null, "{approval}");
    let id = approval["id"].as_str().unwrap();
    eventually("the agent is known to be gone", async || {
        let read = app.operator().get(&format!("/api/v1/approvals/{id}")).await;
        (read.json["status"] == "pending" && read.json["left_at"].is_string()).then_some(())
    })
    .await;
    assert_eq!(app.invocations().await[0]["state"], "cancelled");
    let late =
        app.operator().post(&format!("/api/v1/approvals/{id}/approve"), json!({"digest": approval["digest"]})).await;
    assert_eq!((late.status, &late.json["used_at"]), (200, &Value::Null), "{late:?}");
    assert_eq!(ledger(app), "", "nobody would hear of it");
}

#[actix_rt::test]
async fn a_hundred_answers_at_once_have_one_winner() {
    let (app, session) = waiting().await;
    let mut stream = session.open_call("echo", json!({"text": "x", "nonce": "one"}), None).await;
    let approval = app.pending_approval().await;
    let id = approval["id"].as_str().unwrap();
    let answers = (0..100).map(|n| {
        let word = if n % 2 == 0 { "approve" } else { "deny" };
        let (operator, body) = (app.operator(), json!({"digest": approval["digest"]}));
        let path = format!("/api/v1/approvals/{id}/{word}");
        async move { operator.post(&path, body).await.status }
    });
    let statuses = futures_util::future::join_all(answers).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let answer = stream.message().await.expect("an answer");
    let ran = ledger(&app) == "one\n";
    assert_eq!(answer["result"]["isError"] != true, ran, "{answer}");
}

/// Yes, no, cancellation and deadline at the same moment: each call ends in one way, and what ran is what the rows say.
#[actix_rt::test]
async fn whatever_comes_at_the_deadline_each_call_has_one_end_and_no_more_than_that_runs() {
    const CALLS: usize = 40;
    let settings = Settings::default().with("ATRYUM_GATE__APPROVALS_PER_AGENT", "100");
    let app = settings.with("ATRYUM_GATE__APPROVAL_TIMEOUT_SECONDS", "2").start().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let session = Session::open(&app.agent("ann").await, "n", "2025-11-25", json!({})).await;
    let call = async |n: usize| {
        let id = 1000 + n;
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "x", "nonce": format!("{n}")}}});
        let client = session.client.clone().header("content-type", "application/json");
        let mut stream = client.open("POST", "/mcp/n", call.to_string()).await;
        if n.is_multiple_of(4) {
            actix_rt::time::sleep(std::time::Duration::from_millis(1900 + (n as u64 * 7) % 200)).await;
            session.notify("notifications/cancelled", json!({"requestId": id})).await;
        }
        while stream.message().await.is_some() {}
    };
    let answer = async {
        let pending = eventually("all wait", async || {
            let list = app.operator().get("/api/v1/approvals?status=pending&limit=200").await;
            list.json["items"].as_array().filter(|items| items.len() == CALLS).cloned()
        })
        .await;
        let answers = pending.into_iter().enumerate().map(|(n, approval)| {
            let app = &app;
            async move {
                let expires_at =
                    chrono::DateTime::parse_from_rfc3339(approval["expires_at"].as_str().unwrap()).unwrap();
                let left =
                    expires_at.timestamp_millis() - chrono::Utc::now().timestamp_millis() - 60 + (n as i64 * 5) % 120;
                actix_rt::time::sleep(std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
                let word = if n % 3 == 0 { "deny" } else { "approve" };
                let path = format!("/api/v1/approvals/{}/{word}", approval["id"].as_str().unwrap());
                app.operator().post(&path, json!({"digest": approval["digest"]})).await.status
            }
        });
        futures_util::future::join_all(answers).await
    };
    let (_, statuses) = futures_util::future::join(futures_util::future::join_all((0..CALLS).map(call)), answer).await;
    let rows = app.invocations().await;
    assert_eq!(rows.len(), CALLS);
    let of = |state: &str| rows.iter().filter(|row| row["state"] == state).count();
    let ended = ["completed", "denied", "expired", "cancelled", "unknown"].map(of);
    assert_eq!(ended.iter().sum::<usize>(), CALLS, "{ended:?}");
    let ran = std::fs::read_to_string(&ledger).unwrap_or_default();
    let mut nonces: Vec<_> = ran.lines().collect();
    nonces.sort_unstable();
    let before = nonces.len();
    nonces.dedup();
    assert_eq!(nonces.len(), before, "nothing runs twice");
    let may_have_run: Vec<_> = rows
        .iter()
        .filter(|row| ["completed", "unknown"].contains(&row["state"].as_str().unwrap()))
        .map(|row| row["arguments"]["nonce"].as_str().unwrap().to_owned())
        .collect();
    assert!(nonces.iter().all(|nonce| may_have_run.contains(&(*nonce).to_owned())), "{nonces:?} {may_have_run:?}");
    assert!(of("completed") <= nonces.len());
    assert!(statuses.contains(&200), "{statuses:?}");
    eventually("nothing waits on, though nobody waited for it", async || {
        let left = app.operator().get("/api/v1/approvals?status=pending").await;
        (left.json["items"] == json!([])).then_some(())
    })
    .await;
}
