//! Logins that were begun: used once, by whoever began them, in time.

use atryum::store::oauth_flow::{self, Row};
use atryum::store::{Store, audit, server};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    of_many_callbacks_one_is_taken,
    a_stranger_and_a_latecomer_are_refused_and_use_nothing_up,
    what_became_of_a_login_is_said_once,
    what_has_expired_is_forgotten,
);

const NOW: i64 = 1_000_000;

async fn begun(store: &Store) -> Row {
    let server = server::insert(store, sample::server("s"), Vec::new()).await.unwrap();
    let row = sample::oauth_flow(&server.id);
    oauth_flow::insert(store, row.clone()).await.unwrap();
    row
}

async fn of_many_callbacks_one_is_taken(database: Database) {
    let store = database.open().await;
    let row = begun(&store).await;
    let tries = join_all((0..20).map(|_| oauth_flow::consume(&store, "digest", "ann", NOW + 1))).await;
    let won: Vec<_> = tries.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [Row { used_at: Some(NOW + 1), ..row }]);
}

async fn a_stranger_and_a_latecomer_are_refused_and_use_nothing_up(database: Database) {
    let store = database.open().await;
    let row = begun(&store).await;
    for (digest, login, now) in [("other", "ann", NOW), ("digest", "bob", NOW), ("digest", "ann", NOW + 600)] {
        assert_eq!(oauth_flow::consume(&store, digest, login, now).await.unwrap(), None, "{digest} {login} {now}");
    }
    assert_eq!(oauth_flow::find_by_state(&store, "digest").await.unwrap(), Some(row));
    assert!(oauth_flow::consume(&store, "digest", "ann", NOW + 599).await.unwrap().is_some());
}

async fn what_became_of_a_login_is_said_once(database: Database) {
    let store = database.open().await;
    let row = begun(&store).await;
    assert!(oauth_flow::finish(&store, &row.id, Some("declined".to_owned()), NOW + 2).await.unwrap());
    assert!(!oauth_flow::finish(&store, &row.id, None, NOW + 3).await.unwrap());
    let found = oauth_flow::find(&store, &row.id).await.unwrap().unwrap();
    assert_eq!((found.finished_at, found.problem.as_deref()), (Some(NOW + 2), Some("declined")));
}

async fn what_has_expired_is_forgotten(database: Database) {
    let store = database.open().await;
    let row = begun(&store).await;
    assert_eq!(oauth_flow::delete_expired(&store, NOW + 600).await.unwrap(), 0);
    assert_eq!(oauth_flow::delete_expired(&store, NOW + 601).await.unwrap(), 1);
    let told = audit::events_after(&store, 1, 0, 10).await.unwrap();
    assert_eq!(told.iter().filter(|link| link.kind == "oauth_flows.removed").count(), 1, "{told:#?}");
    assert_eq!(oauth_flow::find(&store, &row.id).await.unwrap(), None);
}
