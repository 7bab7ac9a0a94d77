//! Calls that wait for a person and whose agents were given a task meanwhile: they hold a handle, and come back to it.
//!
//! A pledge is a row. The call itself is an ordinary run, which this process carries; should it end before the run does,
//! the row has all that is needed to go on, and whoever is asked after it next takes it over. What came of the run is
//! kept in the row until its time is over. Whether the call may be made is nothing that is decided here.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Mutex, watch};

use super::record::Request;
use crate::clock;
use crate::gate::Terms;
use crate::journal::State;
use crate::store::pledge::{self, Row, Settled, Taken};
use crate::store::{self, Store, StoreError, approval, invocation};

/// Most tasks of the gateway's own that one agent has; calls beyond them wait as those of agents without tasks.
const COUNT_MAX: u64 = 64;
/// Most bytes that are kept for one agent; its oldest outcomes make way.
const BYTES_MAX: i64 = 16 * 1024 * 1024;
/// How often it is looked for those that may be forgotten.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// One that another process took over a moment ago may have no row of its call yet.
const UNRECORDED_FOR_MS: i64 = 2 * 60 * 1_000;
/// One that never ended is forgotten that much later.
const LOST_AFTER_MS: i64 = 24 * 60 * 60 * 1_000;

/// The pledges of this gateway. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Pledges {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// ms; how long one is kept after the last that is known of it.
    kept_ms: i64,
    /// This process, among those that may carry one.
    carrier: String,
    /// Those whose runs are here.
    carried: DashMap<String, Load>,
    /// Notified when something came of one of them.
    changed: watch::Sender<()>,
    /// Whoever takes one over does so alone: between the row and `carried` nobody else may look.
    turn: Mutex<()>,
}

/// What is known of a run that is here.
struct Load {
    invocation_id: String,
    /// The word that its agent wants it no more.
    withdraw: watch::Sender<bool>,
}

/// A pledge whose run is in this process, for as long as this lives.
pub struct Carried {
    pledges: Pledges,
    /// Which one.
    pub id: String,
    /// The row of the call that is made for it.
    pub invocation_id: String,
    is_withdrawn: watch::Receiver<bool>,
}

impl Pledges {
    /// For a gateway with these terms for its questions.
    #[must_use]
    pub fn new(store: Store, terms: Terms) -> Self {
        let kept_ms = i64::try_from(terms.holds.as_millis()).unwrap_or(i64::MAX);
        let inner = Inner {
            store,
            kept_ms,
            carrier: store::new_id(),
            carried: DashMap::new(),
            changed: watch::Sender::new(()),
            turn: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Forgets those whose time is over, for as long as the runtime of the caller lives.
    pub fn start_sweep(&self) {
        let inner = Arc::downgrade(&self.inner);
        actix_rt::spawn(async move {
            while let Some(inner) = inner.upgrade() {
                if let Err(error) = pledge::delete_over(&inner.store, clock::now_ms(), LOST_AFTER_MS).await {
                    tracing::warn!(error = %crate::chain(&error), "tasks whose time is over could not be removed");
                }
                drop(inner);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }

    /// Makes one of a call that waits for the answer to `question`; `None` when its agent has so many that it may have no
    /// more. It is committed when this returns.
    ///
    /// # Errors
    /// The store failed.
    pub async fn make(
        &self,
        request: &Request,
        params: &str,
        question: &approval::Row,
        invocation_id: &str,
    ) -> Result<Option<(Row, Carried)>, StoreError> {
        let now = clock::now_ms();
        if pledge::count(&self.inner.store, &request.agent_id, now).await? >= COUNT_MAX {
            return Ok(None);
        }
        let row = Row {
            id: new_id(),
            agent_id: request.agent_id.to_string(),
            server_id: request.server_id.to_string(),
            params: params.to_owned(),
            approval_id: Some(question.id.clone()),
            invocation_id: invocation_id.to_owned(),
            carrier: self.inner.carrier.clone(),
            round: 0,
            state: pledge::WORKING.into(),
            outcome: None,
            outcome_bytes: 0,
            behind: None,
            created_at: now,
            updated_at: now,
            expires_at: question.expires_at.saturating_add(self.inner.kept_ms),
        };
        // Known to be carried before anybody can find its row.
        let carried = self.carry(&row.id, invocation_id);
        pledge::insert(&self.inner.store, row.clone()).await?;
        Ok(Some((row, carried)))
    }

    /// Whether an id has the form of those of the gateway's own; others need not be looked for.
    #[must_use]
    pub fn may_be(id: &str) -> bool {
        id.starts_with(PREFIX)
    }

    /// The one of that id, if it is that agent's and was made for a call of that server.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn find(&self, id: &str, agent_id: &str, server_id: &str) -> Result<Option<Row>, StoreError> {
        let is_own = |row: &Row| row.agent_id == agent_id && row.server_id == server_id;
        let is_kept = |row: &Row| row.state == pledge::WORKING || row.expires_at > clock::now_ms();
        Ok(pledge::find(&self.inner.store, id).await?.filter(is_own).filter(is_kept))
    }

    /// The question that it waits for.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn question(&self, row: &Row) -> Result<Option<approval::Row>, StoreError> {
        match &row.approval_id {
            Some(id) => approval::find(&self.inner.store, id).await,
            None => Ok(None),
        }
    }

    /// The row of the call that was last made for it, if it came so far.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn call(&self, row: &Row) -> Result<Option<invocation::Row>, StoreError> {
        invocation::find(&self.inner.store, &row.invocation_id).await
    }

    /// When it may be forgotten, in ms, now that this is its question.
    #[must_use]
    pub fn kept_until(&self, row: &Row, question: Option<&approval::Row>) -> i64 {
        let of_question = question.map_or(0, |question| question.expires_at.saturating_add(self.inner.kept_ms));
        row.expires_at.max(of_question)
    }

    /// Changes when something came of one of them in this process.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }

    /// Whether its run is in this process.
    #[must_use]
    pub fn is_carried(&self, row: &Row) -> bool {
        self.inner.carried.contains_key(&row.id)
    }

    /// Whether its run is nowhere any more, given the row of its call. A gateway that is gone leaves no call open for long:
    /// whoever comes in its place ends what it had.
    #[must_use]
    pub fn is_abandoned(&self, row: &Row, call: Option<&invocation::Row>) -> bool {
        match call {
            Some(call) => State::parse(&call.state).is_none_or(State::is_terminal),
            None => row.carrier == self.inner.carrier || row.updated_at < clock::now_ms() - UNRECORDED_FOR_MS,
        }
    }

    /// Takes over one whose run is nowhere any more; `None` when another was faster.
    ///
    /// # Errors
    /// The store failed.
    pub async fn take(&self, row: &Row) -> Result<Option<Carried>, StoreError> {
        let _turn = self.inner.turn.lock().await;
        if self.is_carried(row) {
            return Ok(None);
        }
        let taken = self.taken();
        let is_ours = pledge::take(&self.inner.store, row, &taken).await?;
        Ok(is_ours.then(|| self.carry(&row.id, &taken.invocation_id)))
    }

    /// Goes on with one whose agent gave what its server asked, with these parameters; `None` when another was faster.
    ///
    /// # Errors
    /// The store failed.
    pub async fn go_on(&self, row: &Row, params: &str) -> Result<Option<Carried>, StoreError> {
        let _turn = self.inner.turn.lock().await;
        let taken = self.taken();
        let is_ours = pledge::go_on(&self.inner.store, row, params, &taken).await?;
        Ok(is_ours.then(|| self.carry(&row.id, &taken.invocation_id)))
    }

    /// Its agent wants it no more. One that is over stays as it is.
    ///
    /// # Errors
    /// The store failed.
    pub async fn withdraw(&self, id: &str) -> Result<(), StoreError> {
        self.settle(id, "cancelled", None).await?;
        if let Some(carried) = self.inner.carried.get(id) {
            carried.withdraw.send_replace(true);
        }
        Ok(())
    }

    /// Removes one that its agent was never told of.
    pub async fn forget(&self, id: &str) {
        if let Err(error) = pledge::delete(&self.inner.store, id).await {
            tracing::warn!(error = %crate::chain(&error), "a task that nobody was told of could not be removed");
        }
    }

    /// Says what came of one, if it is still open.
    ///
    /// # Errors
    /// The store failed.
    pub async fn settle(&self, id: &str, state: &'static str, outcome: Option<String>) -> Result<bool, StoreError> {
        let now = clock::now_ms();
        let kept_until = now.saturating_add(self.inner.kept_ms);
        let is_settled = pledge::settle(&self.inner.store, id, Settled { state, outcome, now, kept_until }).await?;
        self.inner.changed.send_replace(());
        Ok(is_settled)
    }

    /// Lets go of an agent's oldest outcomes when there are too many; who asks for one is told `instead`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn make_way(&self, agent_id: &str, instead: &str) -> Result<(), StoreError> {
        pledge::make_way(&self.inner.store, agent_id, BYTES_MAX, instead).await
    }

    fn taken(&self) -> Taken {
        Taken { carrier: self.inner.carrier.clone(), invocation_id: store::new_id(), now: clock::now_ms() }
    }

    fn carry(&self, id: &str, invocation_id: &str) -> Carried {
        let (withdraw, is_withdrawn) = watch::channel(false);
        let invocation_id = invocation_id.to_owned();
        self.inner.carried.insert(id.to_owned(), Load { invocation_id: invocation_id.clone(), withdraw });
        Carried { pledges: self.clone(), id: id.to_owned(), invocation_id, is_withdrawn }
    }
}

impl Carried {
    /// Resolves when its agent wants it no more.
    pub async fn withdrawn(&self) {
        let mut is_withdrawn = self.is_withdrawn.clone();
        if is_withdrawn.wait_for(|is_withdrawn| *is_withdrawn).await.is_err() {
            // Nobody is left who could say so.
            std::future::pending::<()>().await;
        }
    }

    /// Notes the question that it waits for.
    ///
    /// # Errors
    /// The store failed.
    pub async fn waits_for(&self, question: &approval::Row) -> Result<(), StoreError> {
        let inner = &self.pledges.inner;
        let kept_until = question.expires_at.saturating_add(inner.kept_ms);
        pledge::waits_for(&inner.store, &self.id, &question.id, kept_until).await.map(drop)
    }

    /// Notes that the call became a task of its server's own, which keeps it for so long.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_behind(&self, behind: &str, kept_ms: i64) -> Result<(), StoreError> {
        let inner = &self.pledges.inner;
        let kept_until = clock::now_ms().saturating_add(kept_ms.max(inner.kept_ms));
        pledge::is_behind(&inner.store, &self.id, behind, kept_until).await.map(drop)
    }

    /// Whether it is open, wherever it may have been withdrawn.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn is_open(&self) -> Result<bool, StoreError> {
        let row = pledge::find(&self.pledges.inner.store, &self.id).await?;
        Ok(row.is_some_and(|row| row.state == pledge::WORKING && row.invocation_id == self.invocation_id))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // Its next round may be here already.
        self.pledges.inner.carried.remove_if(&self.id, |_, load| load.invocation_id == self.invocation_id);
    }
}

/// What the ids of the gateway's own tasks begin with: others need not be looked for.
const PREFIX: &str = "atryum-";

/// More than 128 bits of chance.
fn new_id() -> String {
    format!("{PREFIX}{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
