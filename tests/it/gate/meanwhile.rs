//! Rules that change while a call is on its way: what they say when it would go out is what counts.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use atryum::gate::{Approvals, Arguments, Call, Gate, Terms};
use atryum::invocation::{Answer, Invocations, Patience, Ready, Request, Watch, Way};
use atryum::journal::Journal;
use atryum::metrics::Metrics;
use atryum::store::{self, Store, approval, rule};
use atryum::upstream::{NoSink, Reply, Ticket};
use futures_util::future;

use crate::store::sample;
use crate::support::database::Database;

/// One call of `add` of the server `calc`, and what it passes.
struct Bench {
    store: Store,
    gate: Gate,
    approvals: Approvals,
    invocations: Invocations,
    journal: Journal,
    _database: Database,
}

impl Bench {
    async fn new() -> Self {
        let database = Database::sqlite().await;
        let store = database.open().await;
        let gate = Gate::start(store.clone(), Arbiter::current()).await.unwrap();
        let minute = Duration::from_secs(60);
        let terms = Terms { open: minute, holds: minute, agent_max: 20 };
        let metrics = Metrics::new().unwrap();
        let approvals = Approvals::new(store.clone(), metrics.clone(), terms);
        let journal = Journal::start(store.clone());
        let invocations = Invocations::new(
            gate.clone(),
            approvals.clone(),
            journal.clone(),
            metrics,
            serde_json::from_str("[]").unwrap(),
        );
        Self { store, gate, approvals, invocations, journal, _database: database }
    }

    /// A rule before all others, in force when this returns.
    async fn rule(&self, action: &str) -> String {
        let first = rule::list(&self.store).await.unwrap().first().map(|rule| rule.id.clone());
        let new = rule::NewRule { action: action.into(), ..sample::rule(action) };
        let added = rule::insert(&self.store, new, first.as_deref()).await.unwrap();
        self.gate.reload().await.unwrap();
        added.id
    }

    /// Makes the call to a server that is there once `opening` is; what it was told, whether it was sent, and its row.
    async fn call(&self, opening: impl AsyncFnOnce()) -> (Answer, bool, store::invocation::Row) {
        let mut is_sent = false;
        let way = Way {
            look: async |_: bool| Ok(None),
            open: async |_: bool| {
                opening().await;
                let dispatch = async |_: atryum::gate::Permit, _: Ticket| {
                    is_sent = true;
                    Ok(Reply::Result("{}".into()))
                };
                Ok(Ready { revision: 3, definition: None, dispatch })
            },
            ticket: Ticket { sink: Arc::new(NoSink), progress_token: None, id: "1".into() },
        };
        let watch = Yes { store: self.store.clone(), approvals: self.approvals.clone() };
        let answer = self.invocations.run(&request(), way, &watch, future::pending()).await;
        self.journal.close().await;
        let rows = store::invocation::list(&self.store, &Default::default(), &store::Page::default()).await.unwrap();
        (answer, is_sent, rows.items.into_iter().next().expect("a row"))
    }
}

fn request() -> Request {
    Request {
        call: Call {
            agent: "ann".into(),
            server: "calc".into(),
            method: "tools/call".into(),
            tool: Some("add".into()),
            arguments: Arguments::None,
            hints: None,
        },
        agent_id: "a".into(),
        request_id: "r".into(),
        client: None,
        session: None,
        server_id: "s".into(),
        server_revision: 3,
        arguments: None,
        other_params: None,
        row_id: None,
        approval_id: None,
    }
}

/// An agent that stays, and a person who says yes to whatever is asked.
struct Yes {
    store: Store,
    approvals: Approvals,
}

impl Watch for Yes {
    fn asked<'w>(&'w self, question: &'w approval::Row, _: &'w str) -> Pin<Box<dyn Future<Output = Patience> + 'w>> {
        let (store, approvals, id) = (self.store.clone(), self.approvals.clone(), question.id.clone());
        actix_rt::spawn(async move {
            let asked = approval::find(&store, &id).await.unwrap().expect("it was asked");
            let yes = approval::Answer {
                digest: asked.digest,
                status: approval::APPROVED.into(),
                reason: None,
                edited_arguments: None,
                by: "ada".into(),
                now: asked.created_at,
                holds_until: asked.expires_at,
            };
            approvals.settle(&id, yes).await.unwrap();
        });
        Box::pin(future::ready(Patience::OfClient))
    }

    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(future::pending())
    }

    fn attended(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(future::ready(()))
    }

    fn answered(&self) {}
}

#[actix_rt::test]
async fn a_deny_that_comes_while_the_server_starts_wins_over_a_rule_that_allowed() {
    let bench = Bench::new().await;
    bench.rule("allow").await;
    let mut denied_by = None;
    let (answer, is_sent, row) = bench.call(async || denied_by = Some(bench.rule("deny").await)).await;
    assert!(matches!(&answer, Answer::Denied(refusal) if refusal.code == "denied"), "{answer:?}");
    assert!(!is_sent);
    assert_eq!(
        (row.state.as_str(), row.action.as_str(), row.rule_id),
        ("denied", "deny", denied_by),
        "{:?}",
        row.error
    );
}

#[actix_rt::test]
async fn a_question_that_is_to_be_asked_since_the_server_started_is_not_passed_over() {
    let bench = Bench::new().await;
    bench.rule("allow").await;
    let (answer, is_sent, row) = bench.call(async || drop(bench.rule("ask").await)).await;
    assert!(matches!(&answer, Answer::Refused(refusal) if refusal.text.contains("make it again")), "{answer:?}");
    assert!(!is_sent);
    assert_eq!((row.state.as_str(), row.action.as_str()), ("refused", "ask"));
}

#[actix_rt::test]
async fn a_rule_whose_time_ends_while_the_server_starts_lets_nothing_through() {
    let bench = Bench::new().await;
    let ends = atryum::clock::now_ms() + 1_000;
    let short = rule::NewRule { expires_at: Some(ends), ..sample::rule("allow") };
    rule::insert(&bench.store, short, None).await.unwrap();
    rule::put_default_action(&bench.store, "deny").await.unwrap();
    bench.gate.reload().await.unwrap();
    let over = async || {
        while atryum::clock::now_ms() < ends {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (answer, is_sent, _row) = bench.call(over).await;
    assert!(matches!(&answer, Answer::Denied(_)) && !is_sent, "{answer:?}");
}

#[actix_rt::test]
async fn a_deny_that_comes_while_the_server_starts_wins_over_a_persons_yes_and_is_told_and_counted_as_what_it_is() {
    let bench = Bench::new().await;
    bench.rule("ask").await;
    let mut denied_by = None;
    let (answer, is_sent, row) = bench.call(async || denied_by = Some(bench.rule("deny").await)).await;
    assert!(matches!(&answer, Answer::Denied(refusal) if refusal.text.contains("the rules deny it")), "{answer:?}");
    assert!(!is_sent);
    assert_eq!((row.state.as_str(), row.decided_by.as_deref(), &row.rule_id), ("denied", Some("rule"), &denied_by));
    assert_eq!(bench.gate.uncounted(&denied_by.unwrap()).map(|(count, _)| count), Some(1));
    let asked = approval::find(&bench.store, &row.approval_id.unwrap()).await.unwrap().unwrap();
    assert_eq!(asked.used_at, None, "the yes was not spent");
}

#[actix_rt::test]
async fn where_no_rule_denies_but_the_default_does_no_rule_is_blamed() {
    let bench = Bench::new().await;
    let asking = bench.rule("ask").await;
    let deny_by_default = async || {
        rule::delete(&bench.store, &asking).await.unwrap();
        rule::put_default_action(&bench.store, "deny").await.unwrap();
        bench.gate.reload().await.unwrap();
    };
    let (answer, is_sent, row) = bench.call(deny_by_default).await;
    assert!(matches!(&answer, Answer::Denied(_)) && !is_sent, "{answer:?}");
    assert_eq!((row.decided_by.as_deref(), row.rule_id, row.action.as_str()), (Some("default"), None, "deny"));
}

#[actix_rt::test]
async fn a_call_that_a_person_let_go_says_which_rule_asked_and_the_audit_by_which_rules_it_went() {
    let bench = Bench::new().await;
    let asking = bench.rule("ask").await;
    let mut allowing = None;
    let (answer, is_sent, row) = bench.call(async || allowing = Some(bench.rule("allow").await)).await;
    assert!(matches!(&answer, Answer::Reply(_)) && is_sent, "{answer:?}");
    assert_eq!((row.action.as_str(), row.decided_by.as_deref(), row.rule_id), ("ask", Some("person"), Some(asking)));
    let page = store::Page::default();
    let wanted = store::audit::Filter { kind: Some("call.dispatched".into()), ..Default::default() };
    let told = store::audit::list(&bench.store, &wanted, &page).await.unwrap().items;
    let data: serde_json::Value = serde_json::from_str(&told[0].data).unwrap();
    assert_eq!((data["action"].as_str(), data["rule_id"].as_str()), (Some("allow"), allowing.as_deref()), "{data}");
    assert!(data["rule_set_revision"].as_i64().unwrap() > row.rule_set_revision, "{data}");
}
