//! `subscriptions/listen` of a modern agent in front of a legacy server: the changes that the server tells everyone, told
//! in the agent's era.

use std::sync::Arc;

use serde_json::json;

use super::Downstream;
use super::call::{Said, Task};
use super::stream::EventStream;
use crate::mcp::{envelope, meta, splice};
use crate::upstream::{Opening, Owner, Sink};

/// What can be listened for, and the notification that tells of it.
const KINDS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];

/// Hears what the connection tells everyone and passes on what was asked for, marked as the agent knows it.
struct Listener {
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

/// Listens until the agent goes away.
pub(super) async fn on_legacy(downstream: &Downstream, task: &Task, agent_id: Arc<str>) -> Option<Said> {
    let wanted = |kind: &str| {
        let params = task.params.as_deref().unwrap_or("{}");
        splice::find(params, &["notifications", kind]) == Some("true")
    };
    let granted: Vec<_> = KINDS.into_iter().filter(|(kind, _)| wanted(kind)).collect();
    let decision = downstream.invocations.gate().decide(&task.call());
    if decision.action != crate::gate::Action::Allow {
        let object = crate::mcp::error::object(crate::mcp::error::DENIED, &decision.reason);
        return Some(task.says_error(&object));
    }
    let listener: Arc<dyn Sink> = Arc::new(Listener {
        stream: task.stream.clone(),
        wanted: granted.iter().map(|(_, method)| *method).collect(),
        id: task.id.clone(),
    });
    let opened = task.upstream.open(Owner::Agent(agent_id), Opening::Stateless, listener.clone()).await;
    let connection = match opened {
        Ok(connection) => connection,
        Err(failed) => return Some(task.says_error(&super::call::failure(task, &failed))),
    };
    let granted: serde_json::Map<_, _> = granted.into_iter().map(|(kind, _)| (kind.into(), json!(true))).collect();
    let params = json!({ "notifications": granted }).to_string();
    let params = splice::set(&params, &["_meta", meta::SUBSCRIPTION_ID], &task.id);
    task.stream.push(envelope::notification("notifications/subscriptions/acknowledged", Some(&params)));
    downstream.over(&task.stream).await;
    // Held until here: the connection stays open while somebody listens.
    drop((listener, connection));
    None
}
