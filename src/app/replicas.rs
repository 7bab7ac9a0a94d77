//! What other gateways on the same database edit, brought to the rooms that hold it in memory.
//!
//! One task hears the news; each topic has a task of its own that reads what was edited, so that none waits for another.
//! What comes while one reads is read once more, all of it together. This gateway's own edits are heard, too: they are in
//! force already, and one whose handler was dropped between its commit and that is not forgotten.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use tokio::sync::Notify;

use crate::gate::{Approvals, GateError};
use crate::http::gateway::Gateway;
use crate::store::news::{Listener, News, Topic};
use crate::supervision::{Job, Rounds, Slot, supervise};

/// How long after a failure something is read again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The tasks.
pub(super) struct Replicas {
    tasks: Vec<Arc<Slot<Rounds>>>,
}

/// One word for however many edits of each topic, and for all approvals.
type Due = Arc<([Notify; Topic::ALL.len()], Notify)>;

impl Replicas {
    /// Begins to hear what others do. Where there can be no others, nothing is begun.
    pub(super) async fn follow(gateway: &Gateway) -> Self {
        let mut replicas = Self { tasks: Vec::new() };
        if Listener::begin(&gateway.store).is_none() {
            return replicas;
        }
        let due = Due::default();
        for (place, topic) in Topic::ALL.into_iter().enumerate() {
            let (gateway, due) = (gateway.clone(), due.clone());
            let begin = move || -> Job { Box::pin(keep_up(gateway.clone(), due.clone(), place, topic)) };
            replicas.run("reader of edits", begin).await;
        }
        let (of_approvals, approvals) = (due.clone(), gateway.approvals.clone());
        replicas.run("reader of answers", move || Box::pin(look(approvals.clone(), of_approvals.clone()))).await;
        let gateway = gateway.clone();
        replicas.run("listener", move || Box::pin(hear(gateway.clone(), due.clone()))).await;
        replicas
    }

    /// Hears nothing more.
    pub(super) fn stop(&self) {
        for task in &self.tasks {
            task.retire();
        }
    }

    async fn run(&mut self, name: &'static str, begin: impl Fn() -> Job + Send + Clone + 'static) {
        let make = move |sentinel| Rounds::new(sentinel, begin.clone());
        self.tasks.push(supervise(name, Arbiter::current(), make).await);
    }
}

async fn hear(gateway: Gateway, due: Due) {
    let Some(mut listener) = Listener::begin(&gateway.store) else { return };
    loop {
        match listener.next().await {
            News::Edited(topic) => {
                let place = Topic::ALL.into_iter().position(|known| known == topic);
                if let Some(due) = place.and_then(|place| due.0.get(place)) {
                    due.notify_one();
                }
            }
            News::Settled(id) => {
                // beside: a call waits for it, and other news may stand behind
                let approvals = gateway.approvals.clone();
                actix_rt::spawn(async move { tell(approvals.look(&id).await) });
            }
            News::Look => due.1.notify_one(),
        }
    }
}

async fn look(approvals: Approvals, due: Due) {
    loop {
        due.1.notified().await;
        tell(approvals.look_at_all().await);
    }
}

fn tell(looked: Result<(), GateError>) {
    if let Err(error) = looked {
        tracing::debug!(error = %crate::chain(&error), "answers given to other gateways can't be read; the next look is in a second");
    }
}

async fn keep_up(gateway: Gateway, due: Due, place: usize, topic: Topic) {
    let Some(due) = due.0.get(place) else { return };
    loop {
        due.notified().await;
        while let Err(why) = read(&gateway, topic).await {
            tracing::error!(?topic, why, "what another gateway edited can't be read, and does not hold here yet");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

async fn read(gateway: &Gateway, topic: Topic) -> Result<(), String> {
    match topic {
        Topic::Agents => gateway.keyring.reload().await.map_err(|error| crate::chain(&error))?,
        Topic::Credentials => gateway.registry.reread_logins().await,
        Topic::Rules => gateway.gate.reload().await.map(drop).map_err(|error| crate::chain(&error))?,
        Topic::Servers => gateway.registry.nudge().await,
    }
    Ok(())
}
