//! Questions to a person, and the calls that wait for their answers.
//!
//! An approval is a row. It is about *what an agent wants to do*, to the byte, and not about one attempt: calls that ask
//! the same wait for the same answer, and the answer may come when nobody waits any more. A person's answer is a
//! compare-and-set on that row, so that of an approval, a denial and an expiry at the same moment exactly one wins. A yes
//! is good once, for a while: the journal spends it together with the move that lets a call go.
//!
//! In memory there is only who waits. Whoever is woken by nobody wakes by the deadline and asks the row. Where an answer
//! was given to another gateway, [`Approvals::look`] wakes them.

mod answer;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, watch};

use super::error::GateError;
use super::permit::Permit;
use crate::clock;
use crate::journal::Receipt;
use crate::metrics::{ApprovalOutcome, Metrics};
use crate::store::approval::{self, Row};
use crate::store::rule::NewRule;
use crate::store::{Store, StoreError};

pub use answer::{Answer, Place};

/// Agents are spread over so many turns; two that share one wait for each other's questions to be written, no more.
const TURNS: usize = 64;
/// How often questions that nobody waits for are looked through for those whose time is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many are ended at one look.
const DUE_MAX: u64 = 500;

/// What was set for approvals.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a person has for an answer.
    pub open: Duration,
    /// How long the answer is good for a call that comes later.
    pub holds: Duration,
    /// Most open questions of one agent.
    pub agent_max: u64,
}

/// Proof of a person's yes; only this file makes it.
#[derive(Debug)]
pub struct Approved {
    approval_id: String,
    edited_arguments: Option<String>,
    /// Lets another call have it that waits for the same, if this one has gone without using it.
    _turn: Option<FirstTurn>,
}

impl Approved {
    /// The approval that the call's dispatch has to spend.
    #[must_use]
    pub fn approval_id(&self) -> &str {
        &self.approval_id
    }

    /// What the person put in place of the agent's arguments.
    #[must_use]
    pub fn edited_arguments(&self) -> Option<&str> {
        self.edited_arguments.as_deref()
    }

    /// The permit for the approved call, if its dispatch is committed and has spent this very yes.
    #[must_use]
    pub fn permit(self, receipt: Receipt) -> Option<Permit> {
        let is_spent = receipt.spent() == Some(&self.approval_id);
        if is_spent { Permit::new(receipt, self.edited_arguments) } else { None }
    }
}

/// Held while a question is being written, so that an agent asks the same only once and no more than it may.
pub type Turn = OwnedMutexGuard<()>;

/// The approvals of this gateway.
#[derive(Clone)]
pub struct Approvals {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    metrics: Metrics,
    terms: Terms,
    waiting: DashMap<String, Waiting>,
    next_number: AtomicU64,
    turns: Vec<Arc<Mutex<()>>>,
    is_closed: AtomicBool,
    /// says when a question was written
    asked: watch::Sender<()>,
}

/// Those who wait for one answer.
#[derive(Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    /// A person said yes, and one of them is about to use that.
    is_taken: bool,
}

struct Waiter {
    number: u64,
    wake: oneshot::Sender<Woken>,
}

/// Why a call no longer waits.
enum Woken {
    /// The row has its answer.
    Settled,
    /// It is a yes, and this call is the first to have it.
    First(FirstTurn),
    /// The gateway stops.
    Closed,
}

impl Approvals {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics, terms: Terms) -> Self {
        let turns = (0..TURNS).map(|_| Arc::default()).collect();
        let (waiting, next_number, is_closed) = (DashMap::new(), AtomicU64::default(), AtomicBool::default());
        let asked = watch::Sender::default();
        Self { inner: Arc::new(Inner { store, metrics, terms, waiting, next_number, turns, is_closed, asked }) }
    }

    /// Ends questions whose time is over though no call waits for them, for as long as the runtime of the caller lives.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn start_sweep(&self) -> Result<(), GateError> {
        self.count_open().await?;
        let inner = Arc::downgrade(&self.inner);
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(inner) = inner.upgrade() else { return };
                let approvals = Self { inner };
                let looked = async { approvals.expire_due().await.and(approvals.count_open().await) };
                if let Err(error) = looked.await {
                    tracing::warn!(error = %crate::chain(&error), "the open questions could not be looked through");
                }
            }
        });
        Ok(())
    }

    /// Notes how many questions are open and since when: counted anew each time, as another gateway may have asked or
    /// answered.
    async fn count_open(&self) -> Result<(), GateError> {
        let (count, oldest) = approval::open_since(&self.inner.store, clock::now_ms()).await?;
        self.inner.metrics.approvals_found(count, oldest);
        Ok(())
    }

    /// What was set.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.inner.terms
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.waiting.iter().map(|entry| entry.value().waiters.len()).sum()
    }

    /// Where a question belongs that `digest` stands for. It holds until the turn is let go of.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn place(&self, agent_id: &str, digest: &str) -> Result<(Place, Turn), GateError> {
        let turn = self.turn(agent_id).await;
        let (store, now) = (&self.inner.store, clock::now_ms());
        if let Some(row) = approval::find_newest(store, digest).await? {
            if approval::is_live(&row, now) {
                return Ok((Place::Known(Box::new(row)), turn));
            }
            // Its time is over and nobody has looked yet: there is one open question about the same, and it would be that.
            if row.status == approval::PENDING {
                self.expire(&row.id).await?;
            }
        }
        let open = approval::count_pending(store, Some(agent_id), now).await?;
        let is_full = open >= self.inner.terms.agent_max;
        Ok((if is_full { Place::Full(open) } else { Place::New }, turn))
    }

    /// A question was written.
    pub fn is_asked(&self) {
        self.inner.metrics.approval_asked();
        self.inner.asked.send_replace(());
    }

    /// Says when this process has written a question; which one is for whoever looks to find out.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.inner.asked.subscribe()
    }

    /// The row of the approval `id`.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn find(&self, id: &str) -> Result<Option<Row>, GateError> {
        Ok(approval::find(&self.inner.store, id).await?)
    }

    /// What is known of the approval `id` by now; `None` while it is open.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn answer(&self, id: &str) -> Result<Option<Answer>, GateError> {
        let row = approval::find(&self.inner.store, id).await?;
        Ok(row.map_or(Some(Answer::Cancelled), |row| read(&row, clock::now_ms())))
    }

    /// Waits for the answer to the approval `id`, whose row is committed, until its end.
    ///
    /// Dropping the future is how a call stops waiting; the question stays.
    ///
    /// # Errors
    /// The store could not say what became of it; the call must not go on.
    pub async fn wait(&self, id: &str) -> Result<Answer, GateError> {
        let (mut woken, _leaves) = self.begin_waiting(id);
        let mut turn = None;
        loop {
            // Asked after this call is known to wait: an answer that came before is here, one that comes after wakes it.
            let row = approval::find(&self.inner.store, id).await?;
            let Some(row) = row else { return Ok(Answer::Cancelled) };
            let now = clock::now_ms();
            match read(&row, now) {
                Some(Answer::Approved(approved)) => return Ok(Answer::Approved(Approved { _turn: turn, ..approved })),
                Some(answer) => return Ok(answer),
                None => {}
            }
            if self.inner.is_closed.load(Ordering::SeqCst) {
                return Ok(Answer::Stopping);
            }
            if row.left_at.is_some() {
                self.note(id, None).await;
            }
            let left = Duration::from_millis(u64::try_from(row.expires_at - now).unwrap_or(0));
            match tokio::time::timeout(left, &mut woken).await {
                Ok(Ok(Woken::Settled)) => {}
                Ok(Ok(Woken::First(first))) => turn = Some(first),
                Ok(Ok(Woken::Closed) | Err(_)) => return Ok(Answer::Stopping),
                Err(_) => self.expire(id).await?,
            }
        }
    }

    /// A call no longer waits for the approval `id`: where it was the last one, whoever looks at the question can see that.
    pub async fn is_left(&self, id: &str) {
        if !self.inner.waiting.contains_key(id) {
            self.note(id, Some(clock::now_ms())).await;
        }
    }

    async fn note(&self, id: &str, left_at: Option<i64>) {
        if let Err(error) = approval::note_left(&self.inner.store, id, left_at).await {
            // It is only shown: whoever answers decides the same.
            tracing::warn!(approval.id = id, error = %crate::chain(&error), "who waits could not be noted");
        }
    }

    /// An operator's answer, committed before this returns.
    ///
    /// # Errors
    /// The digest is not the one that was shown, the approval is already decided or expired, or the store failed.
    pub async fn settle(&self, id: &str, answer: approval::Answer) -> Result<Row, GateError> {
        let row = approval::decide(&self.inner.store, id, answer).await?;
        self.is_settled(&row);
        Ok(row)
    }

    /// An operator's answer, committed together with the rule that remembers it, which stands before another one if that is
    /// named. The rule set has to be published anew.
    ///
    /// # Errors
    /// Like [`Approvals::settle`]; and the rule that was named is gone, and nothing is decided.
    pub async fn settle_and_remember(
        &self,
        id: &str,
        answer: approval::Answer,
        rule: (NewRule, Option<&str>),
    ) -> Result<(Row, String), GateError> {
        let (row, rule) = approval::decide_and_remember(&self.inner.store, id, answer, rule).await?;
        self.is_settled(&row);
        Ok((row, rule.id))
    }

    fn is_settled(&self, row: &Row) {
        let is_yes = row.status == approval::APPROVED;
        self.is_ended(row, if is_yes { ApprovalOutcome::Approved } else { ApprovalOutcome::Denied });
        self.wake(&row.id, is_yes);
    }

    /// Withdraws a question.
    ///
    /// # Errors
    /// The store failed. That it is decided already is none: then there is nothing to withdraw.
    pub async fn cancel(&self, id: &str) -> Result<(), GateError> {
        match approval::cancel(&self.inner.store, id, clock::now_ms()).await {
            Ok(row) => {
                self.is_ended(&row, ApprovalOutcome::Cancelled);
                self.wake(id, false);
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends all questions whose time is over.
    ///
    /// # Errors
    /// The store failed.
    pub async fn expire_due(&self) -> Result<(), GateError> {
        for id in approval::due(&self.inner.store, clock::now_ms(), DUE_MAX).await? {
            self.expire(&id).await?;
        }
        Ok(())
    }

    /// Lets all calls that wait know that the gateway stops. Their questions stay for the next start.
    pub fn close(&self) {
        self.inner.is_closed.store(true, Ordering::SeqCst);
        for mut entry in self.inner.waiting.iter_mut() {
            for waiter in entry.value_mut().waiters.drain(..) {
                // It may have stopped waiting at this moment.
                let _ = waiter.wake.send(Woken::Closed);
            }
        }
    }

    /// Another gateway may have settled the approval `id`: whoever waits for it here hears of that.
    ///
    /// # Errors
    /// The store could not be read; a later look will find it.
    pub async fn look(&self, id: &str) -> Result<(), GateError> {
        if self.inner.waiting.contains_key(id) { self.look_at(&[id.to_owned()]).await } else { Ok(()) }
    }

    /// Like [`Approvals::look`], for every approval that is waited for here.
    ///
    /// # Errors
    /// The store could not be read; the next look will find it.
    pub async fn look_at_all(&self) -> Result<(), GateError> {
        let ids: Vec<_> = self.inner.waiting.iter().map(|entry| entry.key().clone()).collect();
        self.look_at(&ids).await
    }

    async fn look_at(&self, ids: &[String]) -> Result<(), GateError> {
        for (id, is_yes) in approval::list_settled(&self.inner.store, ids).await? {
            self.wake(&id, is_yes);
        }
        Ok(())
    }

    async fn turn(&self, agent_id: &str) -> Turn {
        let mut hasher = DefaultHasher::new();
        agent_id.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        match self.inner.turns.get(at) {
            Some(turn) => turn.clone().lock_owned().await,
            None => Arc::new(Mutex::new(())).lock_owned().await,
        }
    }

    fn begin_waiting(&self, id: &str) -> (oneshot::Receiver<Woken>, Leaves<'_>) {
        let (wake, woken) = oneshot::channel();
        let number = self.inner.next_number.fetch_add(1, Ordering::Relaxed);
        self.inner.waiting.entry(id.to_owned()).or_default().waiters.push(Waiter { number, wake });
        (woken, Leaves { inner: &self.inner, id: id.to_owned(), number })
    }

    /// A no is for everyone who waits. A yes is for one: the call that came last, because its agent has most likely given
    /// up on the others. They wait until it has used the yes, or has gone without.
    fn wake(&self, id: &str, is_yes: bool) {
        if is_yes {
            let is_taken = |mut waiting: RefMut<'_, String, Waiting>| std::mem::replace(&mut waiting.is_taken, true);
            if self.inner.waiting.get_mut(id).is_some_and(|waiting| !is_taken(waiting)) {
                FirstTurn::give(&self.inner, id);
            }
        } else if let Some((_, waiting)) = self.inner.waiting.remove(id) {
            for waiter in waiting.waiters {
                // It may have stopped waiting at this moment.
                let _ = waiter.wake.send(Woken::Settled);
            }
        }
    }

    async fn expire(&self, id: &str) -> Result<(), GateError> {
        match approval::expire(&self.inner.store, id, clock::now_ms()).await {
            Ok(row) => {
                self.is_ended(&row, ApprovalOutcome::Expired);
                self.wake(id, false);
                Ok(())
            }
            // Somebody was faster, or the deadline was moved; what the row says, holds.
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_ended(&self, row: &Row, outcome: ApprovalOutcome) {
        let took = row.decided_at.unwrap_or(row.created_at) - row.created_at;
        self.inner.metrics.approval_ended(outcome, Duration::from_millis(u64::try_from(took).unwrap_or(0)));
    }
}

/// Held by the call that is the first to have a yes. Dropping it, when that is used or never will be, wakes the next one,
/// which asks the row.
struct FirstTurn {
    inner: Arc<Inner>,
    id: String,
    is_given: bool,
}

impl FirstTurn {
    /// To the call that came last, of those that are still there.
    fn give(inner: &Arc<Inner>, id: &str) {
        loop {
            let last = inner.waiting.get_mut(id).and_then(|mut waiting| waiting.waiters.pop());
            let Some(last) = last else { break };
            let turn = Self { inner: inner.clone(), id: id.to_owned(), is_given: true };
            match last.wake.send(Woken::First(turn)) {
                Err(Woken::First(mut turn)) => turn.is_given = false,
                Ok(()) | Err(_) => return,
            }
        }
        inner.waiting.remove_if(id, |_, waiting| waiting.waiters.is_empty());
    }
}

impl Drop for FirstTurn {
    fn drop(&mut self) {
        if self.is_given {
            Self::give(&self.inner, &self.id);
        }
    }
}

impl std::fmt::Debug for FirstTurn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FirstTurn({:?})", self.id)
    }
}

/// Stops waiting when it is dropped.
struct Leaves<'a> {
    inner: &'a Inner,
    id: String,
    number: u64,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if let Some(mut waiting) = self.inner.waiting.get_mut(&self.id) {
            waiting.waiters.retain(|waiter| waiter.number != self.number);
        }
        self.inner.waiting.remove_if(&self.id, |_, waiting| waiting.waiters.is_empty());
    }
}

fn read(row: &Row, now: i64) -> Option<Answer> {
    let is_over = row.holds_until.is_none_or(|until| until <= now);
    match row.status.as_str() {
        approval::APPROVED if row.used_at.is_some() => Some(Answer::Used),
        approval::APPROVED if is_over => Some(Answer::Expired),
        approval::APPROVED => Some(Answer::Approved(Approved {
            approval_id: row.id.clone(),
            edited_arguments: row.edited_arguments.clone(),
            _turn: None,
        })),
        approval::DENIED => Some(Answer::Denied { reason: row.reason.clone(), by: row.decided_by.clone() }),
        "expired" => Some(Answer::Expired),
        "cancelled" => Some(Answer::Cancelled),
        _ => None,
    }
}
