//! Questions that are asked at one gateway and answered at another.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::eventually;
use crate::support::http::{Open, Session};
use crate::support::muted::Muted;
use crate::support::postgres::create_database;
use crate::support::replicas::{answer, session, settings, two};

/// How many releases are timed in the suite; `ATRYUM_TEST_RELEASES=500` for more.
const RELEASES: usize = 20;

fn releases() -> usize {
    std::env::var("ATRYUM_TEST_RELEASES").map_or(RELEASES, |count| count.parse().expect("a number"))
}

/// A server that notes what runs, an agent, and its session with `at`.
async fn asking(told: &App, at: &App) -> (Session, String, std::path::PathBuf) {
    let ledger = told.dir().join("ledger");
    told.nasty("n", &["both", &format!("ledger={}", ledger.display())]).await;
    let key = told.agent_key("ann").await;
    (session(at, &key, "n").await, key, ledger)
}

async fn ask(session: &Session, nonce: &str) -> Open {
    session.open_call("echo", json!({"text": "x", "nonce": nonce}), None).await
}

async fn pending(app: &App, nonce: &str) -> Value {
    eventually("the question is seen", async || {
        let list = app.operator().get("/api/v1/approvals?status=pending&limit=200").await;
        let items = list.json["items"].as_array().cloned().unwrap_or_default();
        let asks = |approval: &Value| approval["arguments_text"].as_str().unwrap().contains(&format!("\"{nonce}\""));
        items.into_iter().find(asks)
    })
    .await
}

/// How long each answer took from the person's click at one gateway to the agent at the other.
async fn released(clicked_at: &App, session: &Session) -> Vec<Duration> {
    let mut took = Vec::new();
    for number in 0..releases() {
        let mut stream = ask(session, &format!("c{number}")).await;
        let approval = pending(clicked_at, &format!("c{number}")).await;
        let clicked = Instant::now();
        answer(clicked_at, &approval, "approve").await;
        let message = stream.message().await.expect("the answer");
        assert_eq!(message["result"]["content"][0]["text"], "x", "{message}");
        took.push(clicked.elapsed());
    }
    took.sort_unstable();
    took
}

fn print(what: &str, took: &[Duration]) {
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
    println!("{what}: {} releases, p50 {:?}, p99 {:?}, most {:?}", took.len(), at(50), at(99), took[took.len() - 1]);
}

#[actix_rt::test]
async fn a_yes_at_one_gateway_releases_the_call_at_the_other() {
    let (one, other) = two(&create_database().await).await;
    let (session, _, ledger) = asking(&one, &other).await;
    let took = released(&one, &session).await;
    print("approved at the other gateway", &took);
    let ran = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(ran.lines().count(), releases(), "each once");
}

#[actix_rt::test]
async fn a_yes_is_found_within_two_looks_where_no_notification_arrives() {
    let url = create_database().await;
    let muted = Muted::start(&url);
    let (one, other) = (settings(&url).start().await, settings(&muted.url).start().await);
    let (session, _, ledger) = asking(&one, &other).await;
    let took = released(&one, &session).await;
    print("approved at the other gateway, no notification", &took);
    assert!(muted.swallowed() >= releases(), "the notifications were sent, and swallowed");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap().lines().count(), releases(), "each once");
}

#[actix_rt::test]
async fn a_no_at_one_gateway_tells_its_reason_at_the_other() {
    let (one, other) = two(&create_database().await).await;
    let (session, _, ledger) = asking(&one, &other).await;
    let mut stream = ask(&session, "c").await;
    answer(&one, &pending(&one, "c").await, "deny").await;
    let message = stream.message().await.expect("an answer");
    assert_eq!(message["result"]["isError"], true);
    assert!(message["result"]["content"][0]["text"].as_str().unwrap().contains("use the sandbox account"), "{message}");
    assert!(!ledger.exists(), "nothing ran");
}

#[actix_rt::test]
async fn a_gateway_that_dies_while_a_call_waits_leaves_its_question_to_the_other() {
    let (mut dies, stays) = two(&create_database().await).await;
    let (session_there, key, ledger) = asking(&stays, &dies).await;
    let _stream = ask(&session_there, "c").await;
    let approval = pending(&stays, "c").await;
    dies.kill();
    answer(&stays, &approval, "approve").await;
    let here = session(&stays, &key, "n").await;
    let message = here.call("echo", json!({"text": "x", "nonce": "c"})).await;
    assert_eq!(message["result"]["content"][0]["text"], "x", "{message}");
    assert_eq!(std::fs::read_to_string(&ledger).unwrap(), "c\n", "once");
    let rows = eventually("the call of the dead one is ended, though it never comes back", async || {
        let rows = stays.invocations().await;
        rows.iter().all(|row| row["finished_at"].is_string()).then_some(rows)
    })
    .await;
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["completed", "cancelled"]);
    let used = stays.operator().get(&format!("/api/v1/approvals/{}", approval["id"].as_str().unwrap())).await;
    assert_eq!(used.json["used_by"], rows[0]["id"], "{used:?}");
}

/// The same call at both gateways: one question, one yes, one of the two runs.
#[actix_rt::test]
async fn of_two_gateways_that_wait_for_one_yes_one_runs_the_call() {
    let (one, other) = two(&create_database().await).await;
    let (there, key, ledger) = asking(&one, &other).await;
    let here = session(&one, &key, "n").await;
    for round in 0..5 {
        let nonce = format!("c{round}");
        let (mut first, mut second) = futures_util::future::join(ask(&here, &nonce), ask(&there, &nonce)).await;
        eventually("both wait", async || {
            let waiting = one.operator().get("/api/v1/invocations?state=pending").await;
            (waiting.json["items"].as_array()?.len() == 2).then_some(())
        })
        .await;
        let list = one.operator().get("/api/v1/approvals?status=pending").await;
        assert_eq!(list.json["items"].as_array().unwrap().len(), 1, "one question: {list:?}");
        answer(&one, &list.json["items"][0], "approve").await;
        let told = [first.message().await.expect("an answer"), second.message().await.expect("an answer")];
        assert_eq!(told.iter().filter(|message| message["result"]["isError"] != true).count(), 1, "{told:?}");
    }
    assert_eq!(std::fs::read_to_string(&ledger).unwrap().lines().count(), 5);
}

/// Yes and no at both gateways at the same moment.
#[actix_rt::test]
async fn of_answers_at_both_gateways_one_wins() {
    let (one, other) = two(&create_database().await).await;
    let (session, _, ledger) = asking(&one, &other).await;
    let mut yes = BTreeSet::new();
    for round in 0..10 {
        let nonce = format!("c{round}");
        let mut stream = ask(&session, &nonce).await;
        let approval = pending(&one, &nonce).await;
        let answers = (0..8).map(|n| {
            let (operator, word) = ([&one, &other][n % 2].operator(), ["approve", "deny"][n / 2 % 2]);
            let path = format!("/api/v1/approvals/{}/{word}", approval["id"].as_str().unwrap());
            let body = json!({"digest": approval["digest"]});
            async move { (operator.post(&path, body).await.status, word) }
        });
        let won: Vec<_> = join_all(answers).await.into_iter().filter(|(status, _)| *status == 200).collect();
        assert_eq!(won.len(), 1, "{won:?}");
        let message = stream.message().await.expect("an answer");
        assert_eq!(message["result"]["isError"] != true, won[0].1 == "approve", "{message}");
        if won[0].1 == "approve" {
            yes.insert(nonce);
        }
    }
    let ran = std::fs::read_to_string(&ledger).unwrap_or_default();
    assert_eq!(ran.lines().map(str::to_owned).collect::<BTreeSet<_>>(), yes);
}
