//! `resources/subscribe` and `resources/unsubscribe`, whatever the server: a legacy one is asked, a modern one listened to.

use std::cell::Cell;
use std::sync::Arc;

use crate::downstream::Downstream;
use crate::downstream::asking::Asking;
use crate::downstream::bridge::Crossing;
use crate::downstream::call::{Said, Task, claimed};
use crate::downstream::listen::RESOURCES_MAX;
use crate::downstream::session::Session;
use crate::invocation::{Ready, Way};
use crate::mcp::version::Era;
use crate::mcp::{error, meta, splice};
use crate::upstream::{Audience, Connection, Reply, Sink, Ticket, UpstreamError};

const UNSUBSCRIBE: &str = "resources/unsubscribe";

pub(super) fn is_meant(method: &str) -> bool {
    matches!(method, "resources/subscribe" | UNSUBSCRIBE)
}

impl Downstream {
    pub(super) async fn subscribe_in(
        &self,
        task: &Task,
        session: &Arc<Session>,
        sink: Arc<dyn Sink>,
        cancelled: impl Future<Output = ()>,
    ) -> Option<Said> {
        if let Err(what) = task.is_unambiguous() {
            return Some(task.says_error(&error::object(error::INVALID_PARAMS, &what)));
        }
        let Some(uri) = task.params.as_deref().and_then(|params| splice::find_string(params, &["uri"])) else {
            return Some(task.says_error(&error::object(error::INVALID_PARAMS, "params must name a uri")));
        };
        if task.method != UNSUBSCRIBE && !session.has_room_for(&uri) {
            let what = format!("a session has at most {RESOURCES_MAX} subscriptions; unsubscribe from one first");
            return Some(task.says_error(&error::object(error::INVALID_PARAMS, &what)));
        }
        let crossing = Cell::new(Crossing { agent: task.era, server: task.era });
        let open = async |_: bool| {
            let (connection, claim) = claimed(async || self.connect(task, session).await).await?;
            crossing.set(Crossing { agent: task.era, server: connection.handshake.era });
            let revision = connection.revision;
            let dispatch = async move |permit, ticket| {
                let _held_to_the_end = claim;
                if connection.handshake.era == Era::Modern {
                    return self.hear_in(task, session, &connection, &uri).await;
                }
                let reply = if connection.audience == Audience::Everyone && task.method == UNSUBSCRIBE {
                    // Another session may still want it; what comes of it is only told to who asked for it.
                    Reply::Result("{}".into())
                } else {
                    connection.call(permit, &task.method, task.params.as_deref(), ticket).await?
                };
                if matches!(reply, Reply::Result(_)) {
                    session.remember(&task.method, task.params.as_deref());
                }
                Ok(reply)
            };
            Ok(Ready { revision, definition: None, dispatch })
        };
        let cancelled = self.given_up(task, cancelled);
        let progress_token = meta::progress_token(task.params.as_deref()).map(Into::into);
        let watch = Asking::new(task.stream.clone(), progress_token.clone(), self.public_url.clone());
        let ticket = Ticket { sink, progress_token, id: task.id.clone() };
        let way = Way { look: async |_: bool| Ok(None), open, ticket };
        let answer = self.invocations.run(&task.request(), way, &watch, cancelled).await;
        self.say(task, answer, crossing.get())
    }

    async fn hear_in(
        &self,
        task: &Task,
        session: &Session,
        connection: &Arc<Connection>,
        uri: &str,
    ) -> Result<Reply, UpstreamError> {
        session.hear(connection, uri, task.method != UNSUBSCRIBE, self.may_again(task)).await
    }
}
