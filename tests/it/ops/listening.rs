//! The address that the gateway listens on.

use crate::support::app::{App, command};

#[actix_rt::test]
async fn an_address_that_another_program_has_is_named_with_what_to_do() {
    let app = App::start().await;
    let address = app.url.strip_prefix("http://").unwrap().to_owned();
    let dir = tempfile::tempdir().expect("a directory");
    let settings = [("ATRYUM_LISTEN".to_owned(), address.clone())];
    let ended = command(dir.path(), &settings, &[]).output().expect("the binary runs");
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    for words in [address.as_str(), "another program listens there", "--listen", "ATRYUM_LISTEN"] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
}

#[actix_rt::test]
async fn the_endpoint_of_a_server_has_the_port_that_was_picked() {
    let app = App::start().await;
    let server = app.server("calc", "cat", &[]).await;
    assert_eq!(server.json["endpoint_url"], format!("{}/mcp/calc", app.url));
}
