//! The keys of all agents, ready to be asked on the way of every call.
//!
//! A token comes in, the agent it belongs to goes out, without asking the database: what it holds is published whole
//! after each edit, and a caller reads what is published. Keys are found by their digests; no key is kept in clear.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{IdentityError, Refusal, agent_key};
use crate::clock;
use crate::glob::{Glob, GlobError};
use crate::store::{Store, StoreError, agent, agent_key as keys};
use crate::vault::{Subkey, Vault};

/// The purpose of the subkey under which keys are digested.
const PURPOSE: &str = "agent-key";
/// How often the times of last use are written.
const FLUSH_INTERVAL: Duration = Duration::from_mins(1);

/// A caller that speaks MCP to the gateway, known by one of its keys.
#[derive(Debug)]
pub struct Agent {
    /// its id
    pub id: String,
    /// what rules and the journal call it
    pub name: String,
    /// the key that it came with
    pub key_id: String,
    /// ms; the earlier of the agent's and the key's end
    pub expires_at: Option<i64>,
    /// the servers it may reach, as they were written
    pub servers: Vec<String>,
    reachable: Vec<Glob>,
    /// set when the key holds no more; shared by all readings of the key
    is_over: Arc<watch::Sender<bool>>,
}

impl Agent {
    /// Resolves when the key holds no more: it was revoked, it expired, or its agent is gone. Whatever was begun with it and
    /// goes on by itself has to end then.
    pub async fn over(&self) {
        let mut is_over = self.is_over.subscribe();
        let revoked = is_over.wait_for(|is_over| *is_over);
        match self.expires_at.map(|end| u64::try_from(end - clock::now_ms()).unwrap_or(0)) {
            None => drop(revoked.await),
            Some(left_ms) => drop(tokio::time::timeout(Duration::from_millis(left_ms), revoked).await),
        }
    }

    /// Returns whether the agent may reach the server of that name at all. Whether it may make a call is for the rules.
    #[must_use]
    pub fn may_reach(&self, server: &str) -> bool {
        self.reachable.iter().any(|glob| glob.is_match(server))
    }
}

/// The handle to the published keys. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    subkey: Subkey,
    /// by digest
    published: ArcSwap<HashMap<String, Arc<Agent>>>,
    /// one at a time, so that an older reading never takes the place of a newer one
    reloading: tokio::sync::Mutex<()>,
    /// when keys were last used, until that is written
    uses: Mutex<HashMap<String, i64>>,
}

impl Keyring {
    /// Reads all keys, and begins to note their use.
    pub async fn load(store: Store, vault: &Vault) -> Result<Self, IdentityError> {
        let inner = Arc::new(Inner {
            store,
            subkey: vault.subkey(PURPOSE),
            published: ArcSwap::default(),
            reloading: tokio::sync::Mutex::default(),
            uses: Mutex::default(),
        });
        let keyring = Self { inner };
        keyring.reload().await?;
        tokio::spawn(flush_regularly(Arc::downgrade(&keyring.inner)));
        Ok(keyring)
    }

    /// Reads all keys anew and publishes them. When it returns, no later call is judged by what was there before.
    pub async fn reload(&self) -> Result<(), IdentityError> {
        let _turn = self.inner.reloading.lock().await;
        let rows = keys::load_keyring(&self.inner.store, clock::now_ms()).await?;
        let before = self.inner.published.load_full();
        let known = |digest: &str| before.get(digest).map(|agent| agent.is_over.clone()).unwrap_or_default();
        let mut agents = HashMap::new();
        for (agent, keys) in rows {
            agents.extend(keys.into_iter().map(|key| {
                let (digest, is_over) = (key.digest.clone(), known(&key.digest));
                (digest, Arc::new(Agent { is_over, ..parse(&agent, key) }))
            }));
        }
        let gone: Vec<_> = before.iter().filter(|(digest, _)| !agents.contains_key(*digest)).collect();
        self.inner.published.store(Arc::new(agents));
        for (_, agent) in gone {
            agent.is_over.send_replace(true);
        }
        Ok(())
    }

    /// Returns the agent that a token belongs to.
    pub fn identify(&self, token: &str, now: i64) -> Result<Arc<Agent>, Refusal> {
        agent_key::check(token)?;
        let digest = self.inner.subkey.digest(token);
        let agent = self.inner.published.load().get(&digest).cloned().ok_or(Refusal::Unknown)?;
        if agent.expires_at.is_some_and(|end| end <= now) {
            return Err(Refusal::Expired);
        }
        self.inner.note_use(&agent.key_id, now);
        Ok(agent)
    }

    /// Returns what is kept of a new key.
    #[must_use]
    pub fn digest(&self, key: &super::AgentKey) -> String {
        key.digest(&self.inner.subkey)
    }

    /// Writes when keys were last used, which otherwise happens once a minute.
    pub async fn flush(&self) -> Result<(), IdentityError> {
        Ok(self.inner.flush().await?)
    }
}

impl Inner {
    fn note_use(&self, key_id: &str, now: i64) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(key_id) {
            Some(last) => *last = now.max(*last),
            None => drop(uses.insert(key_id.to_owned(), now)),
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        // one that is lost to a store that is away is only the time of a last use
        keys::touch_all(&self.store, &uses.into_iter().collect::<Vec<_>>()).await
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keyring").field("keys", &self.inner.published.load().len()).finish_non_exhaustive()
    }
}

async fn flush_regularly(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(FLUSH_INTERVAL).await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = inner.flush().await {
            tracing::warn!(error.kind = error.kind(), "when keys were last used is not written: {error}");
        }
    }
}

/// Parses an agent with one of its keys. One whose servers cannot be read reaches none.
fn parse(agent: &agent::Row, key: keys::Row) -> Agent {
    let servers = serde_json::from_str::<Vec<String>>(&agent.servers).unwrap_or_default();
    let reachable = compile(&servers).unwrap_or_else(|error| {
        tracing::error!(agent.id = agent.id, "an agent reaches no server, as its list cannot be read: {error}");
        Vec::new()
    });
    let expires_at = agent.expires_at.into_iter().chain(key.expires_at).min();
    let (id, name) = (agent.id.clone(), agent.name.clone());
    Agent { id, name, key_id: key.id, expires_at, servers, reachable, is_over: Arc::default() }
}

fn compile(servers: &[String]) -> Result<Vec<Glob>, GlobError> {
    servers.iter().map(|server| Glob::parse(server)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(servers: &str) -> Agent {
        let row = agent::Row {
            id: "1".to_owned(),
            name: "ada".to_owned(),
            servers: servers.to_owned(),
            expires_at: Some(5),
            revision: 1,
            created_at: 0,
            updated_at: 0,
        };
        let key = keys::Row {
            id: "2".to_owned(),
            agent_id: "1".to_owned(),
            prefix: String::new(),
            digest: String::new(),
            created_at: 0,
            expires_at: Some(4),
            last_used_at: None,
            revoked_at: None,
        };
        parse(&row, key)
    }

    #[test]
    fn an_agent_reaches_the_servers_that_its_globs_name() {
        let ada = agent(r#"["git*", "calc", "{a,b}-?"]"#);
        for (server, may_reach) in [
            ("github", true),
            ("git", true),
            ("calc", true),
            ("a-1", true),
            ("calc2", false),
            ("Calc", false),
            ("a-", false),
        ] {
            assert_eq!(ada.may_reach(server), may_reach, "{server}");
        }
        assert!(agent(r#"["*"]"#).may_reach("anything"));
        assert!(!agent(r#"["[a-z]*"]"#).may_reach("abc"));
    }

    #[test]
    fn an_agent_whose_list_cannot_be_read_reaches_nothing() {
        for servers in ["", "[]", "{}", r#"["{a"]"#, r#"["*", 1]"#] {
            assert!(!agent(servers).may_reach("a"), "{servers}");
        }
    }

    #[test]
    fn the_earlier_end_counts() {
        assert_eq!(agent("[]").expires_at, Some(4));
    }
}
