//! The older way over HTTP (2024-11-05): one stream that all messages come by, and an address that messages are posted
//! to, which the stream names first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::error::HttpError;
use super::events::Events;
use super::remote::Remote;
use crate::egress::Answer;
use crate::egress::http::{Method, Uri};
use crate::mcp::envelope::{self, Message};
use crate::upstream::error::UpstreamError;
use crate::upstream::wire::{Ended, Origin, Wire};

/// The address must have been named within this time.
const NAMED_WITHIN: Duration = Duration::from_secs(10);
/// A message must have been taken within this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Most messages that are posted at once.
const POSTS_MAX: usize = 64;

/// An open pair: the stream, what was read of it, and the address.
pub(in crate::upstream) struct Pair {
    stream: Answer,
    events: Events,
    address: Uri,
}

impl Remote {
    /// Opens the stream and waits for the address.
    pub(in crate::upstream) async fn open_pair(&self) -> Result<Pair, HttpError> {
        let opened = tokio::time::timeout(NAMED_WITHIN, async {
            let mut stream = self.open_stream(None).await?;
            let mut events = Events::new(self.bytes_max);
            loop {
                let chunk = stream.chunk().await?.ok_or(HttpError::NoAnswer)?;
                events.push(&chunk).map_err(|_| HttpError::NoAnswer)?;
                while let Some(event) = events.next() {
                    if event.name == "endpoint" {
                        let address = self.resolve(&event.data)?;
                        return Ok(Pair { stream, events, address });
                    }
                }
            }
        });
        opened.await.unwrap_or(Err(HttpError::NoAnswer))
    }

    /// The address as it stands in the stream, relative to the base URL. It must be the same server's: the credential goes
    /// there, too.
    fn resolve(&self, named: &str) -> Result<Uri, HttpError> {
        let bad = |reason: &str| HttpError::Url {
            reason: format!("the server names {:?} to post to: {reason}", self.quoted(named)),
        };
        let base = url::Url::parse(&self.url.to_string()).map_err(|error| bad(&error.to_string()))?;
        let address = base.join(named.trim()).map_err(|error| bad(&error.to_string()))?;
        if address.origin() != base.origin() {
            return Err(bad("that is another server"));
        }
        address.as_str().parse().map_err(|_| bad("that is no address"))
    }

    /// Carries messages both ways until the stream ends.
    pub(in crate::upstream) async fn carry(
        self: &Arc<Self>,
        wire: &Arc<Wire>,
        pair: Pair,
        messages: mpsc::Receiver<String>,
    ) {
        let Pair { mut stream, mut events, address } = pair;
        let writer = actix_rt::spawn(write(self.clone(), wire.clone(), address, messages));
        loop {
            while let Some(event) = events.next() {
                if event.is_message() && self.take(wire, Origin::Unknown, event.data).is_err() {
                    tracing::debug!("a server sent an event that is no message");
                }
            }
            match stream.chunk().await {
                Ok(Some(chunk)) if events.push(&chunk).is_ok() => {}
                Ok(_) | Err(_) => break,
            }
            // One that never stops talking shares this thread with all others.
            tokio::task::yield_now().await;
        }
        writer.abort();
        wire.end(Ended::Hung);
    }
}

/// Posts each message by itself: an agent's answer must not wait for the request that asks for it.
async fn write(remote: Arc<Remote>, wire: Arc<Wire>, address: Uri, mut messages: mpsc::Receiver<String>) {
    let places = Arc::new(Semaphore::new(POSTS_MAX));
    while let (Ok(place), Some(message)) = (places.clone().acquire_owned().await, messages.recv().await) {
        let (remote, wire, address) = (remote.clone(), wire.clone(), address.clone());
        actix_rt::spawn(async move {
            let _held_to_the_end = place;
            let id = request_id(&message);
            let posted = tokio::time::timeout(TAKEN_WITHIN, remote.post_to(&address, message)).await;
            let failed = match posted {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.into(),
                Err(_) => UpstreamError::TimedOut { seconds: TAKEN_WITHIN.as_secs() },
            };
            if let Some(id) = id {
                wire.fail(id, failed);
            } else {
                tracing::debug!(error = %failed, "a message could not be passed on");
            }
        });
    }
}

fn request_id(message: &str) -> Option<u64> {
    match envelope::parse(message) {
        Ok(Message::Request { id, .. }) => id.get().parse().ok(),
        _ => None,
    }
}

impl Remote {
    async fn post_to(&self, address: &Uri, message: String) -> Result<(), HttpError> {
        let answer: Answer = self.send_to(address, Method::POST, Vec::new(), Some(message)).await?;
        match answer.status() {
            200..=299 => {
                answer.finish();
                Ok(())
            }
            status => {
                let refused = self.plain(status, &answer);
                self.observe(&refused);
                Err(refused)
            }
        }
    }
}
