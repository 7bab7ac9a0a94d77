//! A secret in every place where the vault keeps one.

use atryum::store::{Store, channel, credential, oauth_flow, secret, server};
use atryum::vault::{SecretText, Slot, Vault};

use crate::store::sample;

const ORIGIN: &str = "https://mcp.example";
const TOKEN_ORIGIN: &str = "https://as.example";

/// Rows that hold secrets: a server, what a login to it brought, a login that was begun, and a channel.
pub struct Kept {
    pub server_id: String,
    pub flow_id: String,
    pub channel_id: String,
    /// The channel's name.
    name: String,
}

impl Kept {
    /// Seals a secret in every place and stores it.
    pub async fn put(store: &Store, vault: &Vault, name: &str) -> Self {
        let new_id = atryum::store::new_id;
        let kept = Self { server_id: new_id(), flow_id: new_id(), channel_id: new_id(), name: name.to_owned() };
        let sealed = |at: usize| {
            let (slot, text) = kept.slots().swap_remove(at);
            vault.seal(&slot, &SecretText::new(text)).unwrap()
        };
        let change = |field: &str, at| secret::Change { field: field.to_owned(), sealed: Some(sealed(at)) };
        let secrets = vec![change("env:A", 0), change("bearer_token", 1), change("oauth_client_secret", 2)];
        let new = server::NewServer { id: kept.server_id.clone(), ..sample::server(name) };
        server::insert(store, new, secrets).await.unwrap();
        let credential = credential::Row {
            client_secret: Some(sealed(3)),
            access: sealed(4),
            refresh: Some(sealed(5)),
            ..sample::credential(&kept.server_id)
        };
        credential::put(store, credential, 1).await.unwrap().unwrap();
        let flow = oauth_flow::Row {
            id: kept.flow_id.clone(),
            state_digest: format!("digest of {}", kept.flow_id),
            client_secret: Some(sealed(6)),
            verifier: sealed(7),
            ..sample::oauth_flow(&kept.server_id)
        };
        oauth_flow::insert(store, flow).await.unwrap();
        let (url, secret) = (Some(sealed(8)), Some(sealed(9)));
        let channel = channel::Row { id: kept.channel_id.clone(), url, secret, ..sample::channel(name) };
        channel::insert(store, channel).await.unwrap();
        kept
    }

    /// Every slot with its text.
    pub fn slots(&self) -> Vec<(Slot<'_>, String)> {
        use credential::Sealed as Held;
        use oauth_flow::Sealed as Begun;
        let of_server = |field| Slot::of_server(&self.server_id, field);
        let of_credential = |field| Slot::of_credential(&self.server_id, field).sent_to(TOKEN_ORIGIN);
        let of_flow = |field| Slot::of_flow(&self.flow_id, field).sent_to(TOKEN_ORIGIN);
        let slots = [
            of_server("env:A"),
            of_server("bearer_token").sent_to(ORIGIN),
            of_server("oauth_client_secret").sent_to(ORIGIN).sent_to(TOKEN_ORIGIN),
            of_credential(Held::ClientSecret),
            Slot::of_credential(&self.server_id, Held::Access).sent_to(ORIGIN),
            of_credential(Held::Refresh),
            of_flow(Begun::ClientSecret),
            of_flow(Begun::Verifier),
            Slot::of_channel(&self.channel_id, channel::Sealed::Url).sent_to(ORIGIN),
            Slot::of_channel(&self.channel_id, channel::Sealed::Secret),
        ];
        let texts = (0..).map(|at| format!("secret {at} of {}", self.server_id));
        slots.into_iter().zip(texts).collect()
    }

    /// The envelopes as they are stored, in the order of the slots.
    pub async fn sealed(&self, store: &Store) -> Vec<Vec<u8>> {
        let secrets = secret::load_all(store, &self.server_id).await.unwrap();
        let of = |field: &str| secrets.iter().find(|row| row.field == field).unwrap().sealed.clone();
        let held = credential::find(store, &self.server_id).await.unwrap().unwrap();
        let flow = oauth_flow::find(store, &self.flow_id).await.unwrap().unwrap();
        let told = channel::find(store, &self.name).await.unwrap().unwrap();
        vec![
            of("env:A"),
            of("bearer_token"),
            of("oauth_client_secret"),
            held.client_secret.unwrap(),
            held.access,
            held.refresh.unwrap(),
            flow.client_secret.unwrap(),
            flow.verifier,
            told.url.unwrap(),
            told.secret.unwrap(),
        ]
    }

    /// Makes sure that each secret is the one that was put there.
    pub async fn demand_readable(&self, store: &Store, vault: &Vault) {
        for ((slot, text), sealed) in self.slots().into_iter().zip(self.sealed(store).await) {
            let opened = vault.open(&slot, &sealed).unwrap_or_else(|error| panic!("{slot:?}: {error}"));
            assert_eq!(opened.expose(), text);
        }
    }
}
