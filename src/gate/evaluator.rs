//! The rule evaluator: one actor that compiles the rules and publishes them, and the [`Gate`] that others hold.
//!
//! The actor is the only writer of what is published. It reads the whole rule set from the store each time, whatever the
//! edit was: the same path serves start, edit and recovery. If it can't read or compile the rules it publishes nothing,
//! and with nothing published everything is denied, until a later try succeeds.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwapOption;

use super::call::Call;
use super::decision::Decision;
use super::error::GateError;
use super::hints::Hints;
use super::hits::Counts;
use super::pins::{Pins, Seen};
use super::rule::Action;
use super::rule_set::RuleSet;
use crate::clock;
use crate::store::{self, Store, StoreError};
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
    RuleSet::of(&store::rule::load_rule_set(store).await?)
}

/// The face of the evaluator.
#[derive(Clone)]
pub struct Gate {
    published: Published,
    evaluator: Arc<Slot<Evaluator>>,
    counts: Arc<Counts>,
    hints: Hints,
    pins: Pins,
}

impl Gate {
    /// Starts the evaluator on `arbiter` and waits for the first rule set.
    ///
    /// # Errors
    /// The rules can't be loaded.
    pub async fn start(store: Store, arbiter: ArbiterHandle) -> Result<Self, GateError> {
        let published = Published::default();
        let pins = Pins::load(store.clone()).await?;
        let counts = Counts::start(store.clone());
        let evaluator = supervise("evaluator", arbiter, {
            let published = published.clone();
            move |sentinel| Evaluator { store: store.clone(), published: published.clone(), _sentinel: sentinel }
        })
        .await;
        let gate = Self { published, evaluator, counts, hints: Hints::default(), pins };
        gate.reload().await?;
        Ok(gate)
    }

    /// Decides. Total: with no rule set, the answer is no.
    #[must_use]
    pub fn decide(&self, call: &Call) -> Decision {
        match &*self.published.load() {
            Some(rule_set) => rule_set.evaluate(&self.informed(rule_set, call), clock::now_ms()),
            None => Decision::unavailable(),
        }
    }

    /// Decides about a call of the server with that id, with what is known of its tool: a tool that is held is called on
    /// the rules' word alone only if that is a no.
    #[must_use]
    pub fn decide_with(&self, call: &Call, server_id: &str, seen: Seen<'_>) -> Decision {
        self.hold(self.decide(call), call, server_id, seen)
    }

    /// The same, where the rules have decided.
    #[must_use]
    pub fn hold(&self, decision: Decision, call: &Call, server_id: &str, seen: Seen<'_>) -> Decision {
        decision.held(self.pins.held(call, server_id, seen))
    }

    /// Whether an agent is shown the thing that `call` would use, with arguments that are not known yet: all but what
    /// would be denied with any.
    #[must_use]
    pub fn shows(&self, rule_set: &RuleSet, call: &Call, server_id: &str, now_ms: i64) -> bool {
        let held = self.pins.held(call, server_id, Seen::NotYet);
        held.is_none_or(|(_, action)| action != Action::Deny) && rule_set.shows(call, now_ms)
    }

    /// What tools are held to be.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// What is decided by now; `None` while it can be nothing else than what was decided at `at_ms`, because neither the
    /// rules nor the time are others.
    #[must_use]
    pub fn reconsider(&self, call: &Call, decided: &Decision, at_ms: i64) -> Option<Decision> {
        let revision = self.published.load().as_ref().map_or(0, |rule_set| rule_set.revision);
        let stands = revision == decided.revision && clock::now_ms() == at_ms;
        (!stands).then(|| self.decide(call))
    }

    /// The call, with what the server last claimed of its tool. A prompt or a resource that is called like a tool is none.
    #[must_use]
    pub fn informed<'c>(&self, rule_set: &RuleSet, call: &'c Call) -> Cow<'c, Call> {
        let is_wanted = rule_set.reads_hints() && call.hints.is_none() && call.method == "tools/call";
        let tool = call.tool.as_deref().filter(|_| is_wanted);
        match tool.and_then(|tool| self.hints.find(&call.server, tool)) {
            Some(hints) => Cow::Owned(Call { hints: Some(hints), ..call.clone() }),
            None => Cow::Borrowed(call),
        }
    }

    /// Keeps what a server's list claims of its tools: pairs of a tool and the text of its annotations.
    pub fn keep_hints<'t>(&self, server: &str, tools: impl Iterator<Item = (String, Option<&'t str>)>) {
        self.hints.keep(server, tools);
    }

    /// Forgets what a server claimed: another one of that name has claimed nothing.
    pub fn forget_hints(&self, server: &str) {
        self.hints.forget(server);
    }

    /// Counts a decision that a call was taken by.
    pub fn count(&self, decision: &Decision) {
        let now_ms = clock::now_ms();
        let shadow = decision.shadow.as_ref().map(|shadow| &shadow.rule_id);
        for rule_id in decision.rule_id.iter().chain(shadow) {
            self.counts.add(rule_id, now_ms);
        }
    }

    /// How many calls a rule decided beyond what is stored, and when the last was (ms).
    #[must_use]
    pub fn uncounted(&self, rule_id: &str) -> Option<(i64, i64)> {
        self.counts.of(rule_id)
    }

    /// Writes how often rules decided, which otherwise happens once a minute.
    ///
    /// # Errors
    /// The store failed; nothing is lost by that.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.counts.flush().await
    }

    /// The published rule set; `None` when there is none and everything is denied.
    #[must_use]
    pub fn rule_set(&self) -> Option<Arc<RuleSet>> {
        self.published.load_full()
    }

    /// Makes the evaluator read the store, and reads the pins; returns when every later call is decided by what was read.
    ///
    /// # Errors
    /// The rules can't be loaded (everything is denied then), or the evaluator is being restarted.
    pub async fn reload(&self) -> Result<i64, GateError> {
        self.pins.reload().await?;
        let evaluator = self.evaluator.address().ok_or(GateError::EvaluatorDown)?;
        evaluator.send(Reload).await.map_err(|_| GateError::EvaluatorDown)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Action, Arguments};

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
        let list = Call {
            agent: "ann".into(),
            server: "n".into(),
            method: "tools/list".into(),
            tool: None,
            arguments: Arguments::None,
            hints: None,
        };
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
