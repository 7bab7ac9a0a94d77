//! Calls that wait for a person.
//!
//! The approval itself is a row, written with the call's own; here is only the waiting. A person's answer is a
//! compare-and-set on that row, so that of an approval, a denial and an expiry at the same moment exactly one wins; then
//! the waiting call is woken. Whoever is woken by nobody wakes by the deadline and asks the row.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;

use super::error::GateError;
use super::permit::Permit;
use crate::clock;
use crate::journal::Receipt;
use crate::store::{self, Store, StoreError};

/// What became of an approval that a call waited for.
#[derive(Debug)]
pub enum Answer {
    /// A person said yes.
    Approved(Approved),
    /// A person said no, perhaps with a reason for the model.
    Denied {
        /// The person's words.
        reason: Option<String>,
        /// Who it was.
        by: Option<String>,
    },
    /// Nobody answered in time.
    Expired,
    /// The gateway withdrew the question.
    Cancelled,
}

/// Proof of a person's yes; only this file makes it.
#[derive(Debug)]
pub struct Approved(());

impl Approved {
    /// The permit for the approved call, if its dispatch is committed.
    #[must_use]
    pub fn permit(self, receipt: Receipt) -> Option<Permit> {
        Permit::new(receipt)
    }
}

/// The calls that wait in this process.
#[derive(Clone)]
pub struct Approvals {
    store: Store,
    waiting: Arc<DashMap<String, oneshot::Sender<store::approval::Row>>>,
    is_closed: Arc<AtomicBool>,
}

impl Approvals {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, waiting: Arc::default(), is_closed: Arc::default() }
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Waits for the answer to the approval `id`, whose row is committed, until `expires_at` (ms), or later if that was
    /// moved meanwhile.
    ///
    /// Dropping the future withdraws from waiting; the caller then cancels the row with [`Approvals::cancel`].
    ///
    /// # Errors
    /// The store could not say what became of it; the call must not go on.
    pub async fn wait(&self, id: &str, mut expires_at: i64) -> Result<Answer, GateError> {
        let (wake, mut woken) = oneshot::channel();
        self.waiting.insert(id.to_owned(), wake);
        let _withdraw = Withdraw { waiting: &self.waiting, id };
        // Whoever closes from here on finds the entry; a close before it is seen now.
        if self.is_closed.load(Ordering::SeqCst) {
            self.waiting.remove(id);
        }
        // An answer may have come between the row's commit and the lines above.
        if let Some(row) = store::approval::find(&self.store, id).await? {
            if let Some(answer) = read(&row) {
                return Ok(answer);
            }
            expires_at = row.expires_at;
        }
        loop {
            let left = Duration::from_millis(u64::try_from(expires_at - clock::now_ms()).unwrap_or(0));
            match tokio::time::timeout(left, &mut woken).await {
                Ok(Ok(row)) => return Ok(read(&row).unwrap_or(Answer::Cancelled)),
                Ok(Err(_)) => {
                    self.cancel(id).await?;
                    return Ok(Answer::Cancelled);
                }
                Err(_) => match self.expire(id).await? {
                    Deadline::Ended(answer) => return Ok(answer),
                    Deadline::Moved(later) => expires_at = later,
                },
            }
        }
    }

    /// An operator's answer, committed before this returns.
    ///
    /// # Errors
    /// The digest is not the one that was shown, the approval is already decided or expired, or the store failed.
    pub async fn settle(&self, id: &str, answer: store::approval::Answer) -> Result<store::approval::Row, GateError> {
        let row = store::approval::decide(&self.store, id, answer).await?;
        if let Some((_, wake)) = self.waiting.remove(id) {
            // The call may have gone away meanwhile; then nothing runs, and its row says so.
            let _ = wake.send(row.clone());
        }
        Ok(row)
    }

    /// Withdraws the question, because nobody waits for its answer any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn cancel(&self, id: &str) -> Result<(), GateError> {
        match store::approval::cancel(&self.store, id, clock::now_ms()).await {
            // Decided already: then there is nothing to withdraw.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Withdraws every question: the gateway stops, and nobody will be there to be answered.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        // Dropping what would wake them wakes them, without an answer.
        self.waiting.clear();
    }

    async fn expire(&self, id: &str) -> Result<Deadline, GateError> {
        let row = match store::approval::expire(&self.store, id, clock::now_ms()).await {
            Ok(row) => Some(row),
            // Somebody was faster, or the deadline was moved; what the row says, holds.
            Err(StoreError::Conflict { .. }) => store::approval::find(&self.store, id).await?,
            Err(error) => return Err(error.into()),
        };
        Ok(match row {
            Some(row) => read(&row).map_or(Deadline::Moved(row.expires_at), Deadline::Ended),
            None => Deadline::Ended(Answer::Expired),
        })
    }
}

/// What the row says when its deadline passes.
enum Deadline {
    Ended(Answer),
    Moved(i64),
}

struct Withdraw<'w> {
    waiting: &'w DashMap<String, oneshot::Sender<store::approval::Row>>,
    id: &'w str,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.waiting.remove(self.id);
    }
}

fn read(row: &store::approval::Row) -> Option<Answer> {
    match row.status.as_str() {
        "approved" => Some(Answer::Approved(Approved(()))),
        "denied" => Some(Answer::Denied { reason: row.reason.clone(), by: row.decided_by.clone() }),
        "expired" => Some(Answer::Expired),
        "cancelled" => Some(Answer::Cancelled),
        _ => None,
    }
}
