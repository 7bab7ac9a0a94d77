//! `kill -9` while people answer: what was asked is asked still, what was approved runs once, and no row stays open.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::TERMINAL;
use crate::support::app::{App, Settings};
use crate::support::http::{Client, Session};
use crate::support::postgres::create_database;

/// How many calls in the suite; `ATRYUM_TEST_ASKED_CALLS=10000` for the whole.
const CALLS: usize = 160;
const CALLERS: usize = 8;

fn count() -> usize {
    std::env::var("ATRYUM_TEST_ASKED_CALLS").map_or(CALLS, |count| count.parse().expect("a number"))
}

/// What a caller has been told of a call, for good.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Ran,
    Denied,
    /// The gateway does not know whether it ran, and neither does the caller.
    Nothing,
}

/// Makes one call again and again until it has an outcome, over however many gateways that takes. A caller whose request
/// was cut may have been served: it looks whether its row says so, as an agent would ask its operator.
async fn call(app: &Gateways, nonce: &str) -> Told {
    let params = json!({"name": "echo", "arguments": {"text": "x", "nonce": nonce}});
    loop {
        let agent = app.session().await;
        let message = json!({"jsonrpc": "2.0", "id": agent.next_id(), "method": "tools/call", "params": params});
        let client = agent.client.clone().header("content-type", "application/json");
        let answer = client.try_post("/mcp/n", message.to_string()).await;
        let result = answer.and_then(|answer| answer.json.get("result").cloned());
        let Some(result) = result else {
            if app.may_have_run(nonce).await {
                return Told::Nothing;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if result["structuredContent"]["status"] == "pending_approval" {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        match (result["isError"] == true, text.contains("a person (")) {
            (false, _) => return Told::Ran,
            (true, true) => return Told::Denied,
            // The gateway was stopping, or could not tell.
            (true, false) => {}
        }
    }
}

/// One gateway after another, in the same place.
struct Gateways {
    app: Cell<Option<App>>,
    url: std::cell::RefCell<String>,
    key: String,
    sessions: std::cell::RefCell<BTreeMap<String, std::rc::Rc<Session>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Gateways {
    fn operator(&self) -> Client {
        Client::new(&self.url.borrow()).bearer(crate::support::app::ADMIN_TOKEN)
    }

    /// A session with the gateway that is there now.
    async fn session(&self) -> std::rc::Rc<Session> {
        loop {
            let _turn = self.turn.lock().await;
            let url = self.url.borrow().clone();
            if let Some(session) = self.sessions.borrow().get(&url) {
                return session.clone();
            }
            let agent = Client::new(&url).bearer(&self.key);
            // A gateway that is killed meanwhile gives none.
            if let Some(session) = Session::try_open(&agent, "n", "2025-06-18").await {
                let session = std::rc::Rc::new(session);
                self.sessions.borrow_mut().insert(url, session.clone());
                return session;
            }
            drop(_turn);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a row says that the call was sent.
    async fn may_have_run(&self, nonce: &str) -> bool {
        loop {
            if let Some(rows) = self.operator().try_get(&format!("/api/v1/invocations?q={nonce}%22&limit=200")).await {
                let states = rows["items"].as_array().into_iter().flatten().map(|row| row["state"].clone());
                return states
                    .into_iter()
                    .any(|state| ["completed", "unknown", "dispatched"].iter().any(|s| state == *s));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Answers what waits: yes to the even ones, no to the odd ones.
    async fn answer_all(&self) {
        let Some(list) = self.operator().try_get("/api/v1/approvals?status=pending&limit=200").await else { return };
        let answers =
            list["items"].as_array().cloned().unwrap_or_default().into_iter().map(|approval: Value| async move {
                let arguments: Value = serde_json::from_str(approval["arguments_text"].as_str().unwrap()).unwrap();
                let number: usize = arguments["nonce"].as_str().unwrap().trim_start_matches('c').parse().unwrap();
                let word = if number.is_multiple_of(2) { "approve" } else { "deny" };
                let path = format!("/api/v1/approvals/{}/{word}", approval["id"].as_str().unwrap());
                let operator = self.operator().header("content-type", "application/json");
                operator.try_post(&path, json!({"digest": approval["digest"]}).to_string()).await
            });
        join_all(answers).await;
    }
}

#[actix_rt::test]
async fn kills_lose_no_question_and_run_no_approved_call_twice() {
    kills(Settings::default()).await;
}

#[actix_rt::test]
async fn kills_lose_no_question_and_run_no_approved_call_twice_on_postgresql() {
    let url = create_database().await;
    kills(Settings::default().with("ATRYUM_DATABASE_URL", &url)).await;
}

async fn kills(settings: Settings) {
    let settings = settings
        .with("ATRYUM_GATE__WAITS", "*=1")
        .with("ATRYUM_GATE__APPROVALS_PER_AGENT", "1000")
        .with("ATRYUM_GATE__APPROVAL_TIMEOUT_SECONDS", "86400")
        .with("ATRYUM_GATE__APPROVAL_HOLDS_SECONDS", "86400");
    let app = settings.start().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &[&format!("ledger={}", ledger.display())]).await;
    let key = app.agent_key("ann").await;
    let gateways = Gateways {
        url: app.url.clone().into(),
        app: Cell::new(Some(app)),
        key,
        sessions: Default::default(),
        turn: Default::default(),
    };
    let told = std::cell::RefCell::new(BTreeMap::new());
    let next = Cell::new(0);
    let callers = join_all((0..CALLERS).map(|_| async {
        while next.get() < count() {
            let number = next.replace(next.get() + 1);
            let nonce = format!("c{number}");
            let outcome = call(&gateways, &nonce).await;
            told.borrow_mut().insert(nonce, outcome);
        }
    }));
    let kills = Cell::new(0);
    let people = async {
        loop {
            gateways.answer_all().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let killer = async {
        loop {
            // Every two seconds, and sooner where the calls are soon over.
            let a_fifth_more = async {
                while told.borrow().len() < (kills.get() + 1) * count() / 5 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _whichever_comes_first = tokio::time::timeout(Duration::from_secs(2), a_fifth_more).await;
            let app = gateways.app.take().unwrap().kill_and_restart().await;
            gateways.url.replace(app.url.clone());
            gateways.app.set(Some(app));
            kills.set(kills.get() + 1);
        }
    };
    tokio::select! {
        _ = callers => {}
        () = people => {}
        () = killer => {}
    }
    let mut app = gateways.app.take().unwrap();
    app.kill();
    let app = app.kill_and_restart().await;
    let told = told.into_inner();
    let count = |wanted: &Told| told.values().filter(|outcome| *outcome == wanted).count();
    let (ran, denied, nothing) = (count(&Told::Ran), count(&Told::Denied), count(&Told::Nothing));
    println!("{} kills: {ran} calls were told to have run, {denied} to be denied, {nothing} were cut", kills.get());
    check(&app, &told, &std::fs::read_to_string(&ledger).unwrap()).await;
    assert!(kills.get() > 0, "it was over before the first kill");
}

async fn check(app: &App, told: &BTreeMap<String, Told>, ledger: &str) {
    assert_eq!(told.len(), count());
    let ran: BTreeSet<_> = ledger.lines().collect();
    assert_eq!(ran.len(), ledger.lines().count(), "nothing runs twice");
    let mut sent = BTreeMap::<String, usize>::new();
    for row in app.invocations().await {
        let state = row["state"].as_str().expect("a state");
        assert!(TERMINAL.contains(&state), "{row}");
        if ["completed", "unknown"].contains(&state) && row["tool"] == "echo" {
            *sent.entry(row["arguments"]["nonce"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for (nonce, outcome) in told {
        let number: usize = nonce.trim_start_matches('c').parse().unwrap();
        match outcome {
            Told::Ran => assert!(number.is_multiple_of(2) && ran.contains(nonce.as_str()), "{nonce}"),
            Told::Denied => assert!(!number.is_multiple_of(2) && !ran.contains(nonce.as_str()), "{nonce}"),
            Told::Nothing => assert!(number.is_multiple_of(2) && sent.contains_key(nonce), "{nonce}"),
        }
    }
    for nonce in ran {
        assert_eq!(sent.get(nonce), Some(&1), "{nonce} ran on one yes, and its row says so");
    }
}
