//! The call behind a task of the gateway's own: an ordinary run, whose agent is there because it holds the task.

use std::cell::{Cell, OnceCell};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{GoesOn, next_params};
use crate::downstream::Downstream;
use crate::downstream::alone::{Alone, Hearing};
use crate::downstream::asking::Asking;
use crate::downstream::call::{Said, Task};
use crate::downstream::held::SameCall;
use crate::downstream::line::Line;
use crate::downstream::promises;
use crate::downstream::stream::EventStream;
use crate::invocation::{Answer, Carried, Patience, Watch};
use crate::mcp::promise::Promise;
use crate::mcp::question::InputRequired;
use crate::mcp::version::Era;
use crate::mcp::{error, meta, splice};
use crate::store::pledge::INPUT_REQUIRED;
use crate::store::{StoreError, approval};
use crate::upstream::{Connection, NoSink, Opening, Owner, Upstream, UpstreamError};

/// How often a call is made anew for a server that gives it back without a question.
const ROUNDS_MAX: usize = 10;
/// A server's own task is kept by its word, but no longer than this.
const BEHIND_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// Waits for a person in an agent's place, once the agent has its task.
struct Pledging<'d> {
    downstream: &'d Downstream,
    task: &'d Task,
    /// How the agent waits if it is given no task.
    asking: Asking,
    carried: OnceCell<Carried>,
    /// Set when it was withdrawn where this process does not hear of it.
    is_closed: Notify,
}

impl<'d> Pledging<'d> {
    fn new(downstream: &'d Downstream, task: &'d Task, carried: OnceCell<Carried>) -> Self {
        let progress_token = meta::progress_token(task.params.as_deref()).map(Into::into);
        let asking = Asking::new(task.stream.clone(), progress_token, downstream.public_url.clone());
        Self { downstream, task, asking, carried, is_closed: Notify::new() }
    }

    /// Gives the agent a task in place of an answer. Whether it did: where it can't, the agent waits as others do.
    async fn pledge(&self, question: &approval::Row, invocation_id: &str) -> Result<bool, StoreError> {
        let (downstream, task) = (self.downstream, self.task);
        let (request, params) = (task.request(), task.params.as_deref().unwrap_or("{}"));
        let Some((row, carried)) = downstream.pledges.make(&request, params, question, invocation_id).await? else {
            return Ok(false);
        };
        if !task.stream.has_reader() {
            downstream.pledges.forget(&row.id).await;
            return Ok(false);
        }
        // From here on the agent may leave.
        if self.carried.set(carried).is_err() {
            return Ok(true);
        }
        let made = splice::set(&downstream.members(&row, Some(question)), &["resultType"], "\"task\"");
        let said = task.says(&made);
        task.stream.finish_with(said.status, said.text);
        Ok(true)
    }

    async fn begin(&self, question: &approval::Row, invocation_id: &str) -> Patience {
        let pledged = match self.carried.get() {
            Some(carried) => carried.waits_for(question).await.map(|()| true),
            None => self.pledge(question, invocation_id).await,
        };
        match pledged {
            Ok(true) => Patience::ToTheEnd,
            Ok(false) => self.asking.asked(question, invocation_id).await,
            Err(error) => {
                tracing::warn!(error = %crate::chain(&error), "a task could not be written; its agent waits instead");
                self.asking.asked(question, invocation_id).await
            }
        }
    }

    /// Whether the agent still wants it; the last look before a yes is spent.
    async fn is_wanted(&self, carried: &Carried) {
        match carried.is_open().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::error!(error = %crate::chain(&error), "whether a task is open could not be read"),
        }
        self.is_closed.notify_one();
        std::future::pending::<()>().await;
    }
}

impl Watch for Pledging<'_> {
    fn asked<'w>(
        &'w self,
        question: &'w approval::Row,
        invocation_id: &'w str,
    ) -> Pin<Box<dyn Future<Output = Patience> + 'w>> {
        Box::pin(self.begin(question, invocation_id))
    }

    fn abandoned(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        if self.carried.get().is_some() { Box::pin(self.is_closed.notified()) } else { self.asking.abandoned() }
    }

    fn attended(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        match self.carried.get() {
            Some(carried) => Box::pin(self.is_wanted(carried)),
            None => self.asking.attended(),
        }
    }

    fn answered(&self) {
        self.asking.answered();
    }
}

impl Downstream {
    /// Runs a call of a modern agent. If a person has to be asked and the agent knows tasks, it is given one, and what
    /// comes of the call is kept for it.
    pub(in crate::downstream) async fn run_or_pledge(
        &self,
        task: &Task,
        line: &Line,
        open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
        left: impl Future<Output = ()>,
    ) -> Option<Said> {
        let may_pledge = task.method == "tools/call"
            && promises::knows_tasks(task.params.as_deref())
            // What is not written down could not be gone on with.
            && self.invocations.writes_all_of(&task.upstream.spec.name, task.call().tool.as_deref());
        if !may_pledge {
            return self.run(task, line, open, left).await;
        }
        let watch = Pledging::new(self, task, OnceCell::new());
        let over = async {
            left.await;
            // It left with its task: that is how it is meant.
            if let Some(carried) = watch.carried.get() {
                carried.withdrawn().await;
            }
        };
        let (said, is_to_go_on) = self.run_watched(task, line, (open, over), &watch).await;
        let Some(carried) = watch.carried.into_inner() else { return said };
        if !is_to_go_on {
            self.conclude(task, carried, said, 0).await;
        }
        None
    }

    /// Makes the call of a task whose earlier run is over, beside whatever is done now.
    pub(super) fn carry_on(&self, about: &Task, params: &str, carried: Carried, question: Option<approval::Row>) {
        self.carry_round(about, params, (carried, question), 0);
    }

    fn carry_round(
        &self,
        about: &Task,
        params: &str,
        (carried, question): (Carried, Option<approval::Row>),
        round: usize,
    ) {
        let mut task = about.another("tools/call", params);
        task.stream = EventStream::of_request();
        task.goes_on = Some(GoesOn { invocation_id: carried.invocation_id.clone(), question });
        let (this, id, stream) = (self.clone(), task.id.clone(), task.stream.clone());
        self.start(&id, stream, async move {
            this.make_round(&task, carried, round).await;
            None
        });
    }

    async fn make_round(&self, task: &Task, carried: Carried, round: usize) {
        let open = async || -> Result<Arc<Connection>, UpstreamError> {
            let open = async |upstream: &Upstream| {
                let opening = Opening::Stateless(task.abilities());
                upstream.open(Owner::Agent(task.agent_id.clone()), opening, Arc::new(NoSink)).await
            };
            self.open_present(&task.upstream, open).await
        };
        let same = SameCall::of(task, &task.agent_id);
        let held = Cell::new(self.held.take(task.params.as_deref(), &same));
        // Progress and log belong to the request that made the task, which is answered.
        let hearing = Hearing { stream: task.stream.clone(), log_level: None, progress_token: None };
        let line = Line::Alone { agent: Arc::new(Alone::new(hearing, task.abilities())), same, held };
        let watch = Pledging::new(self, task, OnceCell::from(carried));
        let over = async {
            if let Some(carried) = watch.carried.get() {
                carried.withdrawn().await;
            }
        };
        let (said, is_to_go_on) = self.run_watched(task, &line, (open, over), &watch).await;
        if let (Some(carried), false) = (watch.carried.into_inner(), is_to_go_on) {
            self.conclude(task, carried, said, round).await;
        }
    }

    /// Runs the call; also tells whether it was only interrupted, and goes on when the gateway is back.
    async fn run_watched(
        &self,
        task: &Task,
        line: &Line,
        (open, over): (impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>, impl Future<Output = ()>),
        watch: &Pledging<'_>,
    ) -> (Option<Said>, bool) {
        let (answer, crossing) = match self.answer(task, line, (open, over), watch).await {
            Ok(answered) => answered,
            Err(said) => return (Some(said), false),
        };
        let is_to_go_on = matches!(&answer, Answer::Denied(refusal) if refusal.code == "stopping");
        (self.say(task, answer, crossing), is_to_go_on)
    }

    /// Keeps what came of a call for the agent that holds its task. Nothing came of one that was withdrawn or cut off.
    async fn conclude(&self, task: &Task, carried: Carried, said: Option<Said>, round: usize) {
        let Some(said) = said else { return };
        let kept = match (splice::find(&said.text, &["result"]), splice::find(&said.text, &["error"])) {
            (Some(result), _) => match (InputRequired::read(result), Promise::made_by(result, Era::Modern)) {
                (Some(Ok(asks)), _) if asks.questions.is_empty() => {
                    return self.make_anew(task, (carried, &asks), round).await;
                }
                (Some(Ok(_)), _) => self.keep_outcome(task, &carried, INPUT_REQUIRED, result).await,
                (Some(Err(what)), _) => {
                    let object = error::object(error::UPSTREAM, &format!("what the server asks can't be read: {what}"));
                    self.keep_outcome(task, &carried, "failed", &object).await
                }
                (None, Some(promise)) => {
                    let kept_ms = promise.ttl_ms.unwrap_or(BEHIND_KEPT_MS).min(BEHIND_KEPT_MS);
                    carried.is_behind(&promise.id, i64::try_from(kept_ms).unwrap_or(0)).await
                }
                (None, None) => self.keep_outcome(task, &carried, "completed", result).await,
            },
            (None, Some(object)) => self.keep_outcome(task, &carried, "failed", object).await,
            (None, None) => Ok(()),
        };
        if let Err(error) = kept {
            // The call's row tells what is known of it, and whoever asks after the task is told that.
            tracing::error!(task.id = carried.id, error = %crate::chain(&error), "what came of a task could not be kept");
        }
    }

    async fn keep_outcome(
        &self,
        task: &Task,
        carried: &Carried,
        state: &'static str,
        text: &str,
    ) -> Result<(), StoreError> {
        self.pledges.settle(&carried.id, state, Some(text.to_owned())).await?;
        let what = "the call was made, but its result had to make way for later ones; it is kept no longer";
        let data = serde_json::json!({ "code": "outcome_lost", "retry": "no" });
        self.pledges.make_way(&task.agent_id, &error::object_with(error::UPSTREAM, what, &data)).await
    }

    /// The server wants the call once more, with its own word and nothing of the agent's: a call of its own, as each round.
    async fn make_anew(&self, task: &Task, (carried, asks): (Carried, &InputRequired), round: usize) {
        let params = next_params(task.params.as_deref().unwrap_or("{}"), asks, []);
        let params = splice::without(&params, |key| key == "inputResponses");
        let id = carried.id.clone();
        let next: Result<Option<Carried>, StoreError> = async {
            if round >= ROUNDS_MAX {
                let what = format!("the server gave the call back {ROUNDS_MAX} times and asked nothing");
                self.keep_outcome(task, &carried, "failed", &error::object(error::UPSTREAM, &what)).await?;
                return Ok(None);
            }
            match self.pledges.find(&id, &task.agent_id, &task.upstream.spec.id).await? {
                Some(row) => self.pledges.go_on(&row, &params).await,
                None => Ok(None),
            }
        }
        .await;
        match next {
            Ok(Some(next)) => self.carry_round(task, &params, (next, None), round + 1),
            Ok(None) => {}
            Err(error) => tracing::error!(task.id = id, error = %crate::chain(&error), "a task could not go on"),
        }
    }
}
