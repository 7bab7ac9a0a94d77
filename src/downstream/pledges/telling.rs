//! What an agent hears of its pledges while it listens (`notifications/tasks`).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::downstream::Downstream;
use crate::downstream::call::Task;
use crate::downstream::listen::{ACKNOWLEDGED, Listener};
use crate::downstream::promises;
use crate::invocation::Pledges;
use crate::mcp::splice;
use crate::store::StoreError;
use crate::store::pledge::WORKING;
use crate::upstream::Sink;

/// How often it is looked without a word: another process may have told of it in the row alone.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Most pledges that one listening is about; an agent has no more.
const COUNT_MAX: usize = 64;

/// A pledge that is listened for, with the state in which its agent knows it.
struct Heard {
    id: String,
    known: String,
}

impl Downstream {
    /// The pledges that a listening names, or the answer to one that may not name any.
    pub(in crate::downstream) async fn named_pledges(&self, task: &Task) -> Result<BTreeSet<String>, String> {
        let params = task.params.as_deref().unwrap_or("{}");
        let Some(named) = splice::find(params, &promises::LISTENED) else { return Ok(BTreeSet::new()) };
        if !promises::knows_tasks(task.params.as_deref()) {
            return Err(promises::undeclared());
        }
        let named: BTreeSet<String> = serde_json::from_str(named).unwrap_or_default();
        let mut own = BTreeSet::new();
        for id in named.into_iter().filter(|id| Pledges::may_be(id)).take(COUNT_MAX) {
            let found = self.pledges.find(&id, &task.agent_id, &task.upstream.spec.id).await;
            // One that its server keeps is told by asking: the server knows it by another name.
            if found.is_ok_and(|row| row.is_some_and(|row| row.behind.is_none())) {
                own.insert(id);
            }
        }
        Ok(own)
    }

    /// Tells of them as they change. Never ends.
    pub(in crate::downstream) async fn tell_of_pledges(&self, task: &Task, listener: &Listener) -> Infallible {
        listener.acknowledged.notified().await;
        let as_made = |id: &String| Heard { id: id.clone(), known: WORKING.into() };
        let mut heard: Vec<_> = listener.pledges.iter().map(as_made).collect();
        let mut changed = self.pledges.changed();
        while !heard.is_empty() {
            changed.mark_unchanged();
            let mut open = Vec::new();
            for one in heard {
                match self.tell_of(task, listener, one).await {
                    Ok(next) => open.extend(next),
                    Err(error) => tracing::warn!(error = %crate::chain(&error), "a task could not be told of"),
                }
            }
            heard = open;
            // Whichever comes first.
            let _ = tokio::time::timeout(LOOK_EVERY, changed.changed()).await.is_ok();
        }
        std::future::pending().await
    }

    /// Tells of one if it is not as it was; gives it back while more may come of it.
    async fn tell_of(&self, task: &Task, listener: &Listener, mut one: Heard) -> Result<Option<Heard>, StoreError> {
        let Some(row) = self.pledges.find(&one.id, &task.agent_id, &task.upstream.spec.id).await? else {
            return Ok(None);
        };
        let row = self.brought_up(task, row).await?;
        let state = format!("{} {}", row.state, row.round);
        if row.state != one.known && state != one.known {
            let question = self.pledges.question(&row).await?;
            let told = splice::without(&self.told(&row, question.as_ref()), |key| key == "resultType");
            listener.tell("notifications/tasks", &told);
            one.known = state;
        }
        let is_over = matches!(row.state.as_str(), "completed" | "failed" | "cancelled") || row.behind.is_some();
        Ok((!is_over).then_some(one))
    }
}

/// Passes a modern server's words on, and adds the gateway's own tasks to what it grants.
pub(in crate::downstream) struct Granting(
    pub(in crate::downstream) Arc<Listener>,
    pub(in crate::downstream) Arc<dyn Sink>,
);

impl Sink for Granting {
    fn notify(&self, message: String) {
        let Self(listener, sink) = self;
        if listener.pledges.is_empty() || splice::find_string(&message, &["method"]).as_deref() != Some(ACKNOWLEDGED) {
            return sink.notify(message);
        }
        let place = ["params", "notifications", "taskIds"];
        let granted = splice::find(&message, &place).and_then(|ids| serde_json::from_str::<Vec<String>>(ids).ok());
        let granted: Vec<_> = granted.unwrap_or_default().into_iter().chain(listener.pledges.iter().cloned()).collect();
        sink.notify(splice::set(&message, &place, &serde_json::json!(granted).to_string()));
        listener.acknowledged.notify_one();
    }

    fn room(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.1.room()
    }

    fn ask(&self, message: String) -> bool {
        self.1.ask(message)
    }
}
