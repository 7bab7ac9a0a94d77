//! Who comes back from a login: with the right state, once, in time, in the browser that began it, and from the right
//! provider; and what everybody else is told.

use serde_json::json;

use crate::support::connecting::{Pair, begin, callback, come_back, wanted};
use crate::support::database::run_sql;
use crate::support::http::Answer;
use crate::support::login::log_in;

/// Nobody was asked for a token.
fn is_refused(pair: &Pair, page: &Answer) {
    assert!((400..500).contains(&page.status), "{page:?}");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    assert_eq!(pair.times("POST /token"), 0, "{page:?}");
}

#[actix_rt::test]
async fn a_state_that_nobody_gave_out_is_refused() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    for path in [
        "/oauth/callback".to_owned(),
        callback(&[("code", "code")]),
        callback(&[("code", "code"), ("state", "")]),
        callback(&[("code", "code"), ("state", &"a".repeat(43))]),
        callback(&[("code", "code"), ("state", &"a".repeat(5000))]),
        callback(&[("error", "access_denied"), ("error_description", "<b>sly</b>"), ("state", "a")]),
    ] {
        let page = come_back(&pair.app, &path, "").await;
        is_refused(&pair, &page);
        assert!(!page.text.contains("sly"), "a stranger is not quoted: {page:?}");
    }
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "pending", "it can still be finished");
    let page = come_back(&pair.app, &begun.callback(&[("code", "code")]), "").await;
    assert_eq!((page.status, begun.outcome(&pair.app, "s").await["status"].as_str()), (200, Some("succeeded")));
}

#[actix_rt::test]
async fn a_state_is_good_for_one_callback() {
    let pair = Pair::start().await;
    let begun = pair.log_in().await;
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "succeeded");
    assert_eq!(pair.times("POST /token"), 1);
    for kind in ["oauth_flow.begun", "oauth_flow.used", "credential.put", "server.updated", "oauth_flow.finished"] {
        let told = pair.app.operator().get(&format!("/api/v1/audit?kind={kind}")).await.json["items"].clone();
        let actors: Vec<_> = told.as_array().unwrap().iter().map(|event| &event["actor"]).collect();
        assert_eq!(actors, [&json!("operator:admin-token")], "{kind} is done by whoever began the login");
    }
    let again = come_back(&pair.app, &begun.callback(&[("code", "other")]), "").await;
    assert!((400..500).contains(&again.status), "{again:?}");
    assert_eq!(pair.times("POST /token"), 1, "no second code is shown to anybody");
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "succeeded", "and the first one stays");
}

#[actix_rt::test]
async fn a_login_is_over_after_its_time() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let database = format!("sqlite:{}", pair.app.dir().join("data/atryum.db").display());
    run_sql(&database, "UPDATE oauth_flow SET expires_at = 1000").await;
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "expired");
    let page = come_back(&pair.app, &begun.callback(&[("code", "code")]), "").await;
    is_refused(&pair, &page);
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "expired");
}

#[actix_rt::test]
async fn what_a_browser_began_only_that_browser_finishes() {
    let pair = Pair::start().await;
    let (ann, bob) = (log_in(&pair.app).await, log_in(&pair.app).await);
    let begun = begin(&ann.client(&pair.app), "s").await;
    assert!(!begun.cookie.is_empty(), "it is given something to show on its way back");
    let foreign = begin(&bob.client(&pair.app), "s").await;
    let back = begun.callback(&[("code", "code")]);
    let (name, _) = begun.cookie.split_once('=').expect("a cookie");
    let (_, value) = foreign.cookie.split_once('=').expect("a cookie");
    for cookie in ["", &foreign.cookie, &format!("{name}="), &format!("{name}={value}"), "atryum_session=x"] {
        let page = come_back(&pair.app, &back, cookie).await;
        is_refused(&pair, &page);
        assert_eq!(begun.outcome(&pair.app, "s").await["status"], "pending", "whoever that was used nothing up");
    }
    let page = come_back(&pair.app, &back, &begun.cookie).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "succeeded");
}

#[actix_rt::test]
async fn a_flow_is_known_under_its_own_server_only() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    pair.app.remote("other", &pair.remote.url).await;
    for path in [format!("other/connect/{}", begun.flow_id), "s/connect/nobody".to_owned()] {
        let answer = pair.app.operator().get(&format!("/api/v1/servers/{path}")).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}

#[actix_rt::test]
async fn who_comes_back_from_another_provider_is_refused_before_the_code_is_shown() {
    let pair = Pair::start().await;
    let mut metadata = pair.provider.metadata(&pair.provider.origin);
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    let well_known = "GET /.well-known/oauth-authorization-server";
    pair.provider.says(well_known, crate::support::provider::Said::json(200, &metadata));
    let slash = format!("{}/", pair.provider.origin);
    for iss in [Some("https://evil.example"), Some(slash.as_str()), None] {
        let begun = pair.begin().await;
        let mut members = vec![("code", "code"), ("error_description", "sly")];
        members.extend(iss.map(|iss| ("iss", iss)));
        let page = come_back(&pair.app, &begun.callback(&members), "").await;
        assert!(!page.text.contains("sly"), "{page:?}");
        begun.failed(&pair.app, "s", "was begun at").await;
        assert_eq!(pair.times("POST /token"), 0, "{iss:?}");
    }
    let begun = pair.begin().await;
    let origin = pair.provider.origin.clone();
    come_back(&pair.app, &begun.callback(&[("code", "code"), ("iss", &origin)]), "").await;
    assert_eq!(begun.outcome(&pair.app, "s").await["status"], "succeeded");
}

#[actix_rt::test]
async fn what_the_provider_says_instead_of_a_code_is_told() {
    let pair = Pair::start().await;
    for (members, words) in [
        (vec![("error", "access_denied"), ("error_description", "not today")], "not today"),
        (vec![("error", "server_error")], "server_error"),
        (vec![("error", "temporarily_unavailable")], "temporarily_unavailable"),
        (vec![], "without a code"),
    ] {
        let begun = pair.begin().await;
        let page = come_back(&pair.app, &begun.callback(&members), "").await;
        begun.failed(&pair.app, "s", words).await;
        assert!(page.text.contains(words), "{page:?}");
        assert_eq!(pair.times("POST /token"), 0);
    }
    let begun = pair.begin().await;
    let members = [("error", "x"), ("error_description", "<script>alert(1)</script>")];
    let page = come_back(&pair.app, &begun.callback(&members), "").await;
    assert!(!page.text.contains("<script>alert"), "{page:?}");
    assert_eq!(pair.server().await["credentials"]["action"], "connect", "it can be tried again");
}

#[actix_rt::test]
async fn a_login_for_a_server_that_was_edited_meanwhile_is_not_kept() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let edited = pair.app.operator().patch("/api/v1/servers/s", json!({"timeout_seconds": 7})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let page = come_back(&pair.app, &begun.callback(&[("code", "code")]), "").await;
    assert!((400..500).contains(&page.status), "{page:?}");
    begun.failed(&pair.app, "s", "edited").await;
    wanted(&pair.app, "s", "connect").await;
    pair.connect().await;
}

#[actix_rt::test]
async fn a_login_for_a_server_that_was_removed_meanwhile_ends_with_it() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    assert_eq!(pair.app.operator().delete("/api/v1/servers/s").await.status, 204);
    let page = come_back(&pair.app, &begun.callback(&[("code", "code")]), "").await;
    is_refused(&pair, &page);
}

#[actix_rt::test]
async fn the_callback_page_takes_nothing_of_the_address_further() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let page = come_back(&pair.app, &begun.callback(&[("code", "code-canary")]), "").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(!page.text.contains("code-canary") && !page.text.contains(&begun.state()), "{page:?}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{page:?}");
    assert!(page.header("cache-control").is_some_and(|cached| cached.contains("no-store")), "{page:?}");
    let log = pair.app.log();
    assert!(!log.contains("code-canary") && !log.contains(&begun.state()), "{log}");
}
