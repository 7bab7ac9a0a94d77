//! Operators and their logins.

use atryum::identity::{IdentityError, Operators, Proof, Refusal};
use atryum::store::{Store, audit};
use atryum::vault::SecretText;
use futures_util::future::join_all;

use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_link_lets_one_person_in_once,
    a_link_expires_after_ten_minutes,
    a_login_ends_after_twelve_hours_or_half_an_hour_without_use,
    a_login_can_be_ended,
    a_csrf_token_belongs_to_its_login,
    the_fixed_token_is_an_operator,
    what_has_ended_is_forgotten,
);

const NOW: i64 = 1_000_000_000_000;
const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn operators(store: &Store) -> Operators {
    Operators::new(store.clone(), None).unwrap()
}

fn refusal<T>(result: Result<T, IdentityError>) -> Refusal {
    match result {
        Err(IdentityError::Refused(refusal)) => refusal,
        Err(error) => panic!("not a refusal: {error}"),
        Ok(_) => panic!("not a refusal"),
    }
}

async fn a_link_lets_one_person_in_once(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let code = operators.begin_link(NOW).await.unwrap();
    let tries = join_all((0..50).map(|_| operators.log_in(code.expose(), NOW + 1))).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|lost| refusal(lost) == Refusal::Unknown));
    let login = won.into_iter().next().unwrap().unwrap();
    let operator = operators.authenticate(login.token.expose(), NOW + 2).await.unwrap();
    assert_eq!(operator, login.operator);
    assert_eq!(operator.name, "administrator");
    assert_eq!(refusal(operators.log_in("no code", NOW).await), Refusal::Unknown);
    // the code itself is no token
    assert_eq!(refusal(operators.authenticate(code.expose(), NOW).await), Refusal::Unknown);
}

async fn a_link_expires_after_ten_minutes(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let code = operators.begin_link(NOW).await.unwrap();
    assert_eq!(refusal(operators.log_in(code.expose(), NOW + 10 * MINUTE_MS).await), Refusal::Unknown);
    assert!(operators.log_in(code.expose(), NOW + 10 * MINUTE_MS - 1).await.is_ok());
}

async fn a_login_ends_after_twelve_hours_or_half_an_hour_without_use(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let code = operators.begin_link(NOW).await.unwrap();
    let login = operators.log_in(code.expose(), NOW).await.unwrap();
    assert_eq!(login.expires_at, NOW + 12 * HOUR_MS);
    let authenticate = async |now| operators.authenticate(login.token.expose(), now).await;
    assert_eq!(refusal(authenticate(NOW + 30 * MINUTE_MS).await), Refusal::Expired);
    let mut now = NOW;
    while now + 29 * MINUTE_MS < login.expires_at {
        now += 29 * MINUTE_MS;
        authenticate(now).await.unwrap();
    }
    assert_eq!(refusal(authenticate(login.expires_at).await), Refusal::Expired);
}

async fn a_login_can_be_ended(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let code = operators.begin_link(NOW).await.unwrap();
    let login = operators.log_in(code.expose(), NOW).await.unwrap();
    operators.log_out(login.token.expose()).await.unwrap();
    operators.log_out(login.token.expose()).await.unwrap();
    assert_eq!(refusal(operators.authenticate(login.token.expose(), NOW).await), Refusal::Unknown);
}

async fn a_csrf_token_belongs_to_its_login(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let mut logins = Vec::new();
    for _ in 0..2 {
        let code = operators.begin_link(NOW).await.unwrap();
        logins.push(operators.log_in(code.expose(), NOW).await.unwrap());
    }
    let operator = operators.authenticate(logins[0].token.expose(), NOW).await.unwrap();
    assert!(operator.accepts_csrf(logins[0].csrf.expose()));
    assert!(!operator.accepts_csrf(logins[1].csrf.expose()));
    assert!(!operator.accepts_csrf(logins[0].token.expose()));
    assert!(!operator.accepts_csrf(""));
    assert!(!format!("{:?}", logins[0]).contains(logins[0].csrf.expose()));
}

async fn the_fixed_token_is_an_operator(database: Database) {
    let store = database.open().await;
    let token = SecretText::new("a token of sixteen or more");
    let operators = Operators::new(store.clone(), Some(&token)).unwrap();
    let operator = operators.authenticate(token.expose(), NOW).await.unwrap();
    assert_eq!((operator.name.as_str(), &operator.proof), ("admin-token", &Proof::AdminToken));
    assert!(operator.accepts_csrf(""));
    for other in ["a token of sixteen or mor", "a token of sixteen or more ", ""] {
        assert_eq!(refusal(operators.authenticate(other, NOW).await), Refusal::Unknown);
    }
    for weak in ["", "fifteen letters"] {
        let weak = Operators::new(store.clone(), Some(&SecretText::new(weak)));
        assert!(matches!(weak, Err(IdentityError::WeakToken { .. })));
    }
}

async fn what_has_ended_is_forgotten(database: Database) {
    let store = database.open().await;
    let operators = operators(&store);
    let code = operators.begin_link(NOW).await.unwrap();
    let login = operators.log_in(code.expose(), NOW).await.unwrap();
    operators.begin_link(NOW).await.unwrap();
    assert_eq!(operators.forget_ended(NOW + MINUTE_MS).await.unwrap(), 1);
    assert!(operators.authenticate(login.token.expose(), NOW + MINUTE_MS).await.is_ok());
    assert_eq!(operators.forget_ended(NOW + HOUR_MS).await.unwrap(), 2);
    let told = audit::events_after(&store, 1, 0, 100).await.unwrap();
    let told = told.iter().filter(|link| link.kind != "seat.taken");
    let told: Vec<_> = told.map(|link| (link.kind.as_str(), link.actor.as_str())).collect();
    let expected = [
        ("login_link.made", "gateway"),
        ("login_link.used", "operator:administrator"),
        ("login.began", "operator:administrator"),
        ("login_link.made", "gateway"),
        ("login_links.removed", "gateway"),
        ("logins.removed", "gateway"),
        ("login_links.removed", "gateway"),
    ];
    assert_eq!(told, expected);
    assert_eq!(refusal(operators.authenticate(login.token.expose(), NOW).await), Refusal::Unknown);
}
