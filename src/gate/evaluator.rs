//! The rule evaluator: one actor that compiles the rules and publishes them, and the [`Gate`] that others hold.
//!
//! The actor is the only writer of what is published. It reads the whole rule set from the store each time, whatever the
//! edit was: the same path serves start, edit and recovery. If it can't read or compile the rules it publishes nothing,
//! and with nothing published everything is denied, until a later try succeeds.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwapOption;

use super::call::Call;
use super::decision::Decision;
use super::error::GateError;
use super::rule::{Action, Rule};
use super::rule_set::RuleSet;
use crate::store::{self, Store};
use crate::supervision::{Sentinel, Slot, supervise};

/// How long after a failed load the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Published = Arc<ArcSwapOption<RuleSet>>;

/// Read the rules and publish them. Carries nothing: what has changed is never taken from a message.
///
/// Answers with the revision that every call from now on is decided by, or why nothing could be loaded (then everything
/// is denied, and the evaluator tries again by itself).
#[derive(Message)]
#[rtype(result = "Result<i64, GateError>")]
struct Reload;

struct Evaluator {
    store: Store,
    published: Published,
    _sentinel: Sentinel,
}

impl Actor for Evaluator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(64);
        Self::try_again(ctx, Duration::ZERO);
    }
}

/// Runs while a panic unwinds, too: a dead evaluator leaves no rule set behind.
impl Drop for Evaluator {
    fn drop(&mut self) {
        self.published.store(None);
    }
}

impl Handler<Reload> for Evaluator {
    type Result = ResponseActFuture<Self, Result<i64, GateError>>;

    fn handle(&mut self, _: Reload, _: &mut Self::Context) -> Self::Result {
        let store = self.store.clone();
        Box::pin(
            async move { load(&store).await }.into_actor(self).map(|loaded, actor, ctx| actor.publish(loaded, ctx)),
        )
    }
}

impl Evaluator {
    fn publish(&self, loaded: Result<RuleSet, GateError>, ctx: &mut Context<Self>) -> Result<i64, GateError> {
        match loaded {
            Ok(rule_set) => {
                let revision = rule_set.revision;
                // Two loads may overtake each other; an older set never replaces a newer one.
                if self.published.load().as_ref().is_none_or(|present| present.revision <= revision) {
                    self.published.store(Some(Arc::new(rule_set)));
                }
                Ok(revision)
            }
            Err(error) => {
                self.published.store(None);
                tracing::error!(error = %crate::chain(&error), "the rules can't be loaded; every call is denied");
                Self::try_again(ctx, RETRY_AFTER);
                Err(error)
            }
        }
    }

    fn try_again(ctx: &mut Context<Self>, delay: Duration) {
        ctx.run_later(delay, |actor, ctx| {
            let store = actor.store.clone();
            let attempt = async move { load(&store).await }.into_actor(actor).map(|loaded, actor: &mut Self, ctx| {
                let _logged = actor.publish(loaded, ctx);
            });
            ctx.spawn(attempt);
        });
    }
}

async fn load(store: &Store) -> Result<RuleSet, GateError> {
    let stored = store::rule::load_rule_set(store).await?;
    let rules = stored.rules.iter().filter(|row| row.enabled).map(Rule::parse).collect::<Result<_, _>>()?;
    // An unknown word in the setting is not a reason to let calls through.
    let default_action = Action::parse(&stored.default_action).unwrap_or(Action::Deny);
    Ok(RuleSet::new(stored.revision, default_action, rules))
}

/// The face of the evaluator.
#[derive(Clone)]
pub struct Gate {
    published: Published,
    evaluator: Arc<Slot<Evaluator>>,
}

impl Gate {
    /// Starts the evaluator on `arbiter` and waits for the first rule set.
    ///
    /// # Errors
    /// The rules can't be loaded.
    pub async fn start(store: Store, arbiter: ArbiterHandle) -> Result<Self, GateError> {
        let published = Published::default();
        let evaluator = supervise("evaluator", arbiter, {
            let published = published.clone();
            move |sentinel| Evaluator { store: store.clone(), published: published.clone(), _sentinel: sentinel }
        })
        .await;
        let gate = Self { published, evaluator };
        gate.reload().await?;
        Ok(gate)
    }

    /// Decides. Total: with no rule set, the answer is no.
    #[must_use]
    pub fn decide(&self, call: &Call) -> Decision {
        match &*self.published.load() {
            Some(rule_set) => rule_set.evaluate(call),
            None => Decision::unavailable(),
        }
    }

    /// The published rule set; `None` when there is none and everything is denied.
    #[must_use]
    pub fn rule_set(&self) -> Option<Arc<RuleSet>> {
        self.published.load_full()
    }

    /// Makes the evaluator read the store; returns when every later call is decided by what was read.
    ///
    /// # Errors
    /// The rules can't be loaded (everything is denied then), or the evaluator is being restarted.
    pub async fn reload(&self) -> Result<i64, GateError> {
        let evaluator = self.evaluator.address().ok_or(GateError::EvaluatorDown)?;
        evaluator.send(Reload).await.map_err(|_| GateError::EvaluatorDown)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for Evaluator {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Self::Context) {
            panic!("as this test wants it");
        }
    }

    #[actix_rt::test]
    async fn an_evaluator_that_panics_denies_everything_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("atryum.db").display());
        let store = Store::open(&url).await.unwrap();
        let arbiter = Arbiter::new();
        let gate = Gate::start(store, arbiter.handle()).await.unwrap();
        let list = Call { agent: "ann".into(), server: "n".into(), method: "tools/list".into(), tool: None };
        for _ in 0..3 {
            assert_eq!(gate.decide(&list).action, Action::Allow);
            let dead = gate.evaluator.address().unwrap().send(Panic).await;
            assert!(dead.is_err());
            let is = async |action| {
                while gate.decide(&list).action != action {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            // The message is lost a moment before the actor is.
            let gone = tokio::time::timeout(Duration::from_secs(5), is(Action::Deny));
            gone.await.expect("with no evaluator there is no yes");
            let back = tokio::time::timeout(Duration::from_secs(5), is(Action::Allow));
            back.await.expect("it comes back by itself");
        }
        gate.reload().await.unwrap();
        arbiter.stop();
    }
}
