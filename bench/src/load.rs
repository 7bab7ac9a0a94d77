//! A closed loop: each caller makes its next call when the last one is answered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};

use crate::Result;

/// After the end of a measurement the last answers are waited for this long.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Makes one call after another, and checks each answer.
pub(crate) trait Caller: 'static {
    /// Makes one call.
    fn call(&mut self) -> impl Future<Output = Result<()>>;
}

/// What a measurement found.
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) calls_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

struct Shared {
    /// Calls that may still be begun.
    left: Cell<u64>,
    /// Since when calls count; before there is only warm-up.
    measured_since: Cell<Option<Instant>>,
    latencies: RefCell<Histogram<u64>>,
}

/// Lets all callers call for a while. `mark` is called where the measured part begins and where it ends.
pub(crate) async fn measure<C: Caller>(
    callers: &mut Vec<C>,
    warm_up: Duration,
    length: Duration,
    mut mark: impl FnMut() -> Result<()>,
) -> Result<Measured> {
    let shared = shared(u64::MAX)?;
    let tasks = LocalSet::new();
    let mut loops = start(&tasks, callers, &shared);
    let length = tasks
        .run_until(async {
            running(&mut loops, warm_up).await?;
            mark()?;
            let since = Instant::now();
            shared.measured_since.set(Some(since));
            running(&mut loops, length).await?;
            let length = since.elapsed();
            shared.measured_since.set(None);
            mark()?;
            shared.left.set(0);
            *callers =
                tokio::time::timeout(LAST_ANSWERS, finished(loops)).await.map_err(|_| "an answer never came")??;
            Result::Ok(length)
        })
        .await?;
    let latencies = shared.latencies.borrow();
    let calls = latencies.len();
    if calls == 0 {
        return Err("no call was answered within the measured time".into());
    }
    Ok(Measured {
        calls,
        calls_per_second: calls as f64 / length.as_secs_f64(),
        p50_us: latencies.value_at_quantile(0.50) as f64 / 1000.0,
        p99_us: latencies.value_at_quantile(0.99) as f64 / 1000.0,
    })
}

/// Makes that many calls, over all callers together.
pub(crate) async fn make<C: Caller>(callers: &mut Vec<C>, calls: u64) -> Result<()> {
    let shared = shared(calls)?;
    let tasks = LocalSet::new();
    let loops = start(&tasks, callers, &shared);
    *callers = tasks.run_until(finished(loops)).await?;
    Ok(())
}

fn shared(calls: u64) -> Result<Rc<Shared>> {
    Ok(Rc::new(Shared {
        left: Cell::new(calls),
        measured_since: Cell::new(None),
        latencies: RefCell::new(Histogram::new(3)?),
    }))
}

type Loops<C> = JoinSet<std::result::Result<C, String>>;

fn start<C: Caller>(tasks: &LocalSet, callers: &mut Vec<C>, shared: &Rc<Shared>) -> Loops<C> {
    let mut loops = JoinSet::new();
    for caller in callers.drain(..) {
        loops.spawn_local_on(call_on(caller, shared.clone()), tasks);
    }
    loops
}

async fn call_on<C: Caller>(mut caller: C, shared: Rc<Shared>) -> std::result::Result<C, String> {
    while let Some(left) = shared.left.get().checked_sub(1) {
        shared.left.set(left);
        let begun = Instant::now();
        caller.call().await.map_err(|error| error.to_string())?;
        if shared.measured_since.get().is_some_and(|since| since <= begun) {
            let _bounds_grow = shared.latencies.borrow_mut().record(begun.elapsed().as_nanos() as u64);
        }
    }
    Ok(caller)
}

/// Lets them run; the first error ends it.
async fn running<C: Caller>(loops: &mut Loops<C>, length: Duration) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        Some(ended) = loops.join_next() => match ended? {
            Ok(_) => Err("a caller stopped by itself".into()),
            Err(error) => Err(error.into()),
        },
    }
}

async fn finished<C: Caller>(mut loops: Loops<C>) -> Result<Vec<C>> {
    let mut callers = Vec::with_capacity(loops.len());
    while let Some(ended) = loops.join_next().await {
        callers.push(ended??);
    }
    Ok(callers)
}
