//! How anybody is asked over HTTP: bounded, unredirected, and no further than the address may lead.

use std::time::Duration;

use atryum::egress::http::Method;
use atryum::egress::{EgressError, Exchange, Reach, Reply, exchange};

use crate::support::provider::{Provider, Said};

async fn get(url: &str, reach: Reach, within: Duration) -> Result<Reply, EgressError> {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let (method, headers, body) = (Method::GET, Vec::new(), None);
    exchange(Exchange { reach, method, url, headers, body, bytes_max: 1024, within }).await
}

async fn kind(provider: &Provider, reach: Reach) -> &'static str {
    let url = format!("{}/x", provider.origin);
    get(&url, reach, Duration::from_secs(30)).await.map_or_else(|error| error.kind(), |_| "answered")
}

#[actix_rt::test]
async fn an_answer_is_whole_and_short_and_where_it_was_asked_for() {
    let provider = Provider::start();
    let packed = vec![("content-encoding", "gzip".to_owned())];
    for (said, expected) in [
        (Said::Whole(200, Vec::new(), "x".repeat(1024)), "answered"),
        (Said::Whole(204, Vec::new(), String::new()), "answered"),
        (Said::html(500), "answered"),
        (Said::Whole(200, Vec::new(), "x".repeat(1025)), "answer_too_long"),
        (Said::Whole(200, packed, "x".into()), "answer_encoded"),
        (Said::redirect("/y"), "redirected"),
        (Said::redirect("https://evil.example/"), "redirected"),
        (Said::Raw(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec()), "answer_unbounded"),
        (Said::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()), "answer_truncated"),
        (Said::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xff".to_vec()), "answer_not_text"),
    ] {
        provider.says("GET /x", said.clone());
        assert_eq!(kind(&provider, Reach::Nearby).await, expected, "{said:?}");
    }
    assert!(provider.asked().iter().all(|asked| asked == "GET /x"), "nobody followed");
}

#[actix_rt::test]
async fn who_never_ends_an_answer_is_given_up() {
    let provider = Provider::start();
    provider.says("GET /x", Said::Hung);
    let url = format!("{}/x", provider.origin);
    let Err(error) = get(&url, Reach::Typed, Duration::from_millis(300)).await else { panic!("there was no answer") };
    assert_eq!(error.kind(), "timed_out");
}

#[actix_rt::test]
async fn a_connection_made_for_one_reach_is_not_used_for_another() {
    let provider = Provider::start();
    provider.says("GET /x", Said::html(200));
    assert_eq!(kind(&provider, Reach::Typed).await, "answered");
    assert_eq!(kind(&provider, Reach::Public).await, "address_insecure");
    assert_eq!(provider.asked().len(), 1);
}
