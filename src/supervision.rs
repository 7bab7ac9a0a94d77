//! Brings an actor back after it died, by making a new one.
//!
//! `actix::Supervisor` is not enough: it does not notice a panic (the address is closed for good) and it has no backoff.
//! Here an actor holds a [`Sentinel`]; when the actor is gone, for whatever reason, the sentinel is dropped with it,
//! unwinding included, and the supervisor makes a fresh actor from its factory. The old state is not kept: a fresh actor
//! reads the truth anew.

mod rounds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle, Context};
use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use crate::backoff::Backoff;

pub use rounds::{Job, Rounds};

/// First and longest delay before an actor is made again.
const DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));
/// An actor that lived this long is taken to be well: its next death starts with the first delay.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Held by a supervised actor as a field; its drop is the news of the actor's end.
#[derive(Debug)]
pub struct Sentinel(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>);

/// Where the present incarnation of an actor can be reached.
pub struct Slot<A: Actor> {
    address: ArcSwapOption<Addr<A>>,
    restarts: AtomicU64,
    is_retired: AtomicBool,
}

impl<A: Actor<Context = Context<A>>> Slot<A> {
    /// The living actor's address; `None` while it is being made again.
    pub fn address(&self) -> Option<Addr<A>> {
        self.address.load().as_deref().filter(|address| address.connected()).cloned()
    }

    /// From now on the actor's end is its end: it is not made again.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// How often the actor was made again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }
}

/// Starts an actor on `arbiter` and keeps it there until the slot is retired or dropped, or the arbiter ends.
///
/// Returns when the first incarnation has an address.
pub async fn supervise<A>(
    name: &'static str,
    arbiter: ArbiterHandle,
    make: impl Fn(Sentinel) -> A + Send + Clone + 'static,
) -> Arc<Slot<A>>
where
    A: Actor<Context = Context<A>>,
{
    let slot = Arc::new(Slot {
        address: ArcSwapOption::empty(),
        restarts: AtomicU64::new(0),
        is_retired: AtomicBool::new(false),
    });
    let gone = incarnate(&slot, &arbiter, make.clone()).await;
    if let Some(gone) = gone {
        let slot = Arc::downgrade(&slot);
        actix_rt::spawn(async move {
            let mut backoff = Backoff::new(DELAYS.0, DELAYS.1);
            let mut gone = gone;
            loop {
                let born = tokio::time::Instant::now();
                let _ended = gone.await;
                let Some(slot) = slot.upgrade().filter(|slot| !slot.is_retired()) else { return };
                slot.address.store(None);
                if born.elapsed() > WELL_AFTER {
                    backoff.reset();
                }
                let delay = backoff.fail();
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(actor = name, delay_ms, "an actor ended; it is made again");
                tokio::time::sleep(delay).await;
                if slot.is_retired() {
                    return;
                }
                slot.restarts.fetch_add(1, Ordering::Relaxed);
                match incarnate(&slot, &arbiter, make.clone()).await {
                    Some(next) => gone = next,
                    None => return,
                }
            }
        });
    }
    slot
}

async fn incarnate<A>(
    slot: &Slot<A>,
    arbiter: &ArbiterHandle,
    make: impl Fn(Sentinel) -> A + Send + 'static,
) -> Option<oneshot::Receiver<()>>
where
    A: Actor<Context = Context<A>>,
{
    let (sentinel, gone) = oneshot::channel();
    let (started, address) = oneshot::channel();
    let is_running = arbiter.spawn_fn(move || {
        let _ = started.send(make(Sentinel(sentinel)).start());
    });
    if !is_running {
        return None;
    }
    slot.address.store(address.await.ok().map(Arc::new));
    Some(gone)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use actix::{Context, Handler, Message};

    use super::*;

    #[derive(Message)]
    #[rtype(result = "u64")]
    struct Count;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct End;

    struct Counter {
        count: u64,
        _sentinel: Sentinel,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Handler<Count> for Counter {
        type Result = u64;

        fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
            self.count += 1;
            self.count
        }
    }

    impl Handler<Panic> for Counter {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("as this test wants it");
        }
    }

    impl Handler<End> for Counter {
        type Result = ();

        fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
            actix::ActorContext::stop(ctx);
        }
    }

    fn counter(sentinel: Sentinel) -> Counter {
        Counter { count: 0, _sentinel: sentinel }
    }

    async fn count(slot: &Slot<Counter>) -> Option<u64> {
        slot.address()?.send(Count).await.ok()
    }

    async fn is_back(slot: &Slot<Counter>) -> u64 {
        for _ in 0..500 {
            if let Some(count) = count(slot).await {
                return count;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came back");
    }

    #[actix_rt::test]
    async fn an_actor_that_panics_is_made_anew_and_costs_its_neighbour_nothing() {
        let arbiter = actix_rt::Arbiter::new();
        let mad = supervise("mad", arbiter.handle(), counter).await;
        let calm = supervise("calm", arbiter.handle(), counter).await;
        assert_eq!((count(&mad).await, count(&calm).await), (Some(1), Some(1)));
        for restarts in 1..4 {
            assert!(mad.address().unwrap().send(Panic).await.is_err());
            assert_eq!(is_back(&mad).await, 1, "it knows nothing of the one before");
            assert_eq!(mad.restarts(), restarts);
        }
        assert_eq!((count(&calm).await, calm.restarts()), (Some(2), 0));
        arbiter.stop();
    }

    #[actix_rt::test]
    async fn a_panic_while_it_is_made_is_only_one_more_death() {
        let deaths = Arc::new(Mutex::new(2));
        let made = deaths.clone();
        let slot = supervise("late", actix_rt::Arbiter::current(), move |sentinel| {
            let mut left = made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if *left > 0 {
                *left -= 1;
                drop(left);
                panic!("as this test wants it");
            }
            counter(sentinel)
        })
        .await;
        assert!(count(&slot).await.is_none());
        assert_eq!(is_back(&slot).await, 1);
    }

    #[actix_rt::test]
    async fn an_actor_that_was_retired_stays_away() {
        let slot = supervise("retired", actix_rt::Arbiter::current(), counter).await;
        slot.retire();
        slot.address().unwrap().send(End).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((count(&slot).await, slot.restarts()), (None, 0));
    }
}
