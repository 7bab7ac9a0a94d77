//! Finds what is to be told, and has it told.
//!
//! It takes no input: it looks at all approvals that wait and all channels, adds what is missing, and claims what is due.
//! It looks when a question was written, when a channel was edited, when something was sent, and every two seconds. Each
//! channel has a few places of its own for what is on its way, so that one that is slow or fails keeps up nobody else.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::Notifier;
use super::channel::Scope;
use super::notice::Notice;
use super::send::{self, Failure};
use crate::backoff::Backoff;
use crate::clock;
use crate::store::channel::Row as Channel;
use crate::store::delivery::{self, Outcome, Row, Wanted};
use crate::store::{self, StoreError, approval};

/// How often it looks without being told to.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many approvals are read in one step.
const OPEN_MAX: u64 = 500;
/// How many messages of one channel are on their way at once.
const PLACES: usize = 4;
/// How often one is tried at most.
const TRIES_MAX: i64 = 30;
/// First and longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How much longer than it may take a message is claimed for: for writing down what came of it.
const SPARE: Duration = Duration::from_secs(10);

/// What is on its way by a channel, and until when (ms) it wants to be left alone.
#[derive(Default)]
struct Lane {
    on_its_way: usize,
    rests_until: i64,
}

/// What came of a message.
struct Done {
    channel_id: String,
    pause: Option<Duration>,
}

/// Tells whatever there is to tell, for as long as the gateway runs.
pub(super) async fn keep(notifier: Notifier, mut asked: watch::Receiver<()>) {
    let mut lanes: HashMap<String, Lane> = HashMap::new();
    let mut sending = FuturesUnordered::new();
    let (mut has_news, mut is_failing) = (true, false);
    while !notifier.is_stopped() {
        match step(&notifier, &mut lanes, has_news).await {
            Ok(claimed) => {
                sending.extend(claimed.into_iter().map(|(channel, row)| begin(notifier.clone(), channel, row)));
                is_failing = false;
            }
            // once for each time that it begins
            Err(error) if !is_failing => {
                tracing::warn!(error = %crate::chain(&error), "what is to be told can't be read; it is tried again");
                is_failing = true;
            }
            Err(_) => {}
        }
        has_news = tokio::select! {
            Some(done) = sending.next(), if !sending.is_empty() => {
                is_back(&mut lanes, &done);
                false
            }
            () = question(&mut asked) => true,
            () = notifier.inner.nudged.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => true,
        };
    }
}

/// On a task of its own: while this one waits for its turn to write, the others must be able to give theirs back. One that
/// panics has its place given back, too, and is sent again when its claim is over.
fn begin(notifier: Notifier, channel: Channel, row: Row) -> impl Future<Output = Done> {
    let channel_id = channel.id.clone();
    let told = actix_rt::spawn(tell(notifier, channel, row));
    async move { told.await.unwrap_or(Done { channel_id, pause: None }) }
}

async fn step(
    notifier: &Notifier,
    lanes: &mut HashMap<String, Lane>,
    has_news: bool,
) -> Result<Vec<(Channel, Row)>, StoreError> {
    if has_news {
        look(notifier).await?;
    }
    claim(notifier, lanes).await
}

async fn question(asked: &mut watch::Receiver<()>) {
    if asked.changed().await.is_err() {
        // nobody asks any more
        std::future::pending::<()>().await;
    }
}

fn is_back(lanes: &mut HashMap<String, Lane>, done: &Done) {
    let lane = lanes.entry(done.channel_id.clone()).or_default();
    lane.on_its_way = lane.on_its_way.saturating_sub(1);
    if let Some(pause) = done.pause {
        lane.rests_until = later(clock::now_ms(), pause);
    }
}

/// Adds each approval that waits to each channel that is for it, and ends what nobody needs any more.
async fn look(notifier: &Notifier) -> Result<(), StoreError> {
    let (store, now) = (&notifier.inner.store, clock::now_ms());
    let ended = delivery::end_answered(store, now).await?;
    if ended > 0 {
        tracing::debug!(ended, "notices were not needed any more");
    }
    let channels: Vec<_> = scopes(store::channel::load_enabled(store).await?);
    if channels.is_empty() {
        return Ok(());
    }
    let mut after: Option<String> = None;
    loop {
        let open = approval::list_open(store, after.as_deref(), now, OPEN_MAX).await?;
        let ids: Vec<_> = open.iter().map(|open| open.id.as_str()).collect();
        let known = delivery::known(store, &ids).await?;
        let mut wanted = Vec::new();
        for (channel, scope) in &channels {
            for open in open.iter().filter(|open| scope.covers(&open.agent, &open.server)) {
                let pair = (channel.id.clone(), open.id.clone());
                if !known.contains(&pair) {
                    let next_at = open.created_at.saturating_add(channel.delay_seconds.saturating_mul(1_000));
                    wanted.push(Wanted { channel_id: pair.0, approval_id: pair.1, next_at });
                }
            }
        }
        if !wanted.is_empty() {
            delivery::put(store, wanted, now).await?;
        }
        let is_last = (open.len() as u64) < OPEN_MAX;
        after = open.into_iter().last().map(|open| open.id);
        if is_last || after.is_none() {
            return Ok(());
        }
    }
}

/// A channel that can't be read tells nothing; that it is so is seen where it is shown.
fn scopes(channels: Vec<Channel>) -> Vec<(Channel, Scope)> {
    let read = |channel: Channel| match Scope::of(&channel) {
        Ok(scope) => Some((channel, scope)),
        Err(error) => {
            tracing::warn!(channel = channel.name, "for whom this channel is can't be read: {error}");
            None
        }
    };
    channels.into_iter().filter_map(read).collect()
}

/// Claims what is due, as far as the channels have places.
async fn claim(notifier: &Notifier, lanes: &mut HashMap<String, Lane>) -> Result<Vec<(Channel, Row)>, StoreError> {
    let (store, now) = (&notifier.inner.store, clock::now_ms());
    let mut all = Vec::new();
    for channel in store::channel::load_enabled(store).await? {
        let lane = lanes.entry(channel.id.clone()).or_default();
        let places = PLACES.saturating_sub(lane.on_its_way);
        if places == 0 || lane.rests_until > now {
            continue;
        }
        let due = delivery::due(store, &channel.id, now, places as u64).await?;
        if due.is_empty() {
            continue;
        }
        let until = later(now, send::within(&channel) + SPARE);
        let claimed = delivery::claim(store, due, now, until).await?;
        lane.on_its_way += claimed.len();
        all.extend(claimed.into_iter().map(|row| (channel.clone(), row)));
    }
    Ok(all)
}

/// Sends one that was claimed, if it is still needed, and writes down what came of it.
async fn tell(notifier: Notifier, channel: Channel, row: Row) -> Done {
    let (outcome, pause) = attempt(&notifier, &channel, &row).await;
    let (result, problem) = match &outcome {
        Outcome::Sent => ("sent", None),
        Outcome::Again(why, _) => ("retried", Some(why.as_str())),
        Outcome::Failed(why, _) => ("failed", Some(why.as_str())),
        Outcome::Withdrawn => ("withdrawn", None),
    };
    notifier.inner.metrics.notified(&channel.name, result);
    match delivery::finish(&notifier.inner.store, &row, &outcome, clock::now_ms()).await {
        Ok(change) => super::log_change(&channel.name, change, problem),
        Err(error) => {
            let error = crate::chain(&error);
            tracing::warn!(channel = channel.name, %error, "what came of a notice can't be written; it is sent again");
        }
    }
    Done { channel_id: channel.id, pause }
}

async fn attempt(notifier: &Notifier, channel: &Channel, row: &Row) -> (Outcome, Option<Duration>) {
    let (store, now) = (&notifier.inner.store, clock::now_ms());
    let in_words = |error: StoreError| Failure::unread(&crate::chain(&error));
    let asked = async {
        let waits = |found: &approval::Row| found.status == approval::PENDING && found.expires_at > now;
        let Some(found) = approval::find(store, &row.approval_id).await?.filter(waits) else { return Ok(None) };
        Notice::of(store, channel, &found, &notifier.inner.public_url, now).await.map(Some)
    };
    let sent = match asked.await.map_err(in_words) {
        Ok(None) => return (Outcome::Withdrawn, None),
        Ok(Some(notice)) => send::send(&notifier.inner.vault, channel, &row.id, &notice).await,
        Err(failure) => Err(failure),
    };
    let Err(failure) = sent else { return (Outcome::Sent, None) };
    if failure.is_gone || row.tries >= TRIES_MAX {
        return (Outcome::Failed(failure.problem, failure.is_gone), failure.pause);
    }
    let pause = failure.pause.unwrap_or_default().max(pause(row.tries));
    (Outcome::Again(failure.problem, later(clock::now_ms(), pause)), failure.pause)
}

/// The pause after so many tries.
fn pause(tries: i64) -> Duration {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let pauses = (0..tries.clamp(1, TRIES_MAX)).map(|_| backoff.fail());
    pauses.last().unwrap_or(PAUSES.0)
}

fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<_> = [1, 2, 3, 7, 30].map(|tries| pause(tries).as_secs_f64()).into();
        for (pause, most) in seconds.iter().zip([1.0, 2.0, 4.0, 60.0, 60.0]) {
            assert!(*pause <= most && *pause >= most * 0.74, "{seconds:?}");
        }
    }
}
