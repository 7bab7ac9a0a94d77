//! `subscriptions/listen` of a modern agent. Each resource that it wants to hear of is a question of its own for the
//! rules; only what they let through is asked of the server. In front of a legacy server it is the gateway that listens:
//! it subscribes in the agent's place, and tells what the server tells everyone in the agent's era.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Notify;

use super::asking::Asking;
use super::bridge::Crossing;
use super::call::{Said, Task, claimed};
use super::pledges::Granting;
use super::promises::Promises;
use super::stream::EventStream;
use super::{Downstream, Phase};
use crate::gate::{Action, Permit};
use crate::invocation::{Ready, Way};
use crate::mcp::version::Era;
use crate::mcp::{envelope, error, meta, splice};
use crate::upstream::{Connection, NoSink, Opening, Owner, Reply, Sink, Subscription, Ticket, Upstream, UpstreamError};

pub(super) const METHOD: &str = "subscriptions/listen";
pub(super) const UPDATED: &str = "notifications/resources/updated";
pub(super) const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Where the parameters name the resources.
pub(super) const RESOURCES: [&str; 2] = ["notifications", "resourceSubscriptions"];
/// Most resources that one agent's listening, or one session, may be about.
pub(super) const RESOURCES_MAX: usize = 256;

/// What can be listened for beside resources: what a listener calls it, where a server offers it, and the notification
/// that tells of it.
pub(super) const KINDS: [(&str, &str, &str); 3] = [
    ("toolsListChanged", "tools", "notifications/tools/list_changed"),
    ("promptsListChanged", "prompts", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "resources", "notifications/resources/list_changed"),
];

/// Whether the server says that it tells of this.
pub(super) fn is_offered(connection: &Connection, area: &str, what: &str) -> bool {
    splice::find(connection.handshake.capabilities(), &[area, what]) == Some("true")
}

/// Whether an update of one resource is news for who subscribed to the other: servers may tell of a part of it.
pub(super) fn is_about(subscribed: &str, updated: &str) -> bool {
    updated.strip_prefix(subscribed).is_some_and(|rest| {
        rest.is_empty() || subscribed.ends_with(['/', '#', '?']) || rest.starts_with(['/', '#', '?'])
    })
}

/// Hears what the connection tells everyone and passes on what was granted, marked as the agent knows it.
pub(super) struct Listener {
    stream: Arc<EventStream>,
    /// The listen request's id, as text.
    id: String,
    /// What is asked for, without what is another agent's.
    params: String,
    /// Set when the agent was told: what comes before that is no news for it.
    granted: OnceLock<Granted>,
    /// The gateway's own tasks that are listened for.
    pub(super) pledges: BTreeSet<String>,
    /// Notified when the agent was told that it will hear of them.
    pub(super) acknowledged: Notify,
}

#[derive(Default)]
struct Granted {
    methods: Vec<&'static str>,
    resources: BTreeSet<String>,
}

impl Listener {
    fn of(task: &Task, promises: &Promises, pledges: BTreeSet<String>) -> Self {
        let params = promises.listened(task, task.params.clone().unwrap_or_else(|| "{}".into()));
        let (stream, id) = (task.stream.clone(), task.id.clone());
        Self { stream, id, params, granted: OnceLock::new(), pledges, acknowledged: Notify::new() }
    }

    /// Tells the agent of something that must arrive.
    pub(super) fn tell(&self, method: &str, params: &str) {
        self.stream.push(envelope::notification(method, Some(&self.marked(params))));
    }

    fn marked(&self, params: &str) -> String {
        splice::set(params, &["_meta", meta::SUBSCRIPTION_ID], &self.id)
    }

    /// Tells the agent what it will hear of, and lets it through from now on.
    fn acknowledge(&self, kinds: Vec<(&'static str, &'static str)>, resources: BTreeSet<String>) {
        let mut granted: serde_json::Map<_, _> = kinds.iter().map(|(kind, _)| ((*kind).into(), json!(true))).collect();
        if !resources.is_empty() {
            granted.insert("resourceSubscriptions".into(), json!(resources));
        }
        if !self.pledges.is_empty() {
            granted.insert("taskIds".into(), json!(self.pledges));
        }
        self.tell(ACKNOWLEDGED, &json!({ "notifications": granted }).to_string());
        self.acknowledged.notify_one();
        let methods = kinds.into_iter().map(|(_, method)| method).collect();
        let _set_once = self.granted.set(Granted { methods, resources });
    }
}

impl Sink for Listener {
    fn notify(&self, message: String) {
        let (Some(granted), Some(method)) = (self.granted.get(), splice::find_string(&message, &["method"])) else {
            return;
        };
        let is_granted = || match splice::find_string(&message, &["params", "uri"]) {
            Some(uri) if method == UPDATED => granted.resources.iter().any(|known| is_about(known, &uri)),
            _ => granted.methods.contains(&method.as_str()),
        };
        if is_granted() {
            let marked = splice::set(&message, &["params", "_meta", meta::SUBSCRIPTION_ID], &self.id);
            Sink::notify(&*self.stream, marked);
        }
    }

    fn ask(&self, _: String) -> bool {
        false
    }
}

/// A resource that an agent may hear of. In front of a legacy server it holds the subscription.
struct Heard {
    uri: String,
    subscription: Option<Subscription>,
}

impl Downstream {
    /// Listens until the agent leaves or the connection ends, and says the latter: the agent can then listen anew.
    pub(super) async fn listen(&self, task: &Task) -> Option<Said> {
        let wanted = match task.is_unambiguous().and_then(|()| resources(task)) {
            Ok(wanted) => wanted,
            Err(what) => return Some(task.says_error(&error::object(error::INVALID_PARAMS, &what))),
        };
        let pledges = match self.named_pledges(task).await {
            Ok(pledges) => pledges,
            Err(object) => return Some(task.says_error(&object)),
        };
        let listener = Arc::new(Listener::of(task, &self.promises, pledges));
        let open = async || {
            let open = async |upstream: &Upstream| {
                let opening = Opening::Stateless(task.abilities());
                upstream.open(Owner::Agent(task.agent_id.clone()), opening, listener.clone()).await
            };
            self.open_present(&task.upstream, open).await
        };
        let is_denied = self.invocations.gate().decide(&task.call()).action == Action::Deny;
        let heard =
            if wanted.is_empty() || is_denied { Vec::new() } else { self.subscribe(task, &wanted, &open).await };
        let crossing = Cell::new(Crossing { agent: task.era, server: task.era });
        let heard_by = &listener;
        let open = async |_: bool| {
            // It can be made anew, so it doesn't keep the connection from closing.
            let (connection, _not_held) = claimed(&open).await?;
            crossing.set(Crossing { agent: task.era, server: connection.handshake.era });
            let revision = connection.revision;
            let dispatch = async move |permit, ticket| {
                tokio::select! {
                    reply = hear(task, heard_by, &connection, heard, permit, ticket) => reply,
                    never = self.tell_of_pledges(task, heard_by) => match never {},
                }
            };
            Ok(Ready { revision, definition: None, dispatch })
        };
        let sink = Arc::new(Granting(listener.clone(), task.stream.clone()));
        let ticket = Ticket { sink, progress_token: None, id: task.id.clone() };
        let watch = self.patience(task);
        let way = Way { look: async |_: bool| Ok(None), open, ticket };
        let answer = Box::pin(self.invocations.run(&task.request(), way, &watch, self.over(task))).await;
        self.say(task, answer, crossing.get())
    }

    /// Puts each resource to the rules as the subscription that it is; gives those that may be heard of.
    async fn subscribe(
        &self,
        task: &Task,
        wanted: &BTreeSet<String>,
        open: &impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
    ) -> Vec<Heard> {
        // That the server can't be reached is told by the listening itself.
        let Ok(connection) = open().await else { return Vec::new() };
        if connection.handshake.era == Era::Legacy && !is_offered(&connection, "resources", "subscribe") {
            return Vec::new();
        }
        let each = wanted.iter().map(|uri| self.subscribe_to(task, uri, open));
        join_all(each).await.into_iter().flatten().collect()
    }

    async fn subscribe_to(
        &self,
        task: &Task,
        uri: &str,
        open: &impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
    ) -> Option<Heard> {
        let task = task.another("resources/subscribe", &json!({ "uri": uri }).to_string());
        let heard = Cell::new(None);
        let open = async |_: bool| {
            let (connection, claim) = claimed(open).await?;
            let (revision, heard) = (connection.revision, &heard);
            let dispatch = async move |permit, ticket| {
                let _held_to_the_end = claim;
                let (reply, subscription) = if connection.handshake.era == Era::Modern {
                    // The request that listens will name it.
                    drop(permit);
                    (Reply::Result("{}".into()), None)
                } else {
                    let (reply, subscription) = connection.subscribe(permit, uri, ticket).await?;
                    (reply, Some(subscription))
                };
                if matches!(reply, Reply::Result(_)) {
                    heard.set(Some(Heard { uri: uri.to_owned(), subscription }));
                }
                Ok(reply)
            };
            Ok(Ready { revision, definition: None, dispatch })
        };
        let ticket = Ticket { sink: Arc::new(NoSink), progress_token: None, id: task.id.clone() };
        let watch = self.patience(&task);
        // What came of it is in its row; for the agent, what was granted says it all.
        let way = Way { look: async |_: bool| Ok(None), open, ticket };
        let _answer = self.invocations.run(&task.request(), way, &watch, self.over(&task)).await;
        heard.take()
    }

    /// For a request that may wait for a person, but tells nothing meanwhile: its first message has to be another.
    fn patience(&self, task: &Task) -> Asking {
        Asking::new(task.stream.clone(), None, self.public_url.clone())
    }

    /// Resolves when the reader of a request that stays open has left, or is asked to.
    async fn over(&self, task: &Task) {
        tokio::select! {
            () = task.stream.left() => {}
            () = task.caller.over() => {}
            () = self.phase_is(Phase::Stopping) => {}
        }
    }
}

async fn hear(
    task: &Task,
    listener: &Listener,
    connection: &Arc<Connection>,
    heard: Vec<Heard>,
    permit: Permit,
    ticket: Ticket,
) -> Result<Reply, UpstreamError> {
    if connection.handshake.era == Era::Modern {
        let mut params = listener.params.clone();
        if splice::find(&params, &RESOURCES).is_some() {
            let granted: Vec<_> = heard.iter().map(|heard| &heard.uri).collect();
            params = splice::set(&params, &RESOURCES, &json!(granted).to_string());
        }
        return match connection.call(permit, METHOD, Some(&params), ticket).await {
            Err(UpstreamError::Stopped { was_sent: true }) => Ok(closing(task)),
            other => other,
        };
    }
    // What is permitted is to hear; nothing is sent for it.
    drop(permit);
    let kinds = KINDS
        .into_iter()
        .filter(|(kind, ..)| splice::find(&listener.params, &["notifications", kind]) == Some("true"))
        .filter(|(_, area, _)| is_offered(connection, area, "listChanged"))
        .map(|(kind, _, method)| (kind, method));
    // What was subscribed to on a connection that has ended since is heard of no more.
    let is_live = |heard: &Heard| heard.subscription.as_ref().is_some_and(|it| it.is_of(connection));
    let resources = heard.iter().filter(|heard| is_live(heard)).map(|heard| heard.uri.clone());
    listener.acknowledge(kinds.collect(), resources.collect());
    connection.ended().await;
    Ok(closing(task))
}

/// The resources that the agent wants to hear of.
fn resources(task: &Task) -> Result<BTreeSet<String>, String> {
    let Some(list) = task.params.as_deref().and_then(|params| splice::find(params, &RESOURCES)) else {
        return Ok(BTreeSet::new());
    };
    let wanted: BTreeSet<String> =
        serde_json::from_str(list).map_err(|_| "resourceSubscriptions must be a list of URIs".to_owned())?;
    if wanted.len() > RESOURCES_MAX {
        return Err(format!("at most {RESOURCES_MAX} resources can be listened for at once; listen several times"));
    }
    Ok(wanted)
}

/// The server's side is over, in good order.
fn closing(task: &Task) -> Reply {
    let result = json!({ "resultType": "complete" }).to_string();
    Reply::Result(splice::set(&result, &["_meta", meta::SUBSCRIPTION_ID], &task.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_resource_is_news_of_the_resource_and_a_longer_name_is_not() {
        for (subscribed, updated, expected) in [
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///a/b", true),
            ("file:///a/", "file:///a/b", true),
            ("file:///a", "file:///a#part", true),
            ("file:///a", "file:///ab", false),
            ("file:///a/b", "file:///a", false),
        ] {
            assert_eq!(is_about(subscribed, updated), expected, "{subscribed} {updated}");
        }
    }

    #[tokio::test]
    async fn nothing_is_heard_before_the_acknowledgement_and_then_only_what_was_granted() {
        let stream = EventStream::of_request();
        let listener = Listener {
            stream: stream.clone(),
            id: "\"l\"".into(),
            params: "{}".into(),
            granted: OnceLock::new(),
            pledges: BTreeSet::new(),
            acknowledged: Notify::new(),
        };
        let update = |uri: &str| envelope::notification(UPDATED, Some(&json!({ "uri": uri }).to_string()));
        Sink::notify(&listener, update("x://mine"));
        listener.acknowledge(vec![("toolsListChanged", KINDS[0].2)], ["x://mine".to_owned()].into());
        Sink::notify(&listener, update("x://another"));
        Sink::notify(&listener, envelope::notification("notifications/prompts/list_changed", None));
        Sink::notify(&listener, envelope::notification("notifications/tools/list_changed", None));
        Sink::notify(&listener, update("x://mine"));
        stream.finish(None);
        let mut reader = stream.read_after(0);
        let mut seen = Vec::new();
        while let Some(event) = reader.next().await {
            assert_eq!(splice::find(&event.text, &["params", "_meta", meta::SUBSCRIPTION_ID]), Some("\"l\""));
            seen.push(splice::find_string(&event.text, &["method"]).unwrap());
        }
        assert_eq!(seen, [ACKNOWLEDGED, "notifications/tools/list_changed", UPDATED]);
    }
}
