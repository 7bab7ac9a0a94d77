//! `kill -9` while agents hold tasks for calls that wait: each task has an outcome, and no call is made twice.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::TERMINAL;
use crate::support::app::{App, Settings};
use crate::support::http::{Client, modern_request};

/// How many calls in the suite; `ATRYUM_TEST_PLEDGED_CALLS=1000` for more.
const CALLS: usize = 60;
const CALLERS: usize = 6;

fn count() -> usize {
    std::env::var("ATRYUM_TEST_PLEDGED_CALLS").map_or(CALLS, |count| count.parse().expect("a number"))
}

/// One gateway after another, in the same place.
struct Gateways {
    app: Cell<Option<App>>,
    url: RefCell<String>,
    key: String,
}

impl Gateways {
    fn operator(&self) -> Client {
        Client::new(&self.url.borrow()).bearer(crate::support::app::ADMIN_TOKEN)
    }

    /// Sends until a gateway answers.
    async fn send(&self, method: &str, params: &Value) -> Value {
        loop {
            let mut params = params.clone();
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
            let agent = Client::new(&self.url.borrow()).bearer(&self.key);
            let (client, body) = modern_request(&agent, method, &mut params);
            match client.try_post("/mcp/n", body).await {
                Some(answer) if answer.json["result"].is_object() => return answer.json["result"].clone(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Makes a call, and asks after its task until that has an end.
    async fn call(&self, nonce: &str) -> Value {
        let arguments = json!({"text": "x", "nonce": nonce});
        let made = self.send("tools/call", &json!({"name": "echo", "arguments": arguments})).await;
        if made["resultType"] != "task" {
            return made;
        }
        loop {
            let told = self.send("tasks/get", &json!({"taskId": made["taskId"]})).await;
            match told["status"].as_str() {
                Some("completed") => return told["result"].clone(),
                Some("failed") => return told["error"].clone(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn approve_all(&self) {
        let Some(list) = self.operator().try_get("/api/v1/approvals?status=pending&limit=200").await else { return };
        let answers = list["items"].as_array().into_iter().flatten().map(|approval| async move {
            let path = format!("/api/v1/approvals/{}/approve", approval["id"].as_str().unwrap());
            let operator = self.operator().header("content-type", "application/json");
            operator.try_post(&path, json!({"digest": approval["digest"]}).to_string()).await
        });
        join_all(answers).await;
    }
}

#[actix_rt::test]
async fn kills_lose_no_task_and_make_no_call_twice() {
    let settings = Settings::default().with("ATRYUM_GATE__APPROVALS_PER_AGENT", "1000");
    let app = settings.start().await;
    let ledger = app.dir().join("ledger");
    app.nasty("n", &["modern", &format!("ledger={}", ledger.display())]).await;
    let key = app.agent_key("ann").await;
    let gateways = Gateways { url: app.url.clone().into(), app: Cell::new(Some(app)), key };
    let told = RefCell::new(BTreeMap::new());
    let next = Cell::new(0);
    let callers = join_all((0..CALLERS).map(|_| async {
        while next.get() < count() {
            let nonce = format!("c{}", next.replace(next.get() + 1));
            let outcome = gateways.call(&nonce).await;
            told.borrow_mut().insert(nonce, outcome);
        }
    }));
    let people = async {
        loop {
            gateways.approve_all().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let kills = Cell::new(0);
    let killer = async {
        loop {
            while told.borrow().len() < (kills.get() + 1) * count() / 6 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
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
    assert!(kills.get() > 0, "it was over before the first kill");
    let app = gateways.app.take().unwrap();
    let ledger = std::fs::read_to_string(&ledger).unwrap();
    let ran: BTreeSet<_> = ledger.lines().collect();
    assert_eq!(ran.len(), ledger.lines().count(), "nothing runs twice");
    let told = told.into_inner();
    assert_eq!(told.len(), count());
    for (nonce, outcome) in &told {
        let is_result = outcome["content"][0]["text"] == "x";
        // A caller whose first answer was lost has a second task, and perhaps heard that the first one's call ran.
        let is_told = outcome["isError"] == true || outcome["data"]["retry"] == "no";
        assert!(is_result || is_told, "{nonce}: {outcome}");
        assert!(!is_result || ran.contains(nonce.as_str()), "{nonce}: {outcome}");
    }
    for row in app.kill_and_restart().await.invocations().await {
        assert!(TERMINAL.contains(&row["state"].as_str().unwrap()), "{row}");
    }
}
