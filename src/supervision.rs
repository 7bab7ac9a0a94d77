//! Brings an actor back after it died, by making a new one.
//!
//! `actix::Supervisor` is not enough: it does not notice a panic (the address is closed for good) and it has no backoff.
//! Here an actor holds a [`Sentinel`]; when the actor is gone, for whatever reason, the sentinel is dropped with it,
//! unwinding included, and the supervisor makes a fresh actor from its factory. The old state is not kept: a fresh actor
//! reads the truth anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle, Context};
use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use crate::backoff::Backoff;

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

    /// The actor's next end is wanted: it is not made again.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// How often the actor was made again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }
}

/// Starts an actor on `arbiter` and keeps it there until the slot is dropped or the arbiter ends.
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
                let Some(slot) = slot.upgrade() else { return };
                slot.address.store(None);
                if slot.is_retired.load(Ordering::Acquire) {
                    return;
                }
                if born.elapsed() > WELL_AFTER {
                    backoff.reset();
                }
                let delay = backoff.fail();
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(actor = name, delay_ms, "an actor ended; it is made again");
                tokio::time::sleep(delay).await;
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
