//! What is held for servers that want OAuth: one use of a refresh token, and never the older over the newer.

use atryum::store::credential::{self, Failure, Refreshed, Row};
use atryum::store::{Store, StoreError, audit, server};
use futures_util::future::join_all;

use super::sample;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    of_all_who_would_refresh_one_may,
    a_lease_that_nobody_ends_is_over_by_itself,
    a_lease_of_a_process_that_died_is_over_at_the_next_start,
    a_new_login_is_not_written_over_by_a_refresh_of_the_old_one,
    a_grant_that_is_over_is_not_leased_and_nothing_of_it_is_lost,
    a_credential_goes_with_its_server,
    a_login_of_before_an_edit_is_not_kept,
    what_a_login_edits_of_its_server_is_told_as_an_edit,
    an_edit_takes_a_login_with_it_or_leaves_it_and_the_next_one_replaces_what_was_missing,
);

const NOW: i64 = sample::NOW;

fn next() -> Refreshed {
    Refreshed { access: b"access-2".to_vec(), refresh: Some(b"refresh-2".to_vec()), scopes: None, expires_at: None }
}

fn over(problem: &str) -> Failure {
    Failure { problem: problem.to_owned(), is_over: true, is_client_unknown: false }
}

fn passing(problem: &str) -> Failure {
    Failure { is_over: false, ..over(problem) }
}

async fn stored(store: &Store) -> Row {
    let server = server::insert(store, sample::server("s"), Vec::new()).await.unwrap();
    credential::put(store, sample::credential(&server.id), server.revision).await.unwrap().expect("nobody edited it")
}

async fn of_all_who_would_refresh_one_may(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    assert_eq!((row.revision, row.refreshing_until, row.ended_at), (1, None, None));
    let tries = (0..20).map(|_| credential::lease(&store, &row.server_id, 1, (NOW, NOW + 30)));
    let won: Vec<_> = join_all(tries).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].revision, won[0].refreshing_until), (2, Some(NOW + 30)));
    assert!(credential::lease(&store, &row.server_id, 2, (NOW + 29, NOW + 60)).await.unwrap().is_none());
    assert!(credential::refreshed(&store, &row.server_id, 2, next(), NOW + 1).await.unwrap());
    let found = credential::find(&store, &row.server_id).await.unwrap().unwrap();
    assert_eq!((&found.access[..], found.refresh.as_deref()), (&b"access-2"[..], Some(&b"refresh-2"[..])));
    assert_eq!((found.revision, found.refreshing_until, found.expires_at), (3, None, None));
}

async fn a_lease_that_nobody_ends_is_over_by_itself(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    credential::lease(&store, &row.server_id, 1, (NOW, NOW + 30)).await.unwrap().unwrap();
    let later = credential::lease(&store, &row.server_id, 2, (NOW + 30, NOW + 60)).await.unwrap().unwrap();
    // Whoever was slow comes too late.
    assert!(!credential::refreshed(&store, &row.server_id, 2, next(), NOW + 31).await.unwrap());
    assert!(credential::refreshed(&store, &row.server_id, later.revision, next(), NOW + 31).await.unwrap());
}

async fn a_lease_of_a_process_that_died_is_over_at_the_next_start(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    assert_eq!(credential::end_leases(&store).await.unwrap(), 0);
    let leased = credential::lease(&store, &row.server_id, 1, (NOW, NOW + 30)).await.unwrap().unwrap();
    assert_eq!(credential::end_leases(&store).await.unwrap(), 1);
    let found = credential::find(&store, &row.server_id).await.unwrap().unwrap();
    assert!(credential::lease(&store, &row.server_id, found.revision, (NOW + 1, NOW + 31)).await.unwrap().is_some());
    // Should it not be dead after all, it comes too late.
    assert!(!credential::refreshed(&store, &row.server_id, leased.revision, next(), NOW + 2).await.unwrap());
}

async fn a_new_login_is_not_written_over_by_a_refresh_of_the_old_one(database: Database) {
    let store = database.open().await;
    let old = stored(&store).await;
    let leased = credential::lease(&store, &old.server_id, 1, (NOW, NOW + 30)).await.unwrap().unwrap();
    let row = Row { access: b"new".to_vec(), ..sample::credential(&old.server_id) };
    let new = credential::put(&store, row, 2).await.unwrap().expect("nobody edited it");
    assert_eq!(new.revision, 3);
    assert!(!credential::refreshed(&store, &old.server_id, leased.revision, next(), NOW).await.unwrap());
    assert!(!credential::failed(&store, &old.server_id, leased.revision, over("gone"), NOW).await.unwrap());
    assert_eq!(credential::find(&store, &old.server_id).await.unwrap(), Some(new));
}

async fn a_grant_that_is_over_is_not_leased_and_nothing_of_it_is_lost(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    credential::lease(&store, &row.server_id, 1, (NOW, NOW + 30)).await.unwrap().unwrap();
    assert!(credential::failed(&store, &row.server_id, 2, passing("not now"), NOW).await.unwrap());
    credential::lease(&store, &row.server_id, 3, (NOW, NOW + 30)).await.unwrap().expect("it may be tried again");
    assert!(credential::failed(&store, &row.server_id, 4, over("it is over"), NOW).await.unwrap());
    assert!(credential::lease(&store, &row.server_id, 5, (NOW, NOW + 30)).await.unwrap().is_none());
    let found = credential::find(&store, &row.server_id).await.unwrap().unwrap();
    assert_eq!((found.ended_at, found.problem.as_deref()), (Some(NOW), Some("it is over")));
    assert_eq!((&found.access[..], found.refresh.as_deref()), (&b"access-1"[..], Some(&b"refresh-1"[..])));
}

async fn a_credential_goes_with_its_server(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    server::delete(&store, "s").await.unwrap();
    assert_eq!(credential::find(&store, &row.server_id).await.unwrap(), None);
    assert!(!credential::delete(&store, &row.server_id).await.unwrap());
}

async fn a_login_of_before_an_edit_is_not_kept(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    let server = server::find(&store, "s").await.unwrap().unwrap();
    assert_eq!((server.auth_type.as_deref(), server.revision), (Some("oauth"), 2));
    assert_eq!(server.credential_origin.as_deref(), Some("https://mcp.example"));
    let other = Row { access: b"new".to_vec(), ..row.clone() };
    assert_eq!(credential::put(&store, other.clone(), 1).await.unwrap(), None);
    assert_eq!(credential::find(&store, &row.server_id).await.unwrap(), Some(row));
    credential::put(&store, other, 2).await.unwrap().expect("nobody edited it");
    let server = server::find(&store, "s").await.unwrap().unwrap();
    assert_eq!(server.revision, 2, "a login anew is no edit");
}

async fn an_edit_takes_a_login_with_it_or_leaves_it_and_the_next_one_replaces_what_was_missing(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    let edit = async |forgets_login: bool, is_refused: bool| {
        server::update(&store, "s", None, |server, kept| {
            server.oauth_removed = Some("{}".to_owned());
            assert_eq!(kept.login.map(|login| login.client_id), Some("me".to_owned()));
            if is_refused {
                Err(StoreError::BadCursor)
            } else {
                Ok(server::Changes { forgets_login, ..Default::default() })
            }
        })
        .await
    };
    edit(true, true).await.unwrap_err();
    edit(false, false).await.unwrap();
    let summaries = credential::summaries(&store, &[&row.server_id, "another"]).await.unwrap();
    assert_eq!(summaries.len(), 1);
    assert_eq!((summaries[0].issuer.as_str(), summaries[0].connected_by.as_str()), ("https://as.example", "ann"));
    let edited = edit(true, false).await.unwrap();
    assert_eq!(credential::find(&store, &row.server_id).await.unwrap(), None);
    assert!(!credential::refreshed(&store, &row.server_id, row.revision, next(), NOW).await.unwrap());
    assert!(credential::summaries(&store, &[&row.server_id]).await.unwrap().is_empty());
    let typed = Row { registration: "manual".to_owned(), ..row };
    credential::put(&store, typed, edited.revision).await.unwrap().expect("nobody edited it");
    let server = server::find(&store, "s").await.unwrap().unwrap();
    assert_eq!((server.oauth_issuer.as_deref(), server.oauth_removed), (Some("https://as.example"), None));
}

async fn what_a_login_edits_of_its_server_is_told_as_an_edit(database: Database) {
    let store = database.open().await;
    let row = stored(&store).await;
    let server = server::find(&store, "s").await.unwrap().unwrap();
    assert_eq!(server.revision, 2, "it wants OAuth from now on");
    credential::put(&store, row, server.revision).await.unwrap().expect("nobody edited it");
    let told = audit::events_after(&store, 1, 0, 10).await.unwrap();
    let told: Vec<_> = told.into_iter().filter(|link| link.kind != "seat.taken").collect();
    let kinds: Vec<_> = told.iter().map(|link| link.kind.as_str()).collect();
    assert_eq!(kinds, ["server.created", "server.updated", "credential.put", "credential.put"]);
    let data: serde_json::Value = serde_json::from_str(&told[1].data).unwrap();
    assert_eq!((&data["changed"]["auth_type"]["to"], &data["revision"]), (&"oauth".into(), &2.into()), "{data}");
}
