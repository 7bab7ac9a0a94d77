//! Runs that are cut short, as a panic or the end of a thread does it.

use super::*;
use crate::gate::{Action, Call, RuleSet, Terms};
use crate::journal::{Entry, Redaction};
use crate::store::Store;

struct Bench {
    store: Store,
    journal: Journal,
    request: Request,
    _folder: tempfile::TempDir,
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
    let store = Store::open(&url).await.unwrap();
    let journal = Journal::start(store.clone());
    let call = Call {
        agent: "ann".into(),
        server: "n".into(),
        method: "tools/call".into(),
        tool: Some("t".into()),
        arguments: crate::gate::Arguments::None,
        hints: None,
    };
    let request = Request {
        call,
        agent_id: "a".into(),
        request_id: "r".into(),
        client: None,
        session: None,
        server_id: "s".into(),
        server_revision: 1,
        arguments: None,
        other_params: None,
        row_id: None,
        approval_id: None,
    };
    Bench { store, journal, request, _folder: folder }
}

async fn state_of(bench: &Bench, id: &str) -> (String, String) {
    bench.journal.close().await;
    let row = store::invocation::find(&bench.store, id).await.unwrap().expect("a row");
    (row.state, row.error.unwrap_or_default())
}

#[tokio::test]
async fn a_call_that_was_cut_short_after_its_dispatch_ends_as_unknown() {
    let bench = bench().await;
    let run = Run::new(&bench.request, bench.journal.clone());
    let id = run.id.clone();
    let decision = RuleSet::new(1, Action::Allow, Vec::new()).evaluate(&bench.request.call, 0);
    run.row.may_be(&[State::Dispatched]);
    let row = bench.request.row(&id, &decision, State::Dispatched, 1);
    let _receipt = bench.journal.record(Entry { invocation: row, approval: None }).await.unwrap();
    drop(run);
    assert_eq!(state_of(&bench, &id).await, ("unknown".to_owned(), CUT_SHORT.to_owned()));
}

#[tokio::test]
async fn a_call_that_was_cut_short_while_it_waited_ends_as_cancelled() {
    for states in [&[State::Pending][..], &[State::Pending, State::Dispatched]] {
        let bench = bench().await;
        let run = Run::new(&bench.request, bench.journal.clone());
        let id = run.id.clone();
        let decision = RuleSet::new(1, Action::Ask, Vec::new()).evaluate(&bench.request.call, 0);
        run.row.may_be(if states.len() == 1 { &[State::Pending] } else { &[State::Pending, State::Dispatched] });
        let minute = Duration::from_mins(1);
        let approval = bench
            .request
            .question(None, &Redaction::default())
            .row(&id, &Terms { open: minute, holds: minute, agent_max: 1 });
        let mut row = bench.request.row(&id, &decision, State::Pending, 1);
        row.approval_id = Some(approval.id.clone());
        let _receipt = bench.journal.record(Entry { invocation: row, approval: Some(approval) }).await.unwrap();
        drop(run);
        assert_eq!(state_of(&bench, &id).await, ("cancelled".to_owned(), CUT_SHORT.to_owned()));
    }
}

#[tokio::test]
async fn a_call_that_has_its_end_is_not_ended_again() {
    let bench = bench().await;
    let run = Run::new(&bench.request, bench.journal.clone());
    let id = run.id.clone();
    let decision = RuleSet::new(1, Action::Deny, Vec::new()).evaluate(&bench.request.call, 0);
    let row = bench.request.row(&id, &decision, State::Denied, 1);
    let _receipt = bench.journal.record(Entry { invocation: row, approval: None }).await.unwrap();
    drop(run);
    assert_eq!(state_of(&bench, &id).await, ("denied".to_owned(), String::new()));
}
