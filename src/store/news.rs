//! News: what one gateway edited and the others hold in memory.
//!
//! On PostgreSQL an edit says in its own transaction what it edited: a revision goes up, and a notification goes to every
//! gateway that listens, with the commit and not without it. Whoever hears it reads the rows; nothing is taken from a
//! notification but what to read. Notifications can be lost with a connection, so the revisions are looked at every
//! second, too. On SQLite there is nobody to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use entity::news::Entity;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, PgPool};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait as _, Statement};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use super::{Store, StoreError};

/// What notifications go out under.
const CHANNEL: &str = "atryum";
/// How often the revisions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after the listening connection was lost another one is opened.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long opening one may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many notifications wait to be heard; what is more waits at the server.
const UNHEARD_MAX: usize = 256;
/// The first word of a notification about an approval.
const APPROVAL: &str = "approval";

/// Says that a topic was edited.
const EDITED: &str = "WITH edited AS (INSERT INTO news (topic, revision) VALUES ($1, 1) \
     ON CONFLICT (topic) DO UPDATE SET revision = news.revision + 1 RETURNING topic, revision) \
     SELECT pg_notify($2, topic || ' ' || revision) FROM edited";
/// Says what it is given.
const SETTLED: &str = "SELECT pg_notify($2, $1)";

/// What every gateway holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// agents and their keys
    Agents,
    /// what is held for servers that want OAuth
    Credentials,
    /// the rules and the default action
    Rules,
    /// servers and their secrets
    Servers,
}

impl Topic {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Agents, Self::Credentials, Self::Rules, Self::Servers];

    fn word(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Credentials => "credentials",
            Self::Rules => "rules",
            Self::Servers => "servers",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.word() == word)
    }
}

/// What is to be read anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All of a topic.
    Edited(Topic),
    /// One approval: it may have its answer.
    Settled(String),
    /// A second has passed: whatever is waited for may be there, though nobody was heard to say so.
    Look,
}

/// What an edit says when it is committed.
#[derive(Debug, Default)]
pub(super) struct Announced {
    topics: BTreeSet<Topic>,
    approvals: Vec<String>,
}

impl Announced {
    pub(super) fn edited(&mut self, topic: Topic) {
        self.topics.insert(topic);
    }

    pub(super) fn settled(&mut self, approval_id: &str) {
        self.approvals.push(approval_id.to_owned());
    }

    /// As the last thing before the commit, because edits of the same topic wait here for each other; in the topics' order,
    /// so that they do not wait in a circle.
    pub(super) async fn announce(self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        if connection.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let topics = self.topics.into_iter().map(|topic| (EDITED, topic.word().to_owned()));
        let approvals = self.approvals.into_iter().map(|id| (SETTLED, format!("{APPROVAL} {id}")));
        for (text, what) in topics.chain(approvals) {
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, text, [what.into(), CHANNEL.into()]);
            connection.query_all_raw(statement).await?;
        }
        Ok(())
    }
}

/// A connection for listening, opened when it is needed.
pub(super) fn lazily(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT);
    pool.idle_timeout(None).max_lifetime(None).connect_lazy_with(options.application_name("atryum news"))
}

/// Hears what is edited, by whatever gateway, for as long as it lives.
#[derive(Debug)]
pub struct Listener {
    store: Store,
    heard: Receiver<String>,
    listening: JoinHandle<()>,
    /// by topic
    seen: BTreeMap<String, i64>,
    due: Interval,
    /// what is to be told next
    untold: Vec<News>,
}

impl Listener {
    /// Begins to listen. The first news are that everything was edited, as it may have been since it was read. On SQLite
    /// there is nobody to listen to.
    #[must_use]
    pub fn begin(store: &Store) -> Option<Self> {
        let pool = store.inner.news.clone()?;
        let (tell, heard) = mpsc::channel(UNHEARD_MAX);
        let listening = tokio::spawn(listen(pool, tell));
        let mut due = tokio::time::interval(LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let untold = Topic::ALL.map(News::Edited).to_vec();
        Some(Self { store: store.clone(), heard, listening, seen: BTreeMap::new(), due, untold })
    }

    /// Waits for the next news.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.untold.pop() {
                return news;
            }
            tokio::select! {
                Some(text) = self.heard.recv() => self.hear(&text),
                _ = self.due.tick() => self.look().await,
            }
        }
    }

    /// A notification is a word and a number or an id. One without is the word that some may have been missed.
    fn hear(&mut self, text: &str) {
        match text.split_once(' ') {
            Some((APPROVAL, id)) => self.untold.push(News::Settled(id.to_owned())),
            Some((topic, revision)) => self.see(topic, revision.parse().unwrap_or(i64::MAX)),
            None => self.due.reset_immediately(),
        }
    }

    async fn look(&mut self) {
        self.untold.push(News::Look);
        match Entity::find().all(self.store.reads()).await {
            Ok(rows) => rows.iter().for_each(|row| self.see(&row.topic, row.revision)),
            Err(error) => {
                let error = StoreError::from(error);
                tracing::debug!(error.kind = error.kind(), "what other gateways edited can't be read: {error}");
            }
        }
    }

    /// A topic of a newer release is nothing that this one holds.
    fn see(&mut self, topic: &str, revision: i64) {
        let Some(known) = Topic::parse(topic) else { return };
        let seen = self.seen.entry(topic.to_owned()).or_default();
        if *seen < revision {
            *seen = revision;
            self.untold.push(News::Edited(known));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(pool: PgPool, tell: Sender<String>) {
    let mut is_told = false;
    while !pool.is_closed() {
        match hear_all(&pool, &tell).await {
            Ok(()) | Err(sqlx::Error::PoolClosed) => return,
            Err(error) if !is_told => {
                tracing::warn!(
                    "the connection that other gateways' edits are heard on is lost; they are looked for every second: {error}"
                );
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Passes notifications on until the connection is lost, or nobody wants to hear them.
async fn hear_all(pool: &PgPool, tell: &Sender<String>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // what was said before this connection listened is found by a look
        if tell.send(String::new()).await.is_err() {
            return Ok(());
        }
        while let Some(notification) = listener.try_recv().await? {
            if tell.send(notification.payload().to_owned()).await.is_err() {
                return Ok(());
            }
        }
    }
}
