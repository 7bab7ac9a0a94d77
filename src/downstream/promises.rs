//! Whose task is whose. A server that many agents use knows its tasks by their ids alone; here each is remembered with
//! the agent whose call made it, and for everyone else it is a task that does not exist.
//!
//! In memory: after a restart of the gateway no task is anybody's, as sessions are not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;

use super::call::Task;
use super::session::Session;
use super::stream::EventStream;
use crate::clock;
use crate::gate::Permit;
use crate::mcp::promise::{self, Promise};
use crate::mcp::version::Era;
use crate::mcp::{error, meta, splice};
use crate::upstream::{Audience, Connection, PromisedCall, Reply, Sink, Ticket, UpstreamError};

/// Most tasks that are remembered; the one that would be forgotten first makes way.
const COUNT_MAX: usize = 10_000;
/// A task is forgotten after the time that its server keeps it, but after this at the latest.
const KEPT_MAX: Duration = Duration::from_hours(24);
/// Where a `subscriptions/listen` names tasks.
pub(super) const LISTENED: [&str; 2] = ["notifications", "taskIds"];

/// What is said of a task that is not the agent's, whether it is another's or nobody's.
pub(super) const NOT_FOUND: &str = "Task not found";

/// The tasks of all agents.
#[derive(Default)]
pub(super) struct Promises(Mutex<State>);

#[derive(Default)]
struct State {
    owners: HashMap<Name, Vec<Owner>>,
    /// By when they are forgotten; the number keeps those of the same moment apart.
    by_end: BTreeMap<(i64, u64), Name>,
    next_number: u64,
}

/// The server's id, and the task's.
type Name = (Arc<str>, String);

struct Owner {
    agent_id: Arc<str>,
    end: (i64, u64),
}

impl Promises {
    /// Whether the task is that agent's.
    pub(super) fn is_of(&self, server_id: &Arc<str>, agent_id: &str, id: &str) -> bool {
        let mut state = self.state();
        state.forget_over(clock::now_ms());
        let owners = state.owners.get(&(server_id.clone(), id.to_owned()));
        owners.is_some_and(|owners| owners.iter().any(|owner| *owner.agent_id == *agent_id))
    }

    /// Remembers a task that is known to be that agent's, until a moment in ms.
    pub(super) fn remember(&self, server_id: &Arc<str>, agent_id: &Arc<str>, id: &str, until: i64) {
        let ttl_ms = u64::try_from(until - clock::now_ms()).unwrap_or(0);
        if !self.is_of(server_id, agent_id, id) {
            self.state().remember((server_id.clone(), id.to_owned()), agent_id, Some(ttl_ms), false);
        }
    }

    /// What an agent is told that asks after a task which isn't its own, or that can't have one; nothing else is asked then.
    pub(super) fn refusal(&self, task: &Task, server: Era) -> Option<Reply> {
        if !task.method.starts_with("tasks/") {
            return None;
        }
        let params = task.params.as_deref();
        if task.era == Era::Modern && !knows_tasks(params) {
            return Some(Reply::Error(undeclared()));
        }
        if task.era != server {
            // A modern agent has tasks of the gateway's own, and none of a legacy server.
            return Some(Reply::Error(match task.era {
                Era::Modern => error::object(error::INVALID_PARAMS, NOT_FOUND),
                Era::Legacy => error::object(
                    error::METHOD_NOT_FOUND,
                    "tasks do not cross between the revision that is spoken here and the server's",
                ),
            }));
        }
        if task.method == "tasks/list" {
            return None;
        }
        let id = params.and_then(|params| splice::find_string(params, &["taskId"]));
        let is_own = id.is_some_and(|id| self.is_of(&task.upstream.spec.id, &task.agent_id, &id));
        (!is_own).then(|| Reply::Error(error::object(error::INVALID_PARAMS, NOT_FOUND)))
    }

    /// Remembers the task that a call was answered with, and leaves others' tasks out of a list.
    pub(super) fn settle(&self, task: &Task, connection: &Connection, reply: Reply) -> Reply {
        let Reply::Result(result) = reply else { return reply };
        if task.method == "tasks/list" {
            return Reply::Result(self.own(task, result));
        }
        if task.method == "tools/call"
            && let Some(promise) = Promise::made_by(&result, connection.handshake.era)
        {
            let name = (task.upstream.spec.id.clone(), promise.id);
            // Processes of several agents may give the same id; one process that is shared gives it to one.
            let is_alone = connection.audience == Audience::Everyone;
            self.state().remember(name, &task.agent_id, promise.ttl_ms, is_alone);
        }
        Reply::Result(result)
    }

    /// The parameters of a `subscriptions/listen` without tasks of others.
    pub(super) fn listened(&self, task: &Task, params: String) -> String {
        let Some(ids) = splice::find(&params, &LISTENED) else { return params };
        let ids: Vec<String> = serde_json::from_str(ids).unwrap_or_default();
        let own: Vec<_> = ids.into_iter().filter(|id| self.is_of(&task.upstream.spec.id, &task.agent_id, id)).collect();
        splice::set(&params, &LISTENED, &json!(own).to_string())
    }

    fn own(&self, task: &Task, result: String) -> String {
        let Some(items) =
            splice::find(&result, &["tasks"]).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok())
        else {
            return result;
        };
        let is_own = |item: &&str| {
            splice::find_string(item, &["taskId"])
                .is_some_and(|id| self.is_of(&task.upstream.spec.id, &task.agent_id, &id))
        };
        let own: Vec<&str> = items.iter().map(|item| item.get()).filter(is_own).collect();
        splice::set(&result, &["tasks"], &format!("[{}]", own.join(",")))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a modern client says with this request that it knows tasks.
pub(super) fn knows_tasks(params: Option<&str>) -> bool {
    let extension = ["_meta", meta::CLIENT_CAPABILITIES, "extensions", promise::EXTENSION];
    // Few do, and looking for the word is far cheaper than reading the members.
    params.is_some_and(|params| params.contains(promise::EXTENSION) && splice::find(params, &extension).is_some())
}

/// The error for a client that asks after tasks and doesn't know them.
pub(super) fn undeclared() -> String {
    let data = json!({ "requiredCapabilities": { "extensions": { promise::EXTENSION: {} } } });
    let what = format!("the client did not declare the extension {}", promise::EXTENSION);
    error::object_with(error::MISSING_CAPABILITY, &what, &data)
}

impl State {
    fn remember(&mut self, name: Name, agent_id: &Arc<str>, ttl_ms: Option<u64>, is_alone: bool) {
        let now = clock::now_ms();
        self.forget_over(now);
        let earlier = self.owners.remove(&name).unwrap_or_default();
        let (replaced, mut owners): (Vec<_>, Vec<_>) =
            earlier.into_iter().partition(|owner| is_alone || owner.agent_id == *agent_id);
        for owner in replaced {
            self.by_end.remove(&owner.end);
        }
        let kept_ms = u64::try_from(KEPT_MAX.as_millis()).unwrap_or(u64::MAX);
        let kept_ms = i64::try_from(ttl_ms.unwrap_or(kept_ms).min(kept_ms)).unwrap_or(i64::MAX);
        self.next_number += 1;
        let end = (now.saturating_add(kept_ms), self.next_number);
        owners.push(Owner { agent_id: agent_id.clone(), end });
        self.by_end.insert(end, name.clone());
        self.owners.insert(name, owners);
        while self.by_end.len() > COUNT_MAX {
            self.forget_first();
        }
    }

    fn forget_over(&mut self, now: i64) {
        while self.by_end.first_key_value().is_some_and(|((end, _), _)| *end < now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((end, name)) = self.by_end.pop_first() else { return };
        let Some(owners) = self.owners.get_mut(&name) else { return };
        owners.retain(|owner| owner.end != end);
        if owners.is_empty() {
            self.owners.remove(&name);
        }
    }
}

/// Makes the call. A tool of a legacy server that can only be called as a task is called so for a modern agent, and asked
/// for its result when there is one: the agent knows nothing of it.
pub(super) async fn call(
    connection: &Connection,
    permit: Permit,
    (agent, method, params): (Era, &str, Option<&str>),
    ticket: Ticket,
) -> Result<Reply, UpstreamError> {
    let is_crossing = (agent, connection.handshake.era) == (Era::Modern, Era::Legacy);
    if !is_crossing || method != "tools/call" {
        return connection.call(permit, method, params, ticket).await;
    }
    // It would ask a legacy server for a task, which the agent could not ask after.
    let params = splice::without(params.unwrap_or("{}"), |key| key == "task");
    let tool = splice::find_string(&params, &["name"]).unwrap_or_default();
    if !connection.needs_task(&tool).await.unwrap_or(false) {
        return connection.call(permit, method, Some(&params), ticket).await;
    }
    match PromisedCall::make(connection, permit, &params, ticket).await? {
        (_, Some(promised)) => promised.result().await,
        (reply, None) => Ok(reply),
    }
}

/// Hears of a call, and after its answer of the task that it made: the call's own stream is over then.
pub(super) struct Outlasting {
    sink: Arc<dyn Sink>,
    answer: Arc<EventStream>,
    standing: Arc<EventStream>,
}

impl Outlasting {
    /// For a call that asks for a task; others are heard where they are.
    pub(super) fn of(task: &Task, session: &Session, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        // Nearly no call does, and looking for the word is far cheaper than reading the members.
        let asks = |params: &str| params.contains("\"task\"") && splice::find(params, &["task"]).is_some();
        if task.method == "tools/call" && task.params.as_deref().is_some_and(asks) {
            return Arc::new(Self { sink, answer: task.stream.clone(), standing: session.standing() });
        }
        sink
    }

    fn sink(&self) -> &dyn Sink {
        if self.answer.is_finished() { &*self.standing } else { &*self.sink }
    }
}

impl Sink for Outlasting {
    fn notify(&self, message: String) {
        self.sink().notify(message);
    }

    fn ask(&self, message: String) -> bool {
        self.sink().ask(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remember(promises: &Promises, agent: &str, id: &str, ttl_ms: Option<u64>, is_alone: bool) {
        promises.state().remember(("s".into(), id.into()), &agent.into(), ttl_ms, is_alone);
    }

    fn is_of(promises: &Promises, agent: &str, id: &str) -> bool {
        promises.is_of(&"s".into(), agent, id)
    }

    #[test]
    fn a_task_is_its_agents_and_nobody_elses() {
        let promises = Promises::default();
        remember(&promises, "ann", "1", None, false);
        assert!(is_of(&promises, "ann", "1") && !is_of(&promises, "bob", "1") && !is_of(&promises, "ann", "2"));
        assert!(!promises.is_of(&"another".into(), "ann", "1"));
        remember(&promises, "bob", "1", None, false);
        assert!(is_of(&promises, "ann", "1") && is_of(&promises, "bob", "1"), "two processes gave the same id");
        remember(&promises, "cy", "1", None, true);
        assert!(!is_of(&promises, "ann", "1") && is_of(&promises, "cy", "1"), "one process gave it anew");
    }

    #[test]
    fn tasks_are_forgotten_in_time_and_never_more_than_a_number_is_kept() {
        let promises = Promises::default();
        remember(&promises, "ann", "soon", Some(0), false);
        promises.state().forget_over(clock::now_ms() + 1);
        assert!(!is_of(&promises, "ann", "soon"));
        remember(&promises, "ann", "first", Some(1_000_000), false);
        for n in 0..COUNT_MAX {
            remember(&promises, "ann", &n.to_string(), Some(2_000_000), false);
        }
        assert!(!is_of(&promises, "ann", "first") && is_of(&promises, "ann", "0"));
        let state = promises.state();
        assert_eq!((state.by_end.len(), state.owners.len()), (COUNT_MAX, COUNT_MAX));
        drop(state);
        for _ in 0..10 {
            remember(&promises, "ann", "again", Some(2_000_000), false);
        }
        assert_eq!(promises.state().by_end.len(), COUNT_MAX);
    }
}
