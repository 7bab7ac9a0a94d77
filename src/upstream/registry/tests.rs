//! Panics in the actors of this room: they come back, and cost nobody else anything. And what a stored server becomes.

use super::*;
use crate::mcp::question::Abilities;
use crate::upstream::actor::tests::panic_in;
use crate::upstream::{CredentialsWord, NoSink, Opening, Owner, Transport, UpstreamError};
use crate::vault::{KeySource, SecretText};

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for RegistryActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("as this test wants it");
    }
}

async fn insert(store: &Store, name: &str) {
    let new = store::server::NewServer {
        id: store::new_id(),
        name: name.into(),
        mode: "stdio".into(),
        enabled: true,
        command: Some("/no/such/command".into()),
        args: "[]".into(),
        ..store::server::NewServer::default()
    };
    store::server::insert(store, new, Vec::new()).await.unwrap();
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

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[actix_rt::test]
async fn panics_in_the_registry_and_in_an_upstream_cost_nobody_else_anything() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
    let store = Store::open(&url).await.unwrap();
    let vault = Vault::unlock(KeySource::File(folder.path().join("key")), &store).await.unwrap();
    for name in ["mad", "calm"] {
        insert(&store, name).await;
    }
    let arbiter = actix_rt::Arbiter::new();
    let arbiters = Arbiters { control: Arbiter::current(), upstreams: arbiter.handle() };
    let pins = crate::gate::Pins::load(store.clone()).await.unwrap();
    let registry = Registry::start(store.clone(), vault, Metrics::new().unwrap(), pins, limits(), arbiters).await;
    let directory = registry.directory();
    let (mad, calm) = (directory.find("mad").unwrap(), directory.find("calm").unwrap());
    let open = async |upstream: &Upstream| {
        let opened =
            upstream.open(Owner::Agent("ann".into()), Opening::Stateless(Abilities::default()), Arc::new(NoSink)).await;
        opened.err().expect("there is no such command")
    };

    panic_in(&mad).await;
    assert!(matches!(open(&calm).await, UpstreamError::Launch(_)), "the neighbour still tries");
    until("it is back", async || matches!(open(&mad).await, UpstreamError::Launch(_)).then_some(())).await;

    assert!(registry.actor.address().unwrap().send(Panic).await.is_err());
    assert!(Arc::ptr_eq(&directory.find("calm").unwrap(), &calm), "what is published stays published");
    insert(&store, "late").await;
    registry.nudge().await;
    until("an edit that nobody was there to hear of takes effect", async || directory.find("late").map(drop)).await;
    assert!(Arc::ptr_eq(&directory.find("mad").unwrap(), &mad), "and nobody is started anew for it");

    // A server that is removed while its actor is just being made again must not come back.
    panic_in(&mad).await;
    store::server::delete(&store, "mad").await.unwrap();
    until("the registry is back", async || registry.actor.address().map(drop)).await;
    registry.nudge().await;
    assert!(directory.find("mad").is_none());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(matches!(open(&mad).await, UpstreamError::ActorDown | UpstreamError::Stopped { .. }));
    arbiter.stop();
}

#[actix_rt::test]
async fn a_stored_server_in_http_mode_runs_by_its_address_and_its_opened_credential() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
    let store = Store::open(&url).await.unwrap();
    let vault = Vault::unlock(KeySource::File(folder.path().join("key")), &store).await.unwrap();
    let base_url = "HTTPS://example.com:443/mcp";
    for (name, auth_type, fields) in [
        ("none", "none", &[][..]),
        ("token", "bearer", &["bearer_token"]),
        ("cleared", "bearer", &[]),
        ("keys", "headers", &["header:X-A", "header:X-B"]),
        ("odd", "telepathy", &[]),
    ] {
        let id = store::new_id();
        let seal = |field: &&str| {
            let slot = slot(&id, field, Some("https://EXAMPLE.com/elsewhere"), None);
            let sealed = vault.seal(&slot, &SecretText::new(format!("s3cret of {field}")));
            store::secret::Change { field: (*field).to_owned(), sealed: Some(sealed.unwrap()) }
        };
        let secrets = fields.iter().map(seal).collect();
        let new = store::server::NewServer {
            name: name.into(),
            mode: "http".into(),
            enabled: true,
            args: "[]".into(),
            base_url: Some(base_url.into()),
            timeout_seconds: Some(7),
            auth_type: Some(auth_type.into()),
            id: id.clone(),
            ..store::server::NewServer::default()
        };
        store::server::insert(&store, new, secrets).await.unwrap();
    }
    let arbiter = actix_rt::Arbiter::new();
    let arbiters = Arbiters { control: Arbiter::current(), upstreams: arbiter.handle() };
    let pins = crate::gate::Pins::load(store.clone()).await.unwrap();
    let registry = Registry::start(store, vault, Metrics::new().unwrap(), pins, limits(), arbiters).await;
    let upstream = |name: &str| registry.directory().find(name).unwrap();
    let secrets = |name: &str| upstream(name).spec.secrets();
    assert_eq!(secrets("none"), Vec::<String>::new());
    assert_eq!(secrets("token"), ["s3cret of bearer_token"]);
    assert_eq!(secrets("cleared"), Vec::<String>::new());
    assert_eq!(secrets("keys"), ["s3cret of header:X-A", "s3cret of header:X-B"]);
    assert!(!format!("{:?}", upstream("keys").spec).contains("s3cret"));
    let token = upstream("token");
    let Transport::Http(endpoint) = &token.spec.transport else { panic!("{:?}", token.spec) };
    assert_eq!((endpoint.url.as_str(), endpoint.timeout), (base_url, Duration::from_secs(7)));
    let word = |name: &str| upstream(name).status().credentials.status;
    assert_eq!((word("token"), word("cleared")), (CredentialsWord::Ready, CredentialsWord::Missing));
    assert!(upstream("odd").spec.fault.as_deref().unwrap().contains("telepathy"));
    registry.stop().await;
    arbiter.stop();
}
