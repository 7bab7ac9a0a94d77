//! What is told by channels, and by whom.

use atryum::journal::{Entry, Journal, State};
use atryum::store::channel::{self, Change, Seen};
use atryum::store::delivery::{self, Outcome, Row, Wanted};
use atryum::store::{Page, Store, approval};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    an_approval_is_told_once_by_each_channel,
    of_many_who_claim_a_delivery_one_has_it,
    a_claim_that_is_over_is_anybodys_and_what_was_taken_is_taken,
    what_waits_no_more_is_ended_and_an_edit_has_the_rest_tried_at_once,
    a_channel_is_failing_once_and_recovers_once,
    deliveries_go_with_their_channel_and_their_approval,
);

const NOW: i64 = 5_000;

async fn ask(store: &Store) -> approval::Row {
    let journal = Journal::start(store.clone());
    let (invocation, approval) = sample::question(NOW + 100);
    let receipt = journal.record(Entry { invocation, approval: Some(approval.clone()) }).await.unwrap();
    assert_eq!(receipt.state(), State::Pending);
    journal.close().await;
    approval
}

fn wanted(channel: &channel::Row, approval: &approval::Row) -> Wanted {
    Wanted { channel_id: channel.id.clone(), approval_id: approval.id.clone(), next_at: NOW }
}

/// A channel with something to tell.
async fn waiting(store: &Store) -> (channel::Row, approval::Row, Row) {
    let channel = channel::insert(store, sample::channel("ops")).await.unwrap();
    let approval = ask(store).await;
    delivery::put(store, vec![wanted(&channel, &approval)], NOW).await.unwrap();
    let row = only(store, &channel).await;
    (channel, approval, row)
}

async fn only(store: &Store, channel: &channel::Row) -> Row {
    let mut all = delivery::list(store, &channel.id, &Page::default()).await.unwrap().items;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn an_approval_is_told_once_by_each_channel(database: Database) {
    let store = database.open().await;
    let (channel, approval, row) = waiting(&store).await;
    let other = channel::insert(&store, sample::channel("other")).await.unwrap();
    let pair = |channel: &channel::Row| (channel.id.clone(), approval.id.clone());
    let both = vec![wanted(&channel, &approval), wanted(&other, &approval), wanted(&other, &approval)];
    join_all((0..5).map(|_| delivery::put(&store, both.clone(), NOW))).await.into_iter().for_each(Result::unwrap);
    assert_eq!(only(&store, &channel).await, row);
    only(&store, &other).await;
    let known = delivery::known(&store, &[&approval.id, "nobody"]).await.unwrap();
    assert_eq!(known, [pair(&channel), pair(&other)].into());
    // of what is gone by now nothing is kept
    let lost = Wanted { approval_id: "nobody".to_owned(), ..wanted(&channel, &approval) };
    delivery::put(&store, vec![lost], NOW).await.unwrap();
    only(&store, &channel).await;
    let open = approval::list_open(&store, None, NOW, 10).await.unwrap();
    assert_eq!(open.iter().map(|open| &open.id).collect::<Vec<_>>(), [&approval.id]);
    assert!(approval::list_open(&store, Some(&approval.id), NOW, 10).await.unwrap().is_empty());
    assert!(approval::list_open(&store, None, NOW + 100, 10).await.unwrap().is_empty(), "its time is over");
}

async fn of_many_who_claim_a_delivery_one_has_it(database: Database) {
    let store = database.open().await;
    let (channel, _, row) = waiting(&store).await;
    assert!(delivery::due(&store, &channel.id, NOW - 1, 9).await.unwrap().is_empty());
    let due = delivery::due(&store, &channel.id, NOW, 9).await.unwrap();
    assert_eq!(due, [row]);
    let claims = join_all((0..50).map(|_| delivery::claim(&store, due.clone(), NOW, NOW + 10))).await;
    let won: Vec<_> = claims.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].tries, won[0].claimed_until), (1, Some(NOW + 10)));
    assert!(delivery::due(&store, &channel.id, NOW + 9, 9).await.unwrap().is_empty());
    assert_eq!(only(&store, &channel).await, won[0]);
}

async fn a_claim_that_is_over_is_anybodys_and_what_was_taken_is_taken(database: Database) {
    let store = database.open().await;
    let (channel, _, row) = waiting(&store).await;
    let first = delivery::claim(&store, vec![row], NOW, NOW + 10).await.unwrap().remove(0);
    let due = delivery::due(&store, &channel.id, NOW + 10, 9).await.unwrap();
    let second = delivery::claim(&store, due, NOW + 10, NOW + 20).await.unwrap().remove(0);
    assert_eq!((&second.id, second.tries), (&first.id, 2));
    // the first one comes too late to say that it failed
    let late = Outcome::Failed("too late".to_owned(), false);
    delivery::finish(&store, &first, &late, NOW + 11).await.unwrap();
    assert_eq!(only(&store, &channel).await, second);
    let again = Outcome::Again("busy".to_owned(), NOW + 50);
    delivery::finish(&store, &second, &again, NOW + 12).await.unwrap();
    let waits = only(&store, &channel).await;
    assert_eq!((waits.state.as_str(), waits.next_at, waits.claimed_until), ("waiting", NOW + 50, None));
    assert_eq!(waits.problem.as_deref(), Some("busy"));
    // and never too late to say that it was taken
    delivery::finish(&store, &first, &Outcome::Sent, NOW + 13).await.unwrap();
    let sent = only(&store, &channel).await;
    assert_eq!((sent.state.as_str(), sent.problem, sent.finished_at), ("sent", None, Some(NOW + 13)));
    delivery::finish(&store, &second, &late, NOW + 14).await.unwrap();
    assert_eq!(only(&store, &channel).await.state, "sent");
}

async fn what_waits_no_more_is_ended_and_an_edit_has_the_rest_tried_at_once(database: Database) {
    let store = database.open().await;
    let (channel, first, row) = waiting(&store).await;
    let second = ask(&store).await;
    delivery::put(&store, vec![wanted(&channel, &second)], NOW).await.unwrap();
    let claimed = delivery::claim(&store, vec![row], NOW, NOW + 10).await.unwrap().remove(0);
    let again = Outcome::Again("busy".to_owned(), NOW + 5_000);
    delivery::finish(&store, &claimed, &again, NOW).await.unwrap();
    assert_eq!(delivery::end_answered(&store, NOW).await.unwrap(), 0);
    let edited: Result<_, atryum::store::StoreError> = channel::update(&store, "ops", Some(1), |_| Ok(())).await;
    let edited = edited.unwrap();
    assert_eq!((edited.revision, edited.problem, edited.failing_since), (2, None, None));
    let due = delivery::due(&store, &channel.id, edited.updated_at, 9).await.unwrap();
    assert_eq!(due.len(), 2, "both are due");
    for approval in [&first, &second] {
        approval::cancel(&store, &approval.id, NOW).await.unwrap();
    }
    assert_eq!(delivery::end_answered(&store, NOW).await.unwrap(), 2);
    let listed = delivery::list(&store, &channel.id, &Page::new(Some(1), None)).await.unwrap();
    assert_eq!((listed.items[0].state.as_str(), listed.items[0].tries), ("withdrawn", 0));
    let rest = delivery::list(&store, &channel.id, &Page::new(Some(1), listed.next_cursor)).await.unwrap();
    assert_eq!((rest.items[0].state.as_str(), rest.items[0].problem.as_deref()), ("failed", Some("busy")));
    assert_eq!(rest.next_cursor, None);
}

async fn a_channel_is_failing_once_and_recovers_once(database: Database) {
    let store = database.open().await;
    let made = channel::insert(&store, sample::channel("ops")).await.unwrap();
    let note = async |seen: Seen, now| channel::note(&store, &made.id, &seen, now).await.unwrap();
    assert_eq!(note(Seen::Well, 1).await, None);
    assert_eq!(note(Seen::Failing("a".to_owned()), 2).await, Some(Change::Failing));
    assert_eq!(note(Seen::Failing("b".to_owned()), 3).await, None);
    let row = channel::find(&store, "ops").await.unwrap().unwrap();
    assert_eq!((row.problem.as_deref(), row.failing_since, row.last_sent_at), (Some("b"), Some(2), Some(1)));
    assert_eq!(note(Seen::Well, 4).await, Some(Change::Recovered));
    assert_eq!(note(Seen::Gone("c".to_owned()), 5).await, Some(Change::Disabled));
    assert_eq!(note(Seen::Gone("c".to_owned()), 6).await, None);
    let row = channel::find(&store, "ops").await.unwrap().unwrap();
    assert_eq!((row.enabled, row.revision, row.last_sent_at), (false, 2, Some(4)));
    assert!(channel::load_enabled(&store).await.unwrap().is_empty());
    assert_eq!(channel::note(&store, "nobody", &Seen::Well, 7).await.unwrap(), None);
    let taken = channel::insert(&store, sample::channel("ops")).await.unwrap_err();
    assert_eq!(taken.to_string(), "a channel named ops exists");
}

async fn deliveries_go_with_their_channel_and_their_approval(database: Database) {
    let store = database.open().await;
    let (first, approval, _) = waiting(&store).await;
    let second = channel::insert(&store, sample::channel("other")).await.unwrap();
    delivery::put(&store, vec![wanted(&second, &approval)], NOW).await.unwrap();
    channel::delete(&store, "ops").await.unwrap();
    assert!(delivery::list(&store, &first.id, &Page::default()).await.unwrap().items.is_empty());
    only(&store, &second).await;
    database.run("DELETE FROM approval").await;
    let left = delivery::list(&store, &second.id, &Page::default()).await.unwrap().items;
    assert_eq!(left, [], "with the approval its notices go, too");
}
