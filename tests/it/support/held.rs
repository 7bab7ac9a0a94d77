//! A login by OAuth that is held, without anybody having logged in: put beside the gateway, as the gateway would.

use atryum::credential::{Credentials, Login};
use atryum::egress::Reach;
use atryum::oauth::registration::{AuthMethod, Client, Registration};
use atryum::oauth::token::TokenSet;
use atryum::oauth::{Address, AuthorizationServer};
use atryum::store::{Store, server};
use atryum::vault::{KeySource, SecretText, Vault};

use super::app::App;

/// The texts that nobody may read.
pub const ACCESS: &str = "s3cr3t-access-token-that-is-held";
pub const REFRESH: &str = "s3cr3t-refresh-token-that-is-held";
/// Who gave them out.
pub const ISSUER: &str = "https://as.example";
/// In milliseconds; nobody renews it so early.
pub const EXPIRES_AT: i64 = 4_102_444_800_000;

/// Restarts the gateway, with a login held for the server of that name.
pub async fn hold(mut app: App, name: &str, client_id: &str, registration: Registration) -> App {
    app.kill();
    let store = Store::open(&format!("sqlite:{}", app.dir().join("data/atryum.db").display())).await.expect("a store");
    let key = KeySource::File(app.dir().join("config/atryum/master.key"));
    let vault = Vault::unlock(key, &store).await.expect("the key");
    let row = server::find(&store, name).await.expect("a read").expect("a server");
    let at = |path: &str| Address::new(&format!("{ISSUER}{path}"), Reach::Public).expect("an address");
    let login = Login {
        server_id: row.id,
        base_origin: url::Url::parse(&row.base_url.expect("a URL")).unwrap().origin().ascii_serialization(),
        resource: None,
        provider: AuthorizationServer::typed(at("/authorize"), at("/token")),
        client: Client {
            issuer: ISSUER.into(),
            id: client_id.into(),
            secret: None,
            auth_method: AuthMethod::None,
            registration,
            secret_expires_at_ms: None,
        },
        tokens: TokenSet {
            access: SecretText::new(ACCESS),
            refresh: Some(SecretText::new(REFRESH)),
            expires_at_ms: Some(EXPIRES_AT),
            scopes: Some(vec!["read".into()]),
        },
        asked_scopes: Vec::new(),
        redirect_uri: "https://gate.example/oauth/callback".into(),
        connected_by: "ann".into(),
    };
    let held = Credentials::new(store.clone(), vault).put(login, row.revision).await.expect("it is kept");
    assert!(held.is_some(), "nobody edited the server meanwhile");
    drop(store);
    app.kill_and_restart().await
}
