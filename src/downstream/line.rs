//! The line to an agent while its request runs: where it hears, how it answers what its server asks, and how that decides
//! the way in which the call is made.

use std::cell::Cell;
use std::sync::Arc;

use super::alone::Alone;
use super::bridge::{self, Client, Crossing};
use super::call::{Task, claimed};
use super::held::{Held, SameCall};
use super::rounds::{self, Asker};
use super::session::Session;
use super::{Downstream, promises};
use crate::gate::Permit;
use crate::mcp::version::Era;
use crate::mcp::{error, method, splice};
use crate::upstream::{Claim, Connection, Reply, Sink, Ticket, UpstreamError};

/// See there.
pub(super) enum Line {
    /// It hears over a stream, is asked there, and answers in its session.
    InSession { session: Arc<Session>, sink: Arc<dyn Sink> },
    /// It hears over its request's own stream, is asked by the answer, and answers by its next request, which finds the
    /// call that is held for it.
    Alone { agent: Arc<Alone>, same: SameCall, held: Cell<Option<Held>> },
}

impl Line {
    pub(super) fn sink(&self) -> Arc<dyn Sink> {
        match self {
            Self::InSession { sink, .. } => sink.clone(),
            Self::Alone { agent, .. } => agent.clone(),
        }
    }

    pub(super) fn client(&self) -> Client {
        match self {
            Self::InSession { session, .. } => session.bridged(),
            Self::Alone { agent, .. } => Client { abilities: agent.abilities.clone(), ..Client::default() },
        }
    }

    /// The call that this request goes on with, if there is one.
    pub(super) fn take_held(&self) -> Option<Held> {
        match self {
            Self::InSession { .. } => None,
            Self::Alone { held, .. } => held.take(),
        }
    }
}

/// Where a permitted call goes.
pub(super) enum Way {
    /// To a server that has not heard of it.
    New(Arc<Connection>, Claim),
    /// On, with the answers that its server waits for.
    On(Held),
}

impl Way {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        match self {
            Self::New(connection, _) => connection,
            Self::On(held) => &held.connection,
        }
    }
}

impl Downstream {
    /// Makes the permitted call, or goes on with it.
    pub(super) async fn dispatch(
        &self,
        (task, line, client): (&Task, &Line, &Client),
        way: Way,
        permit: Permit,
        ticket: Ticket,
        reopen: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
    ) -> Result<Reply, UpstreamError> {
        let (connection, claim) = match (way, line) {
            (Way::New(connection, claim), _) => (connection, claim),
            (Way::On(held), Line::Alone { agent, same, .. }) => {
                let _wanted_to_the_end = self.want_log(task, &held.connection).await;
                held.answer(permit, task.params.as_deref(), agent);
                return self.held.go_on(held, same.clone()).await;
            }
            (Way::On(_), Line::InSession { .. }) => return Ok(gone()),
        };
        let era = connection.handshake.era;
        if let Some(refused) = self.promises.refusal(task, era) {
            return Ok(refused);
        }
        let params = Crossing { agent: task.era, server: era }.params(permit.params(task.params.clone()), client);
        match (line, era, method::may_ask(&task.method)) {
            (Line::InSession { session, sink }, Era::Modern, true) => {
                let _held_to_the_end = claim;
                let asker = Asker { session, sink, abilities: &client.abilities };
                let params = params.unwrap_or_default();
                rounds::run((task, self.invocations.gate(), &asker), &connection, permit, params, ticket).await
            }
            (Line::Alone { .. }, Era::Legacy, true) if gives_state(task) => Ok(gone()),
            (Line::Alone { agent, same, .. }, Era::Legacy, true) if !agent.abilities.is_empty() => {
                let kept = (claim, self.want_log(task, &connection).await);
                let made = (task.method.clone(), params);
                let held = Held::begin((connection, kept), (permit, ticket), made.clone(), agent.clone());
                match self.held.go_on(held, same.clone()).await {
                    Err(UpstreamError::SessionLost(Some(unspent))) => {
                        let (connection, claim) = in_new_session(reopen).await?;
                        let kept = (claim, self.want_log(task, &connection).await);
                        let proof = (unspent.permit, unspent.ticket);
                        let held = Held::begin((connection, kept), proof, made, agent.clone());
                        self.held.go_on(held, same.clone()).await
                    }
                    reply => reply,
                }
            }
            _ => {
                if let Some(reply) = bridge::answer_here(task.era, &task.method, &connection) {
                    return Ok(reply);
                }
                let held_to_the_end = (claim, self.want_log(task, &connection).await);
                let made = (task.era, task.method.as_str(), params.as_deref());
                let reply = match promises::call(&connection, permit, made, ticket).await {
                    Err(UpstreamError::SessionLost(Some(unspent))) => {
                        drop(held_to_the_end);
                        let (connection, _held_to_the_end) = in_new_session(reopen).await?;
                        promises::call(&connection, unspent.permit, made, unspent.ticket).await
                    }
                    reply => reply,
                };
                Ok(self.promises.settle(task, &connection, reply?))
            }
        }
    }
}

/// The connection for a call that the server refused because it no longer knew the session. Once: a server that loses that,
/// too, is told about.
async fn in_new_session(
    open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
) -> Result<(Arc<Connection>, Claim), UpstreamError> {
    let (connection, claim) = claimed(open).await?;
    if connection.handshake.era == Era::Modern {
        // The parameters were made for a legacy server; it became another one.
        return Err(UpstreamError::SessionLost(None));
    }
    Ok((connection, claim))
}

fn gives_state(task: &Task) -> bool {
    task.params.as_deref().is_some_and(|params| splice::find(params, &["requestState"]).is_some())
}

/// The answer to a request whose state is the word for no call.
fn gone() -> Reply {
    let what = "this requestState belongs to no open call of yours: its time is over, it was used, or the call was another \
                one; make the call anew, without it";
    Reply::Error(error::object(error::INVALID_PARAMS, what))
}
