//! Which resources are subscribed to on a connection that several listeners share: the server is told of the first who
//! wants to hear of one, and of the last who no longer does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::connection::Connection;
use super::error::UpstreamError;
use super::wire::{Reply, Ticket};
use crate::gate::Permit;

/// By URI. Legacy servers alone: a modern one is told by the request that listens.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, Seat>>);

/// What is known of one resource.
#[derive(Default)]
struct Seat {
    holders: usize,
    told: Arc<Told>,
}

/// Whether the server was told.
#[derive(Default)]
struct Told {
    /// One asks, the others wait for what comes of it.
    turn: tokio::sync::Mutex<()>,
    /// It may know of the subscription: it said yes, or has not answered.
    may_be: AtomicBool,
    is_agreed: AtomicBool,
}

impl Subscriptions {
    fn seats(&self) -> MutexGuard<'_, HashMap<String, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_seat(&self, uri: &str) -> Arc<Told> {
        let mut seats = self.seats();
        let seat = seats.entry(uri.to_owned()).or_default();
        seat.holders += 1;
        seat.told.clone()
    }
}

/// Somebody wants to hear of a resource. When the last one drops it, the server is told.
pub struct Subscription {
    connection: Arc<Connection>,
    uri: String,
}

impl Subscription {
    /// The resource.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether it is one of that connection's.
    #[must_use]
    pub fn is_of(&self, connection: &Arc<Connection>) -> bool {
        Arc::ptr_eq(&self.connection, connection)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Under the lock, so that whoever comes next is heard by the server after this.
        let mut seats = self.connection.subscriptions.seats();
        let Some(seat) = seats.get_mut(&self.uri) else { return };
        seat.holders -= 1;
        if seat.holders > 0 {
            return;
        }
        if seat.told.may_be.load(Ordering::Acquire) {
            self.connection.take_back("resources/unsubscribe", json!({ "uri": self.uri }).to_string());
        }
        seats.remove(&self.uri);
    }
}

impl Connection {
    /// Subscribes to a resource at a legacy server, or joins those who have: then the answer is what they were given.
    ///
    /// # Errors
    /// No answer; the error says whether the request may have been read.
    pub async fn subscribe(
        self: &Arc<Self>,
        permit: Permit,
        uri: &str,
        ticket: Ticket,
    ) -> Result<(Reply, Subscription), UpstreamError> {
        let told = self.subscriptions.take_seat(uri);
        let subscription = Subscription { connection: self.clone(), uri: uri.to_owned() };
        let _turn = told.turn.lock().await;
        if told.is_agreed.load(Ordering::Acquire) {
            drop(permit);
            return Ok((Reply::Result("{}".into()), subscription));
        }
        told.may_be.store(true, Ordering::Release);
        let params = json!({ "uri": uri }).to_string();
        let reply = self.call(permit, "resources/subscribe", Some(&params), ticket).await?;
        let is_agreed = matches!(reply, Reply::Result(_));
        told.may_be.store(is_agreed, Ordering::Release);
        told.is_agreed.store(is_agreed, Ordering::Release);
        Ok((reply, subscription))
    }
}
