//! `/api/v1/login`, `/api/v1/logout`, `/api/v1/me`

use serde_json::json;

use crate::support::app::{App, Settings};
use crate::support::login::{code_of, log_in};

#[actix_rt::test]
async fn a_link_logs_in_once() {
    let app = App::start().await;
    let link = app.operator().post("/api/v1/login-links", json!({})).await.json["url"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&app.url), "{link}");
    let code = json!({"code": code_of(&link)});
    let first = app.anonymous().post("/api/v1/login", code.clone()).await;
    assert_eq!((first.status, &first.json["operator"]), (200, &json!("administrator")), "{first:?}");
    let cookie = first.header("set-cookie").expect("a cookie");
    for part in ["atryum_session=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{part} is missing in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(!first.text.contains(cookie.split(['=', ';']).nth(1).unwrap()), "the cookie's half stands in the body");
    let second = app.anonymous().post("/api/v1/login", code.clone()).await;
    assert_eq!((second.status, &second.json["code"]), (401, &json!("unauthenticated")), "{second:?}");
    assert!(second.header("set-cookie").is_none());
    assert!(!app.log().contains(code["code"].as_str().unwrap()), "the log holds the code");
}

#[actix_rt::test]
async fn of_two_who_open_one_link_at_once_one_is_logged_in() {
    let app = App::start().await;
    let link = app.operator().post("/api/v1/login-links", json!({})).await.json["url"].as_str().unwrap().to_owned();
    let (code, anonymous) = (json!({"code": code_of(&link)}), app.anonymous());
    let open = || anonymous.post("/api/v1/login", code.clone());
    let (one, other) = futures_util::future::join(open(), open()).await;
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[actix_rt::test]
async fn codes_that_are_none_are_refused() {
    let app = App::start().await;
    for code in ["", "x", "' OR 1=1 --"] {
        assert_eq!(app.anonymous().post("/api/v1/login", json!({ "code": code })).await.status, 401, "{code}");
    }
    assert_eq!(app.anonymous().post("/api/v1/login", json!({})).await.status, 422);
}

#[actix_rt::test]
async fn a_login_can_do_what_the_token_can_and_ends_with_the_logout() {
    let app = App::start().await;
    let (login, other) = (log_in(&app).await, log_in(&app).await);
    let client = login.client(&app);
    assert_eq!(client.get("/api/v1/me").await.json, json!({"operator": "administrator", "role": "administrator"}));
    assert_eq!(client.post("/api/v1/servers", json!({"name": "n", "command": "cat"})).await.status, 201);
    let ended = client.post("/api/v1/logout", json!({})).await;
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{ended:?}");
    assert_eq!(
        client.get("/api/v1/me").await.status,
        401,
        "the session is over, and not just forgotten by the browser"
    );
    assert_eq!(other.client(&app).get("/api/v1/me").await.status, 200, "another one goes on");
}

#[actix_rt::test]
async fn behind_https_the_cookie_stays_there() {
    let app = Settings::default().with("ATRYUM_PUBLIC_URL", "https://gateway.example.com").start().await;
    let link = app.operator().post("/api/v1/login-links", json!({})).await.json["url"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://gateway.example.com/ui/#code="), "{link}");
    let answer = app.anonymous().post("/api/v1/login", json!({"code": code_of(&link)})).await;
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Secure")), "{answer:?}");
}
