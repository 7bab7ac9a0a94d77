//! A call that its server answers with questions (`input_required`, 2026-07-28). Each further round is the same call with
//! the answers added; it needs no new permit, but the rules may have come to say no.

use super::connection::Connection;
use super::error::UpstreamError;
use super::wire::{Reply, Ticket};
use crate::gate::{Action, Decision, Permit};
use crate::mcp::splice;

/// Most rounds of one call.
const ROUNDS_MAX: u32 = 10;

/// What was sent of a call. There is none without a permit that was spent on it, and what can be sent of it again is only
/// the same method and parameters, with answers.
pub struct Round<'c> {
    connection: &'c Connection,
    method: &'c str,
    params: String,
    ticket: Ticket,
    count: u32,
}

impl<'c> Round<'c> {
    /// Sends the permitted request and waits for its answer. Dropping the future cancels the request.
    ///
    /// # Errors
    /// No answer; the error says whether the request may have been read.
    pub async fn first(
        connection: &'c Connection,
        permit: Permit,
        method: &'c str,
        params: String,
        ticket: Ticket,
    ) -> Result<(Reply, Self), UpstreamError> {
        let reply = connection.call(permit, method, Some(&params), ticket.clone()).await?;
        Ok((reply, Self { connection, method, params, ticket, count: 1 }))
    }

    /// The text of the parameters that were sent first.
    #[must_use]
    pub fn params(&self) -> &str {
        &self.params
    }

    /// Sends it again: with `answers`, the text of an object, and with `state`, the text of the server's own string,
    /// where there are any.
    ///
    /// # Errors
    /// `decision`, which is to be made anew for each round, denies it; there were too many rounds; or no answer.
    pub async fn next(
        self,
        decision: &Decision,
        answers: Option<&str>,
        state: Option<&str>,
    ) -> Result<(Reply, Self), UpstreamError> {
        if decision.action == Action::Deny {
            return Err(UpstreamError::Denied { reason: decision.reason.clone() });
        }
        if self.count >= ROUNDS_MAX {
            let reason = format!("it asked {ROUNDS_MAX} times in a row and still had no result");
            return Err(UpstreamError::Unanswered { reason });
        }
        let mut params = self.params.clone();
        for (member, value) in [("inputResponses", answers), ("requestState", state)] {
            if let Some(value) = value {
                params = splice::set(&params, &[member], value);
            }
        }
        let reply = self.connection.exchange(self.method, Some(&params), self.ticket.clone()).await?;
        Ok((reply, Self { count: self.count + 1, ..self }))
    }
}
