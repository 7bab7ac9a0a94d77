//! A call that its server answers with a task (2025-11-25), made for an agent that knows no such tasks: the task is asked
//! after until it is over, and its result is the call's.

use std::time::Duration;

use super::connection::Connection;
use super::error::UpstreamError;
use super::wire::{Reply, Ticket};
use crate::gate::Permit;
use crate::mcp::promise::{Promise, asking_for};
use crate::mcp::splice;
use crate::mcp::version::Era;

/// How often a server is asked that doesn't say how often it wants to be.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// However often it wants to be asked, it is no more and no less often than this.
const POLL_BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// A task that was made by a call whose permit was spent. Dropping it before it is over cancels the task.
pub struct PromisedCall<'c> {
    connection: &'c Connection,
    promise: Promise,
    ticket: Ticket,
    is_over: bool,
}

impl<'c> PromisedCall<'c> {
    /// Sends the permitted `tools/call` as one that wants a task. Gives the reply, and the task if it made one.
    ///
    /// # Errors
    /// No answer; the error says whether the request may have been read.
    pub async fn make(
        connection: &'c Connection,
        permit: Permit,
        params: &str,
        ticket: Ticket,
    ) -> Result<(Reply, Option<Self>), UpstreamError> {
        let params = splice::set(params, &["task"], "{}");
        let reply = connection.call(permit, "tools/call", Some(&params), ticket.clone()).await?;
        let promise = match &reply {
            Reply::Result(result) => Promise::made_by(result, Era::Legacy),
            Reply::Error(_) => None,
        };
        // Progress goes on under the call's own token.
        let ticket = Ticket { progress_token: None, ..ticket };
        let promised = promise.map(|promise| Self { connection, promise, ticket, is_over: false });
        Ok((reply, promised))
    }

    /// Asks after the task until it is over, then for its result.
    ///
    /// # Errors
    /// No answer, or not within the time that a request may take.
    pub async fn result(mut self) -> Result<Reply, UpstreamError> {
        let limit = self.connection.request_timeout_max();
        let seconds = limit.as_secs();
        let asked = tokio::time::timeout(limit, self.ask_on()).await;
        asked.unwrap_or(Err(UpstreamError::TimedOut { seconds })).map_err(UpstreamError::of_task)
    }

    async fn ask_on(&mut self) -> Result<Reply, UpstreamError> {
        // What it needs from its client it asks while it is asked for the result.
        while !self.promise.is_over() && self.promise.status != "input_required" {
            let every = self.promise.poll_interval_ms.map_or(POLL_EVERY, Duration::from_millis);
            tokio::time::sleep(every.clamp(POLL_BOUNDS.0, POLL_BOUNDS.1)).await;
            match self.ask("tasks/get").await? {
                Reply::Result(result) => match Promise::read(&result) {
                    Some(promise) => self.promise = promise,
                    None => return Err(UpstreamError::Unusable { reason: "its task has no status".into() }),
                },
                refused @ Reply::Error(_) => return Ok(refused),
            }
        }
        let reply = self.ask("tasks/result").await;
        self.is_over = reply.is_ok();
        reply
    }

    async fn ask(&self, method: &str) -> Result<Reply, UpstreamError> {
        self.connection.exchange(method, Some(&asking_for(&self.promise.id)), self.ticket.clone()).await
    }
}

impl Drop for PromisedCall<'_> {
    fn drop(&mut self) {
        if !self.is_over && !self.promise.is_over() {
            self.connection.take_back("tasks/cancel", asking_for(&self.promise.id));
        }
    }
}
