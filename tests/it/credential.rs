//! What is held for servers that want OAuth: used once, committed before anybody has it, and never lost by a refusal.

use atryum::credential::{Credentials, Held, Login, Refresh};
use atryum::oauth::registration::{AuthMethod, Means, client};
use atryum::oauth::token::TokenSet;
use atryum::oauth::{Subject, discover};
use atryum::store::{Store, server};
use atryum::vault::{KeySource, SecretText, Vault};
use futures_util::future::join_all;
use serde_json::json;

use crate::store::sample;
use crate::support::database::{Database, on_both_databases, run_sql};
use crate::support::provider::{Provider, Said};

on_both_databases!(
    of_all_gateways_that_renew_one_asks,
    a_refusal_takes_nothing_away_and_is_not_asked_for_twice,
    a_client_that_is_no_longer_known_is_remembered_as_that,
    what_may_pass_is_tried_again_with_the_same_token,
    what_was_moved_beside_another_address_does_not_open,
    a_typed_client_shows_the_secret_that_it_has_now,
    what_is_forgotten_is_gone,
);

const TOKEN: &str = "POST /token";

/// One gateway's hands on what is held. Clones share no memory, so that each is like another gateway on the database.
struct Room {
    provider: Provider,
    store: Store,
    credentials: Credentials,
    held: Held,
}

impl Room {
    /// Somebody has logged in at a well-behaved provider.
    async fn start(database: &Database) -> Self {
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let (provider, store) = (Provider::well_behaved(), database.open().await);
        let key = KeySource::File(database.path("keys/master.key"));
        let credentials = Credentials::new(store.clone(), Vault::unlock(key, &store).await.expect("a vault"));
        let row = server::insert(&store, sample::server("s"), Vec::new()).await.expect("a server");
        let subject = Subject::new(&provider.mcp()).expect("a base URL");
        let found = discover(&subject, None, None).await.expect("it publishes all").server;
        let redirect_uri = "http://127.0.0.1:1/oauth/callback";
        let means = Means { held: None, metadata_url: None, redirect_uri, scopes: &[], now_ms: 0 };
        let login = Login {
            server_id: row.id,
            base_origin: provider.origin.clone(),
            resource: Some(provider.mcp()),
            client: client(&found, means).await.expect("a client"),
            provider: found,
            tokens: TokenSet {
                access: SecretText::new("access-1"),
                refresh: Some(SecretText::new("refresh-1")),
                expires_at_ms: None,
                scopes: None,
            },
            asked_scopes: Vec::new(),
            redirect_uri: "https://gate.example/oauth/callback".into(),
            connected_by: "ann".into(),
        };
        let held = credentials.put(login, row.revision).await.expect("it is kept").expect("nobody edited it");
        let tokens = json!({"access_token": "access-2", "token_type": "bearer", "refresh_token": "refresh-2"});
        provider.says(TOKEN, Said::json(200, &tokens));
        Self { provider, store, credentials, held }
    }

    async fn found(&self) -> Held {
        self.credentials.find(self.held.server_id(), None).await.expect("it opens").expect("it is there")
    }

    fn asked(&self) -> usize {
        self.provider.asked().iter().filter(|asked| *asked == TOKEN).count()
    }

    async fn refuses(&self, said: Said) -> Held {
        self.provider.says(TOKEN, said);
        let refresh = self.credentials.refresh(&self.found().await).await.expect("the store is well");
        assert!(matches!(refresh, Refresh::Refused(_)), "{refresh:?}");
        self.found().await
    }
}

async fn of_all_gateways_that_renew_one_asks(database: Database) {
    let room = Room::start(&database).await;
    let gateways: Vec<_> = (0..20).map(|_| room.credentials.clone()).collect();
    let tries = join_all(gateways.iter().map(|gateway| gateway.refresh(&room.held))).await;
    let mut renewed = 0;
    for refresh in tries {
        match refresh.expect("the store is well") {
            Refresh::Present(held) => {
                assert!(held.tokens.access.is("access-2"), "{held:?}");
                renewed += 1;
            }
            Refresh::Leased { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(renewed >= 1);
    let (_, form) = room.provider.last();
    assert_eq!((room.asked(), form["refresh_token"].as_str()), (1, "refresh-1"));
    let found = room.found().await;
    assert!(found.tokens.access.is("access-2") && found.tokens.refresh.as_ref().expect("one").is("refresh-2"));
    // Who comes late with what was before finds what is there now.
    let late = room.credentials.refresh(&room.held).await.expect("the store is well");
    assert!(matches!(&late, Refresh::Present(held) if held.tokens.access.is("access-2")), "{late:?}");
    assert_eq!(room.asked(), 1);
}

async fn a_refusal_takes_nothing_away_and_is_not_asked_for_twice(database: Database) {
    let room = Room::start(&database).await;
    let held = room.refuses(Said::json(400, &json!({"error": "invalid_grant"}))).await;
    assert!(held.is_over() && !held.is_client_unknown());
    assert!(held.tokens.access.is("access-1") && held.tokens.refresh.as_ref().expect("one").is("refresh-1"));
    assert!(held.problem().expect("a reason").contains("invalid_grant"));
    let again = room.credentials.refresh(&held).await.expect("the store is well");
    assert!(matches!(&again, Refresh::Present(held) if held.is_over()), "{again:?}");
    assert_eq!(room.asked(), 1);
}

async fn a_client_that_is_no_longer_known_is_remembered_as_that(database: Database) {
    let room = Room::start(&database).await;
    let held = room.refuses(Said::json(401, &json!({"error": "invalid_client"}))).await;
    assert!(held.is_over() && held.is_client_unknown());
}

async fn what_may_pass_is_tried_again_with_the_same_token(database: Database) {
    let room = Room::start(&database).await;
    for said in
        [Said::html(503), Said::json(429, &json!({"error": "slow_down"})), Said::Raw(Vec::new()), Said::html(200)]
    {
        let held = room.refuses(said).await;
        assert!(!held.is_over() && held.problem().is_some(), "{held:?}");
        let (_, form) = room.provider.last();
        assert_eq!(form["refresh_token"], "refresh-1");
    }
    let tokens = json!({"access_token": "access-2", "token_type": "bearer"});
    room.provider.says(TOKEN, Said::json(200, &tokens));
    let refresh = room.credentials.refresh(&room.found().await).await.expect("the store is well");
    let Refresh::Present(held) = refresh else { panic!("{refresh:?}") };
    assert!(held.tokens.access.is("access-2") && held.tokens.refresh.as_ref().expect("the old one").is("refresh-1"));
    assert_eq!(held.problem(), None, "what is over is not told any more");
}

async fn what_was_moved_beside_another_address_does_not_open(database: Database) {
    let room = Room::start(&database).await;
    let id = room.held.server_id().to_owned();
    let provider = room.found().await;
    let moved =
        serde_json::to_string(&provider.provider).expect("JSON").replace(&room.provider.origin, "https://evil.example");
    run_sql(database.url(), "UPDATE credential SET base_origin = 'https://evil.example'").await;
    assert!(room.credentials.find(&id, None).await.is_err());
    run_sql(database.url(), &format!("UPDATE credential SET base_origin = '{}'", room.provider.origin)).await;
    assert!(room.credentials.find(&id, None).await.is_ok());
    run_sql(database.url(), &format!("UPDATE credential SET provider = '{moved}'")).await;
    assert!(room.credentials.find(&id, None).await.is_err());
}

async fn a_typed_client_shows_the_secret_that_it_has_now(database: Database) {
    let room = Room::start(&database).await;
    run_sql(database.url(), "UPDATE credential SET registration = 'manual', client_secret = NULL").await;
    let known = serde_json::to_value(&room.found().await.provider).expect("JSON");
    let provider = |methods: &[&str]| {
        let mut provider = known.clone();
        provider["token_endpoint_auth_methods_supported"] = json!(methods);
        format!("provider = '{provider}'")
    };
    let secret = SecretText::new("typed");
    let both = provider(&["none", "client_secret_post"]);
    let none = provider(&["none"]);
    for (stored, provider, typed, expected) in [
        ("none", &both, None, AuthMethod::None),
        ("none", &both, Some(&secret), AuthMethod::Post),
        ("client_secret_post", &both, Some(&secret), AuthMethod::Post),
        ("client_secret_post", &both, None, AuthMethod::None),
        // What the provider never offered is not tried instead.
        ("none", &none, Some(&secret), AuthMethod::None),
    ] {
        run_sql(database.url(), &format!("UPDATE credential SET auth_method = '{stored}', {provider}")).await;
        let found = room.credentials.find(room.held.server_id(), typed).await.expect("it opens").expect("it is there");
        assert_eq!(found.client.auth_method, expected, "{stored} {}", typed.is_some());
        assert_eq!(found.client.secret.is_some(), typed.is_some());
    }
}

async fn what_is_forgotten_is_gone(database: Database) {
    let room = Room::start(&database).await;
    let id = room.held.server_id();
    assert!(room.credentials.forget(id).await.expect("the store is well"));
    assert!(!room.credentials.forget(id).await.expect("the store is well"));
    assert!(room.credentials.find(id, None).await.expect("the store is well").is_none());
    let refresh = room.credentials.refresh(&room.held).await.expect("the store is well");
    assert!(matches!(refresh, Refresh::Gone), "{refresh:?}");
    assert_eq!(room.asked(), 0);
    drop(room.store);
}
