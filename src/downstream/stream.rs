//! The messages on their way to one reader: queue, replay buffer and back-pressure in one.
//!
//! Messages are kept until the bound, whether they were read or not: so a reader that lost its connection can come back
//! and read on from the last one that it saw. When the bound is reached, what was read is forgotten first; and when a
//! slow reader has left nothing to forget, new notifications are dropped. Answers and questions are never dropped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::upstream::Sink;

/// Most messages kept.
const EVENTS_MAX: usize = 256;
/// Most bytes kept.
const BYTES_MAX: usize = 256 * 1024;

/// An answer that is bigger than that is kept for this long, for a reader whose connection broke.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// Streams are numbered across the process; an event's id names its stream.
static NEXT_STREAM: AtomicU64 = AtomicU64::new(1);

/// A message, and its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// From 1.
    pub seq: u64,
    /// The message's text.
    pub text: Arc<str>,
}

/// One stream of messages.
#[derive(Debug)]
pub struct EventStream {
    id: u64,
    state: Mutex<State>,
    changed: Notify,
    /// Notified when something was read.
    drained: Notify,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and none follows from another")]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    last_seq: u64,
    /// The last one that a reader took.
    read_seq: u64,
    is_finished: bool,
    finished_at: Option<Instant>,
    /// The answer must come as a stream, though there is nothing to read yet.
    is_opened: bool,
    /// Counts readers; an older one ends when a newer one comes.
    reader: u64,
    has_reader: bool,
    /// A session's stream: it may have no reader.
    is_standing: bool,
    /// The agent takes a single message only.
    is_mute: bool,
    status: u16,
}

impl EventStream {
    /// The stream of one request: its reader is there.
    #[must_use]
    pub fn of_request() -> Arc<Self> {
        Arc::new(Self::new(false))
    }

    /// A session's stream for what belongs to no request: a reader may come.
    #[must_use]
    pub fn standing() -> Arc<Self> {
        Arc::new(Self::new(true))
    }

    fn new(is_standing: bool) -> Self {
        Self {
            id: NEXT_STREAM.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                events: VecDeque::new(),
                bytes: 0,
                last_seq: 0,
                read_seq: 0,
                is_finished: false,
                finished_at: None,
                is_opened: false,
                reader: 0,
                has_reader: false,
                is_standing,
                is_mute: false,
                status: 200,
            }),
            changed: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// The stream's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Adds a message that must arrive.
    pub fn push(&self, text: impl Into<Arc<str>>) {
        self.add(text.into(), false);
    }

    /// Ends the stream with an answer, and the HTTP status for the case that it is the only message.
    pub fn finish_with(&self, status: u16, text: String) {
        self.state().status = status;
        self.finish(Some(text));
    }

    /// The HTTP status of an answer that is one message.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.state().status
    }

    /// The answer alone, for an agent that can't read a stream. Empty when there was none.
    pub async fn last_message(&self) -> Arc<str> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.is_finished {
                    return state.events.back().map_or_else(|| "".into(), |event| event.text.clone());
                }
            }
            changed.await;
        }
    }

    /// Ends the stream, with a last message if there is one.
    pub fn finish(&self, text: Option<String>) {
        if let Some(text) = text {
            self.add(text.into(), false);
        }
        let mut state = self.state();
        state.is_finished = true;
        state.finished_at = Some(Instant::now());
        drop(state);
        self.changed.notify_waiters();
    }

    /// Says that the agent takes a single message only: nothing can be asked over this stream.
    pub fn mute(&self) {
        self.state().is_mute = true;
    }

    /// How many bytes are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Whether it is bigger than what is kept of an open stream, was read, and is finished since a while.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let state = self.state();
        state.bytes > BYTES_MAX
            && state.read_seq == state.last_seq
            && state.finished_at.is_some_and(|at| at.elapsed() > STALE_AFTER)
    }

    /// Says that the answer is to be a stream, though nothing is there to be read yet.
    pub fn open(&self) {
        self.state().is_opened = true;
        self.changed.notify_waiters();
    }

    /// Whether nothing more will come.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state().is_finished
    }

    /// Whether somebody reads.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        self.state().has_reader
    }

    /// The event after which a new reader finds what nobody has read.
    #[must_use]
    pub fn unread_from(&self) -> u64 {
        self.state().read_seq
    }

    /// Waits for the reader to go away.
    pub async fn left(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.reader > 0 && !state.has_reader {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Waits until somebody reads.
    pub async fn has_come(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_reader() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the reader has been away for `grace` without another one coming.
    pub async fn abandoned(&self, grace: Duration) {
        loop {
            self.left().await;
            tokio::time::sleep(grace).await;
            if !self.has_reader() {
                return;
            }
        }
    }

    /// The whole answer, when it is one message and no more; `None` when it has to be a stream.
    pub async fn only_message(&self) -> Option<Arc<str>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.is_opened || state.events.len() > 1 || (!state.is_finished && !state.events.is_empty()) {
                    return None;
                }
                if state.is_finished {
                    return state.events.front().map(|event| event.text.clone());
                }
            }
            changed.await;
        }
    }

    /// Whether a reader has left so much unread that there should be no more for now.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        let state = self.state();
        let unread = state.events.iter().filter(|event| event.seq > state.read_seq);
        let (count, bytes) = unread.fold((0, 0), |(count, bytes), event| (count + 1, bytes + event.text.len()));
        state.has_reader && (count > EVENTS_MAX / 2 || bytes > BYTES_MAX / 2)
    }

    /// Waits until enough was read, or the reader is gone.
    pub async fn has_room(&self) {
        loop {
            let (drained, changed) = (self.drained.notified(), self.changed.notified());
            tokio::pin!(drained, changed);
            drained.as_mut().enable();
            changed.as_mut().enable();
            if !self.is_crowded() {
                return;
            }
            tokio::select! {
                () = drained => {}
                () = changed => {}
            }
        }
    }

    /// A reader of everything after `seq`; one that reads already is ended.
    pub fn read_after(self: &Arc<Self>, seq: u64) -> Reader {
        let mut state = self.state();
        state.reader += 1;
        state.has_reader = true;
        let reader = Reader { stream: self.clone(), number: state.reader, seq };
        drop(state);
        self.changed.notify_waiters();
        reader
    }

    fn add(&self, text: Arc<str>, is_droppable: bool) -> bool {
        let mut state = self.state();
        if state.is_finished {
            return false;
        }
        while state.events.len() >= EVENTS_MAX || state.bytes + text.len() > BYTES_MAX {
            match state.events.front() {
                Some(oldest) if oldest.seq <= state.read_seq => {
                    state.bytes -= oldest.text.len();
                    state.events.pop_front();
                }
                Some(_) if is_droppable => return false,
                _ => break,
            }
        }
        state.last_seq += 1;
        state.bytes += text.len();
        let seq = state.last_seq;
        state.events.push_back(Event { seq, text });
        drop(state);
        self.changed.notify_waiters();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for EventStream {
    fn notify(&self, message: String) {
        self.add(message.into(), true);
    }

    fn room(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.is_crowded().then(|| Box::pin(self.has_room()) as _)
    }

    fn ask(&self, message: String) -> bool {
        let can_be_heard = {
            let state = self.state();
            !state.is_mute && (!state.is_standing || state.has_reader)
        };
        can_be_heard && self.add(message.into(), false)
    }
}

/// Reads one stream. Dropping it is how a stream learns that its reader left.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<EventStream>,
    number: u64,
    seq: u64,
}

impl Reader {
    /// The next message; `None` when there will be none for this reader.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let changed = self.stream.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.stream.state();
                if state.reader != self.number {
                    return None;
                }
                if let Some(event) = state.events.iter().find(|event| event.seq > self.seq).cloned() {
                    self.seq = event.seq;
                    state.read_seq = state.read_seq.max(event.seq);
                    drop(state);
                    self.stream.drained.notify_waiters();
                    return Some(event);
                }
                if state.is_finished {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// The id by which a later GET asks for what came after the event `seq`.
    #[must_use]
    pub fn event_id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.stream.id)
    }

    /// After which event this reader began.
    #[must_use]
    pub fn began_after(&self) -> u64 {
        self.seq
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.stream.state();
        if state.reader == self.number {
            state.has_reader = false;
            drop(state);
            self.stream.changed.notify_waiters();
        }
    }
}

/// The stream's number and the event's place in it, from an event id of ours.
#[must_use]
pub(super) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (stream, seq) = id.split_once('-')?;
    Some((stream.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_message_alone_is_a_plain_answer_and_anything_before_it_makes_a_stream() {
        let stream = EventStream::of_request();
        stream.finish(Some("answer".into()));
        assert_eq!(stream.only_message().await.as_deref(), Some("answer"));
        let stream = EventStream::of_request();
        stream.notify("progress".into());
        assert_eq!(stream.only_message().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_reads_on_where_it_was() {
        let stream = EventStream::of_request();
        stream.push("one");
        stream.push("two");
        let mut reader = stream.read_after(0);
        assert_eq!(reader.next().await.map(|event| event.seq), Some(1));
        drop(reader);
        stream.finish(Some("three".into()));
        let mut reader = stream.read_after(1);
        assert_eq!(&*reader.next().await.unwrap().text, "two");
        assert_eq!(&*reader.next().await.unwrap().text, "three");
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test]
    async fn a_newer_reader_ends_the_older_one() {
        let stream = EventStream::standing();
        let mut old = stream.read_after(0);
        let mut new = stream.read_after(0);
        assert_eq!(old.next().await, None);
        stream.push("for the new one");
        assert!(new.next().await.is_some());
    }

    #[tokio::test]
    async fn a_slow_reader_costs_bounded_memory_and_still_gets_its_answer() {
        let stream = EventStream::of_request();
        for _ in 0..10_000 {
            stream.notify("x".repeat(1000));
        }
        stream.finish(Some("answer".into()));
        let state = stream.state();
        assert!(state.events.len() <= EVENTS_MAX + 1 && state.bytes <= BYTES_MAX + 10);
        assert_eq!(state.events.back().map(|event| &*event.text), Some("answer"));
    }

    #[tokio::test]
    async fn who_writes_waits_for_who_reads_and_not_for_who_is_gone() {
        let stream = EventStream::of_request();
        let mut reader = stream.read_after(0);
        while stream.room().is_none() {
            stream.notify("x".repeat(1000));
        }
        let last = stream.state().last_seq;
        let waits = tokio::spawn({
            let stream = stream.clone();
            async move { stream.has_room().await }
        });
        reader.next().await;
        waits.await.unwrap();
        assert!(stream.state().last_seq == last && stream.room().is_none());
        while stream.room().is_none() {
            stream.notify("x".repeat(1000));
        }
        drop(reader);
        stream.has_room().await;
    }

    #[tokio::test]
    async fn nobody_can_be_asked_over_a_standing_stream_without_a_reader() {
        let stream = EventStream::standing();
        assert!(!stream.ask("question".into()));
        let _reader = stream.read_after(0);
        assert!(stream.ask("question".into()));
    }
}
