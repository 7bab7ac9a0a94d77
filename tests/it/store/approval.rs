//! Questions to people.

use atryum::journal::{Entry, Journal, State};
use atryum::store::{Page, Store, StoreError, approval, rule};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    of_two_hundred_answers_at_once_one_wins,
    an_answer_to_what_was_not_shown_is_a_conflict,
    an_approval_that_has_expired_cannot_be_answered,
    an_approval_that_was_extended_does_not_expire_at_its_old_end,
    nobody_who_gives_a_question_more_time_takes_any_of_it,
    what_is_pending_can_be_listed_and_cancelled,
    an_answer_and_the_rule_that_remembers_it_are_written_together_or_not_at_all,
);

const NOW: i64 = 5_000;
const LATEST: i64 = 100_000;

async fn ask(store: &Store, expires_at: i64) -> approval::Row {
    let journal = Journal::start(store.clone());
    let (invocation, approval) = sample::question(expires_at);
    let receipt = journal.record(Entry { invocation, approval: Some(approval.clone()) }).await.unwrap();
    assert_eq!(receipt.state(), State::Pending);
    journal.close().await;
    approval
}

fn answer(asked: &approval::Row, status: &str, by: &str) -> approval::Answer {
    approval::Answer {
        digest: asked.digest.clone(),
        status: status.to_owned(),
        reason: Some("because".to_owned()),
        edited_arguments: None,
        by: by.to_owned(),
        now: NOW,
        holds_until: NOW + 600,
    }
}

async fn of_two_hundred_answers_at_once_one_wins(database: Database) {
    let store = database.open().await;
    let asked = ask(&store, NOW + 1).await;
    let answers = (0..200).map(|index| {
        let status = if index % 2 == 0 { "approved" } else { "denied" };
        approval::decide(&store, &asked.id, answer(&asked, status, &format!("operator {index}")))
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(answers).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    let row = won.into_iter().next().unwrap().unwrap();
    assert_eq!(approval::find(&store, &asked.id).await.unwrap(), Some(row.clone()));
    assert_eq!((row.decided_at, row.reason.as_deref()), (Some(NOW), Some("because")));
    let already = format!("the approval is already {}", row.status);
    assert!(lost.into_iter().all(|error| error.unwrap_err().to_string() == already));
}

async fn an_answer_to_what_was_not_shown_is_a_conflict(database: Database) {
    let store = database.open().await;
    let asked = ask(&store, NOW + 1).await;
    let mut other = answer(&asked, "approved", "ada");
    other.digest = "sha256:other".to_owned();
    let error = approval::decide(&store, &asked.id, other).await.unwrap_err();
    assert_eq!(error.to_string(), "what was shown is not what would be approved: the digest differs");
    assert_eq!(approval::find(&store, &asked.id).await.unwrap(), Some(asked.clone()));
    let error = approval::decide(&store, "no id", answer(&asked, "approved", "ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }));
}

async fn an_approval_that_has_expired_cannot_be_answered(database: Database) {
    let store = database.open().await;
    let asked = ask(&store, NOW).await;
    let error = approval::decide(&store, &asked.id, answer(&asked, "approved", "ada")).await.unwrap_err();
    assert_eq!(error.to_string(), "the approval has expired");
    assert_eq!(approval::expire(&store, &asked.id, NOW).await.unwrap().status, "expired");
    let error = approval::cancel(&store, &asked.id, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "the approval is already expired");
}

async fn an_approval_that_was_extended_does_not_expire_at_its_old_end(database: Database) {
    let store = database.open().await;
    let asked = ask(&store, NOW + 1).await;
    approval::extend(&store, &asked.id, 99, LATEST, NOW).await.unwrap();
    let error = approval::expire(&store, &asked.id, NOW + 1).await.unwrap_err();
    assert_eq!(error.to_string(), "the approval has not expired yet");
    assert_eq!(approval::expire(&store, &asked.id, NOW + 100).await.unwrap().status, "expired");
    assert_eq!(approval::extend(&store, &asked.id, 100, LATEST, NOW).await.unwrap_err().kind(), "conflict");
}

async fn nobody_who_gives_a_question_more_time_takes_any_of_it(database: Database) {
    let store = database.open().await;
    let (short, long) = (ask(&store, NOW + 1).await, ask(&store, LATEST + 5).await);
    let extend = async |asked: &approval::Row, more_ms| {
        approval::extend(&store, &asked.id, more_ms, LATEST, NOW).await.unwrap().expires_at
    };
    futures_util::future::join(extend(&short, 100), extend(&short, 10)).await;
    assert_eq!(approval::find(&store, &short.id).await.unwrap().unwrap().expires_at, NOW + 111);
    assert_eq!(extend(&short, LATEST).await, LATEST, "no later than what is allowed");
    assert_eq!(extend(&long, 60).await, LATEST + 5, "what ends later than that already stays");
}

async fn what_is_pending_can_be_listed_and_cancelled(database: Database) {
    let store = database.open().await;
    let (first, second) = (ask(&store, NOW + 1).await, ask(&store, NOW + 1).await);
    let pending = async || approval::list(&store, Some("pending"), &Page::default()).await.unwrap().items;
    assert_eq!(pending().await, [second.clone(), first.clone()]);
    let cancelled = approval::cancel(&store, &first.id, NOW).await.unwrap();
    assert_eq!(pending().await, std::slice::from_ref(&second));
    let newest = approval::list(&store, None, &Page::new(Some(1), None)).await.unwrap();
    assert_eq!(newest.items, [second]);
    let rest = approval::list(&store, None, &Page::new(Some(1), newest.next_cursor)).await.unwrap();
    assert_eq!((rest.items, rest.next_cursor), (vec![cancelled.clone()], None));
    let listed = approval::list(&store, Some("cancelled"), &Page::default()).await.unwrap();
    assert_eq!(listed.items, [cancelled]);
}

async fn an_answer_and_the_rule_that_remembers_it_are_written_together_or_not_at_all(database: Database) {
    let store = database.open().await;
    let asked = ask(&store, NOW + 1).await;
    let remember = async |digest: &str, before| {
        let answer = approval::Answer { digest: digest.to_owned(), ..answer(&asked, "approved", "ada") };
        approval::decide_and_remember(&store, &asked.id, answer, (sample::rule("remembered"), before)).await
    };
    let gone = remember(&asked.digest, Some("no rule")).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "rule" }), "{gone}");
    assert_eq!(approval::find(&store, &asked.id).await.unwrap(), Some(asked.clone()), "nothing is decided");
    assert!(remember("sha256:other", None).await.is_err());
    assert_eq!(rule::list(&store).await.unwrap(), [], "and nothing remembered");
    let (row, remembered) = remember(&asked.digest, None).await.unwrap();
    assert_eq!((row.status.as_str(), rule::list(&store).await.unwrap()), ("approved", vec![remembered]));
}
