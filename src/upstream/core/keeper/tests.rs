//! What a panic does to a refresh, and what is believed of a token's life.

use std::sync::atomic::AtomicUsize;

use actix_rt::Arbiter;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::credential::Login as LoggedIn;
use crate::egress::Reach;
use crate::metrics::Metrics;
use crate::oauth::registration::{AuthMethod, Client, Registration};
use crate::oauth::token::TokenSet;
use crate::oauth::{Address, AuthorizationServer};
use crate::store::{self, Store};
use crate::upstream::actor::tests::panic_in;
use crate::upstream::{Arbiters, Limits, Registry};
use crate::vault::{KeySource, Vault};

/// Takes "new" at `/mcp`, and gives it out at `/token` when it is told to.
#[derive(Default)]
struct Peer {
    refreshes: AtomicUsize,
    is_asked: Notify,
    release: Notify,
}

impl Peer {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            let this = self.clone();
            actix_rt::spawn(async move { this.answer(socket).await });
        }
    }

    async fn answer(&self, mut socket: TcpStream) {
        let mut buffer = vec![0; 8192];
        let Ok(count) = socket.read(&mut buffer).await else { return };
        let request = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
        let (status, body) = if request.starts_with("post /token") {
            self.refreshes.fetch_add(1, Ordering::SeqCst);
            self.is_asked.notify_one();
            self.release.notified().await;
            ("200 OK", json!({"access_token": "new", "token_type": "bearer", "refresh_token": "next"}))
        } else if request.contains("authorization: bearer new") {
            // It knows nothing, but it answers.
            ("404 Not Found", json!({}))
        } else {
            ("401 Unauthorized", json!({}))
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = socket.write_all(answer.as_bytes()).await;
    }
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        start_timeout: second,
        request_timeout: second,
        request_timeout_max: second,
        processes_max: 4,
        idle: second,
        line_bytes_max: 1000,
    }
}

fn login(origin: &str, server_id: String) -> LoggedIn {
    let at = |path: &str| Address::new(&format!("{origin}{path}"), Reach::Nearby).unwrap();
    let provider = AuthorizationServer::typed(at("/authorize"), at("/token"));
    LoggedIn {
        server_id,
        base_origin: origin.into(),
        resource: None,
        client: Client {
            issuer: provider.issuer.clone(),
            id: "me".into(),
            secret: None,
            auth_method: AuthMethod::None,
            registration: Registration::Dynamic,
            secret_expires_at_ms: None,
        },
        provider,
        tokens: TokenSet {
            access: SecretText::new("old"),
            refresh: Some(SecretText::new("first")),
            expires_at_ms: None,
            scopes: None,
        },
        asked_scopes: Vec::new(),
        redirect_uri: "https://gate.example/oauth/callback".into(),
        connected_by: "ann".into(),
    }
}

#[actix_rt::test]
async fn a_refresh_outlives_a_panic_of_its_servers_actor_and_is_not_begun_twice() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
    let store = Store::open(&url).await.unwrap();
    let vault = Vault::unlock(KeySource::File(folder.path().join("key")), &store).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let peer = Arc::<Peer>::default();
    actix_rt::spawn(peer.clone().serve(listener));
    let new = store::server::NewServer {
        id: store::new_id(),
        name: "n".into(),
        mode: "http".into(),
        enabled: true,
        args: "[]".into(),
        base_url: Some(format!("{origin}/mcp")),
        auth_type: Some("oauth".into()),
        ..store::server::NewServer::default()
    };
    let row = store::server::insert(&store, new, Vec::new()).await.unwrap();
    let credentials = Credentials::new(store.clone(), vault.clone());
    credentials.put(login(&origin, row.id.clone()), row.revision).await.unwrap().unwrap();
    let arbiter = Arbiter::new();
    let arbiters = Arbiters { control: Arbiter::current(), upstreams: arbiter.handle() };
    let pins = crate::gate::Pins::load(store.clone()).await.unwrap();
    let registry = Registry::start(store, vault, Metrics::new().unwrap(), pins, limits(), arbiters).await;
    let upstream = registry.directory().find("n").unwrap();

    let asked = actix_rt::spawn({
        let upstream = upstream.clone();
        async move { upstream.test().await.ok }
    });
    peer.is_asked.notified().await;
    panic_in(&upstream).await;
    peer.release.notify_one();
    let held = async {
        loop {
            let held = credentials.find(&row.id, None).await.unwrap().unwrap();
            if held.tokens.access.is("new") {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_mins(1), held).await.expect("it goes on without the actor");
    assert!(held.tokens.refresh.unwrap().is("next"), "what it brought is kept");
    assert!(!asked.await.unwrap(), "whoever asked is told");
    upstream.reload_credential().await;
    assert_eq!(upstream.status().credentials.action, None, "{:?}", upstream.status());
    assert_eq!(peer.refreshes.load(Ordering::SeqCst), 1);
    registry.stop().await;
    arbiter.stop();
}

#[test]
fn a_wait_is_never_nothing() {
    assert_eq!(until(1_500, 1_000), Duration::from_millis(500));
    assert_eq!((until(1_000, 1_000), until(500, 1_000)), (READ_EVERY, READ_EVERY));
    assert!(until(i64::MAX, 0) > Duration::from_hours(1));
}
