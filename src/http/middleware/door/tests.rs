//! Which hosts and origins pass the door.

use actix_web::test::TestRequest;

use super::*;

fn door() -> Door {
    let bound = "127.0.0.1:8080".parse().expect("an address");
    Door::new(
        bound,
        "https://gateway.example.com",
        &["gw.lan".to_owned(), "other.lan:9443".to_owned()],
        &["https://Inspector.example".to_owned()],
    )
}

fn judge(request: TestRequest) -> Result<(), Code> {
    door().check(request.to_srv_request().head()).map_err(|problem| problem.code())
}

fn with_host(host: &str) -> TestRequest {
    TestRequest::get().uri("/api/v1/me").insert_header((header::HOST, host))
}

fn with_origin(origin: &str) -> TestRequest {
    with_host("localhost:8080").insert_header((header::ORIGIN, origin))
}

#[test]
fn the_own_names_open_the_door() {
    for host in [
        "localhost:8080",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "gateway.example.com",
        "gateway.example.com:443",
        "gw.lan",
        "gw.lan:443",
        "gw.lan:8080",
        "other.lan:9443",
    ] {
        assert_eq!(judge(with_host(host)), Ok(()), "{host}");
    }
}

#[test]
fn a_foreign_name_stays_outside() {
    for host in [
        "",
        "localhost",
        "localhost:80",
        "localhost:8081",
        "localhost.:8080",
        "localhost:8080.",
        "localhost:08080",
        "localhost:8080@evil.example",
        "evil.example@localhost:8080",
        "localhost.evil.example:8080",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1",
        "127.0.0.2:8080",
        "127.1:8080",
        "2130706433:8080",
        "0x7f000001:8080",
        "0177.0.0.1:8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "::1:8080",
        "[::ffff:127.0.0.1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
        "localhost:8080, localhost:8080",
        "localhost:8080/",
        "http://localhost:8080",
        "gateway.example.com:80",
        "gateway.example.com.evil.example",
        "evilgateway.example.com",
        "example.com",
        "other.lan",
        "xgw.lan",
    ] {
        assert_eq!(judge(with_host(host)), Err(Code::HostNotAllowed), "{host}");
    }
    assert_eq!(judge(TestRequest::get().uri("/healthz")), Err(Code::HostNotAllowed), "no host");
    let twice = with_host("localhost:8080").append_header((header::HOST, "localhost:8080"));
    assert_eq!(judge(twice), Err(Code::HostNotAllowed), "two hosts");
    let forwarded = with_host("evil.example").insert_header(("x-forwarded-host", "localhost:8080"));
    assert_eq!(judge(forwarded), Err(Code::HostNotAllowed), "a forwarded host");
}

#[test]
fn a_whole_url_in_the_request_line_names_a_host_too() {
    let request = |uri: &str| TestRequest::get().uri(uri).insert_header((header::HOST, "localhost:8080"));
    assert_eq!(judge(request("http://localhost:8080/healthz")), Ok(()));
    assert_eq!(judge(request("http://evil.example/healthz")), Err(Code::HostNotAllowed));
    assert_eq!(judge(request("http://localhost:8080@evil.example/healthz")), Err(Code::HostNotAllowed));
}

#[test]
fn only_own_and_configured_pages_are_listened_to() {
    for origin in [
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://gateway.example.com",
        "https://inspector.example",
        "https://gw.lan",
        "http://gw.lan:8080",
    ] {
        assert_eq!(judge(with_origin(origin)), Ok(()), "{origin}");
    }
    for origin in [
        "",
        "null",
        "https://localhost:8080",
        "http://localhost",
        "http://localhost:3000",
        "http://localhost:80800",
        "http://localhost:8080.evil.example",
        "http://localhost:8080/",
        "http://localhost.evil.example:8080",
        "http://evil.example",
        "http://gateway.example.com",
        "https://gateway.example.com.evil.example",
        "https://evilgateway.example.com",
        "https://gateway.example.com:8443",
        "https://inspector.example.evil.example",
        "http://inspector.example",
        "file://",
        "chrome-extension://abc",
        "http://localhost:8080, http://localhost:8080",
        "http://localhost:8080 http://evil.example",
    ] {
        assert_eq!(judge(with_origin(origin)), Err(Code::OriginNotAllowed), "{origin}");
    }
    let twice = with_origin("http://localhost:8080").append_header((header::ORIGIN, "http://localhost:8080"));
    assert_eq!(judge(twice), Err(Code::OriginNotAllowed), "two origins");
}

#[test]
fn a_foreign_page_without_an_origin_is_known_by_its_site() {
    let from = |site: &str, path: &str| {
        TestRequest::get()
            .uri(path)
            .insert_header((header::HOST, "localhost:8080"))
            .insert_header(("sec-fetch-site", site))
    };
    for site in ["cross-site", "same-site"] {
        assert_eq!(judge(from(site, "/api/v1/me")), Err(Code::OriginNotAllowed), "{site}");
        assert_eq!(judge(from(site, "/metrics")), Err(Code::OriginNotAllowed), "{site}");
        assert_eq!(judge(from(site, "/ui/")), Ok(()), "{site}");
    }
    assert_eq!(judge(from("same-origin", "/api/v1/me")), Ok(()));
    assert_eq!(judge(from("none", "/api/v1/me")), Ok(()));
    let posted = TestRequest::post().uri("/ui/").insert_header((header::HOST, "localhost:8080"));
    assert_eq!(judge(posted.insert_header(("sec-fetch-site", "cross-site"))), Err(Code::OriginNotAllowed));
    let own = with_origin("http://localhost:8080").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(judge(own), Err(Code::OriginNotAllowed));
    let configured = with_origin("https://inspector.example").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(judge(configured), Ok(()));
}

#[test]
fn escapes_large_headers_and_forms_are_refused() {
    let at = |uri: &str| TestRequest::get().uri(uri).insert_header((header::HOST, "localhost:8080"));
    assert_eq!(judge(at("/mcp/a%2Fb")), Err(Code::NotFound));
    assert_eq!(judge(at("/mcp/calc%00")), Err(Code::NotFound));
    assert_eq!(judge(at("/mcp/calc?q=%20")), Ok(()));
    assert_eq!(judge(at("/").insert_header(("x-large", "x".repeat(16 * 1024)))), Err(Code::HeadersTooLarge));
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"]
    {
        let posted = TestRequest::post().uri("/api/v1/logout").insert_header((header::HOST, "localhost:8080"));
        let posted = posted.insert_header((header::CONTENT_TYPE, kind));
        assert_eq!(judge(posted), Err(Code::UnsupportedMediaType), "{kind:?}");
    }
}
