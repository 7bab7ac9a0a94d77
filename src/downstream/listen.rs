//! `subscriptions/listen` of a modern agent. In front of a legacy server it is the gateway that listens, and tells what
//! the server tells everyone in the agent's era.

use std::sync::Arc;

use serde_json::json;

use super::call::Task;
use super::stream::EventStream;
use crate::gate::Permit;
use crate::mcp::version::Era;
use crate::mcp::{envelope, meta, splice};
use crate::upstream::{Connection, Reply, Sink, UpstreamError};

pub(super) const METHOD: &str = "subscriptions/listen";

/// What can be listened for, and the notification that tells of it.
const KINDS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];

/// Hears what the connection tells everyone and passes on what was asked for, marked as the agent knows it.
pub(super) struct Listener {
    stream: Arc<EventStream>,
    wanted: Vec<&'static str>,
    /// The listen request's id, as text.
    id: String,
}

impl Sink for Listener {
    fn notify(&self, message: String) {
        let Some(method) = splice::find_string(&message, &["method"]) else { return };
        if self.wanted.contains(&method.as_str()) {
            Sink::notify(&*self.stream, splice::set(&message, &["params", "_meta", meta::SUBSCRIPTION_ID], &self.id));
        }
    }

    fn ask(&self, _: String) -> bool {
        false
    }
}

impl Listener {
    pub(super) fn of(task: &Task) -> Arc<dyn Sink> {
        Arc::new(Self {
            stream: task.stream.clone(),
            wanted: wanted(task).map(|(_, method)| method).collect(),
            id: task.id.clone(),
        })
    }
}

fn wanted(task: &Task) -> impl Iterator<Item = (&'static str, &'static str)> {
    let params = task.params.as_deref().unwrap_or("{}");
    KINDS.into_iter().filter(move |(kind, _)| splice::find(params, &["notifications", kind]) == Some("true"))
}

/// Whether a stateless agent asks to listen.
pub(super) fn is_asked(task: &Task) -> bool {
    task.method == METHOD && task.era == Era::Modern
}

/// Listens until the connection ends, and says so: the agent can then listen anew. A server that doesn't know the method
/// is not asked; the gateway listens in the agent's place.
pub(super) async fn hear(
    task: &Task,
    connection: &Connection,
    permit: Permit,
    call: impl AsyncFnOnce(Permit) -> Result<Reply, UpstreamError>,
) -> Result<Reply, UpstreamError> {
    if connection.handshake.era == Era::Modern {
        return match call(permit).await {
            Err(UpstreamError::Stopped { was_sent: true }) => Ok(closing(task)),
            other => other,
        };
    }
    // What is permitted is to hear; nothing is sent for it.
    drop(permit);
    let granted: serde_json::Map<_, _> = wanted(task).map(|(kind, _)| (kind.into(), json!(true))).collect();
    let params = json!({ "notifications": granted }).to_string();
    let params = splice::set(&params, &["_meta", meta::SUBSCRIPTION_ID], &task.id);
    task.stream.push(envelope::notification("notifications/subscriptions/acknowledged", Some(&params)));
    connection.ended().await;
    Ok(closing(task))
}

/// The server's side is over, in good order.
fn closing(task: &Task) -> Reply {
    let result = json!({ "resultType": "complete" }).to_string();
    Reply::Result(splice::set(&result, &["_meta", meta::SUBSCRIPTION_ID], &task.id))
}
