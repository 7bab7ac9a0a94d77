//! One request of an agent, from its parameters to the message that answers it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::asking::{self, Asking};
use super::bridge::Crossing;
use super::defined::{as_shown, claimed_and_defined, claimed_or, define, demand};
use super::line::{Line, Way};
use super::pledges::GoesOn;
use super::response::{Framing, Headers, Incoming, Response};
use super::session::Session;
use super::stream::EventStream;
use super::{Downstream, Phase, listing};
use crate::gate::{Arguments, Call};
use crate::identity::Agent;
use crate::invocation::{self, Answer, Ready, Refusal, Request, Watch};
use crate::mcp::question::Abilities;
use crate::mcp::version::Era;
use crate::mcp::{envelope, error, meta, method, splice};
use crate::store::approval;
use crate::upstream::{Claim, Connection, Reply, Ticket, Upstream, UpstreamError};

/// An answer that takes longer than this is sent as a stream, so that the connection shows life.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request, and who makes it.
pub(super) struct Task {
    pub(super) agent: Arc<str>,
    pub(super) agent_id: Arc<str>,
    /// The agent with the key that it came with.
    pub(super) caller: Arc<Agent>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) request_id: String,
    pub(super) client: Option<(String, String)>,
    pub(super) session: Option<Arc<str>>,
    pub(super) era: Era,
    /// The request's id, as text.
    pub(super) id: String,
    pub(super) method: String,
    pub(super) params: Option<String>,
    /// Where the answer goes.
    pub(super) stream: Arc<EventStream>,
    /// Set for a call that an earlier request made, and that goes on in this one's name.
    pub(super) goes_on: Option<GoesOn>,
}

/// An answer: its message, and the HTTP status that the modern era prescribes for it.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Said {
    /// Whether it carries a result.
    pub(super) fn is_result(&self) -> bool {
        splice::find(&self.text, &["result"]).is_some()
    }
}

/// The parts of a request as they were read.
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) params: Option<String>,
}

impl Task {
    /// In a session, or standing alone when there is none.
    pub(super) fn new(
        upstream: &Arc<Upstream>,
        incoming: &Incoming,
        session: Option<&Arc<Session>>,
        asked: Asked<'_>,
    ) -> Self {
        Self {
            agent: incoming.agent.name.as_str().into(),
            agent_id: incoming.agent.id.as_str().into(),
            caller: incoming.agent.clone(),
            upstream: upstream.clone(),
            request_id: incoming.request_id.clone(),
            client: session.and_then(|session| session.client()),
            session: session.map(|session| session.id.clone()),
            era: if session.is_some() { Era::Legacy } else { Era::Modern },
            id: asked.id.to_owned(),
            method: asked.method.to_owned(),
            params: asked.params,
            stream: EventStream::of_request(),
            goes_on: None,
        }
    }

    /// A request of the gateway's own that this one makes necessary, and that is put to the rules like one of the agent's.
    pub(super) fn another(&self, method: &str, params: &str) -> Self {
        Self {
            agent: self.agent.clone(),
            agent_id: self.agent_id.clone(),
            caller: self.caller.clone(),
            upstream: self.upstream.clone(),
            request_id: self.request_id.clone(),
            client: self.client.clone(),
            session: self.session.clone(),
            era: self.era,
            id: self.id.clone(),
            method: method.to_owned(),
            params: Some(params.to_owned()),
            stream: self.stream.clone(),
            goes_on: None,
        }
    }

    pub(super) fn call(&self) -> Call {
        self.call_with(Arguments::given(self.arguments().as_deref()))
    }

    /// The call, with arguments that are at hand: they may be large.
    pub(super) fn call_with(&self, arguments: Arguments) -> Call {
        Call {
            agent: self.agent.clone(),
            server: self.upstream.spec.name.clone(),
            method: self.method.clone(),
            tool: self.subject(),
            arguments,
            hints: None,
        }
    }

    /// The call as it went out with `params`: a person may have put other arguments in place of the agent's.
    pub(super) fn call_as_sent(&self, params: &str) -> Call {
        match self.method.as_str() {
            "tools/call" => self.call_with(Arguments::given(splice::find(params, &["arguments"]))),
            _ => self.call(),
        }
    }

    /// What it is about: a tool's or prompt's name, or a resource's URI.
    pub(super) fn subject(&self) -> Option<String> {
        method::subject(&self.method, self.params.as_deref())
    }

    pub(super) fn request(&self) -> Request {
        let arguments = self.arguments();
        let question = self.asked_before();
        Request {
            call: self.call_with(Arguments::given(arguments.as_deref())),
            agent_id: self.agent_id.clone(),
            request_id: self.request_id.clone(),
            client: self.client.clone(),
            session: self.session.clone(),
            server_id: self.upstream.spec.id.clone(),
            server_revision: self.upstream.spec.revision,
            arguments,
            other_params: self.other_params(),
            row_id: self.goes_on.as_ref().map(|goes_on| goes_on.invocation_id.clone()),
            approval_id: question.map(|question| question.id.clone()),
        }
    }

    /// The question that an earlier process asked about this call.
    fn asked_before(&self) -> Option<&approval::Row> {
        self.goes_on.as_ref()?.question.as_ref()
    }

    /// What the call is made with: a tool's arguments, else the parameters without what only concerns the transport.
    fn arguments(&self) -> Option<String> {
        let params = self.params.as_deref()?;
        match self.method.as_str() {
            "tools/call" => splice::find(params, &["arguments"]).map(Into::into),
            _ => Some(splice::without(params, |key| key == "_meta")),
        }
    }

    /// What else a tool is called with: answers to its questions, the wish for a task, whatever a later revision has.
    fn other_params(&self) -> Option<String> {
        if self.method != "tools/call" {
            return None;
        }
        let known = ["name", "arguments", "_meta"];
        let others = splice::without(self.params.as_deref()?, |key| known.contains(&key));
        splice::members(&others).is_some_and(|members| !members.is_empty()).then_some(others)
    }

    /// Whether what is decided on is what the server will read, whatever reads it there.
    pub(super) fn is_unambiguous(&self) -> Result<(), String> {
        if let Some((key, read)) = self.params.as_deref().and_then(|params| method::look_alike(&self.method, params)) {
            return Err(format!("the member {key:?} may be taken for {read:?}; leave it out"));
        }
        if method::needs_subject(&self.method) && self.subject().is_none() {
            return Err(format!("{} needs a name or uri that is a string", self.method));
        }
        Ok(())
    }

    /// What a stateless agent says that it can be asked.
    pub(super) fn abilities(&self) -> Abilities {
        Abilities::read(meta::get(self.params.as_deref(), meta::CLIENT_CAPABILITIES).unwrap_or("{}"))
    }

    pub(super) fn says(&self, result: &str) -> Said {
        Said { status: 200, text: envelope::result(&self.id, result) }
    }

    pub(super) fn says_error(&self, object: &str) -> Said {
        let status = match (self.era, error::code_of(object)) {
            (Era::Modern, Some(error::METHOD_NOT_FOUND)) => 404,
            (Era::Modern, Some(-32029..=-32020)) => 400,
            _ => 200,
        };
        Said { status, text: envelope::error(Some(&self.id), object) }
    }
}

impl Downstream {
    /// Runs a request to its answer; `None` when the agent no longer wants one.
    pub(super) async fn run(
        &self,
        task: &Task,
        line: &Line,
        open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
        cancelled: impl Future<Output = ()>,
    ) -> Option<Said> {
        let progress_token = meta::progress_token(task.params.as_deref()).map(Into::into);
        let watch = Asking::new(task.stream.clone(), progress_token, self.public_url.clone());
        match self.answer(task, line, (open, cancelled), &watch).await {
            Ok((answer, crossing)) => self.say(task, answer, crossing),
            Err(said) => Some(said),
        }
    }

    /// Runs a request to its end, and tells how to say it; what can't be run is refused.
    pub(super) async fn answer(
        &self,
        task: &Task,
        line: &Line,
        (open, cancelled): (impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>, impl Future<Output = ()>),
        watch: &dyn Watch,
    ) -> Result<(Answer, Crossing), Said> {
        if let Err(what) = task.is_unambiguous() {
            return Err(task.says_error(&error::object(error::INVALID_PARAMS, &what)));
        }
        let progress_token = meta::progress_token(task.params.as_deref()).map(Into::into);
        let ticket = Ticket { sink: line.sink(), progress_token, id: task.id.clone() };
        let client = line.client();
        let crossing = Cell::new(Crossing { agent: task.era, server: task.era });
        let reopen = &open;
        let (found, decided_on) = (Cell::new(None), RefCell::new(None));
        let look = async |is_anew: bool| {
            if let Some(question) = task.asked_before() {
                return Ok(as_shown(question));
            }
            let connection = claimed(reopen).await?;
            let (connection, _not_held, definition) = claimed_and_defined(task, connection, reopen, is_anew).await?;
            decided_on.replace(Some(definition.clone()));
            found.set(Some(connection));
            Ok(definition)
        };
        let open = async |is_anew: bool| {
            let looked = decided_on.take().filter(|_| !is_anew);
            let (way, definition) = if let Some(held) = line.take_held() {
                let way = Way::On(held);
                let definition = match looked {
                    Some(definition) => definition,
                    None => define(task, way.connection(), is_anew).await?,
                };
                (way, definition)
            } else {
                let claimed = match found.take().filter(|_| !is_anew) {
                    Some(found) => claimed_or(found, reopen).await?,
                    None => claimed(reopen).await?,
                };
                let (connection, claim, definition) = match looked {
                    Some(definition) => (claimed.0, claimed.1, definition),
                    None => claimed_and_defined(task, claimed, reopen, is_anew).await?,
                };
                (Way::New(connection, claim), definition)
            };
            crossing.set(Crossing { agent: task.era, server: way.connection().handshake.era });
            let (revision, means) = (way.connection().revision, (task, line, &client));
            let expected = definition.clone();
            let dispatch = async move |permit, ticket| {
                demand(task, way.connection(), expected.as_ref()).await?;
                let reopen = async || {
                    let connection = reopen().await?;
                    demand(task, &connection, expected.as_ref()).await?;
                    Ok(connection)
                };
                // On the heap: what a call carries through all of its steps stays small.
                Box::pin(self.dispatch(means, way, permit, ticket, reopen)).await
            };
            Ok(Ready { revision, definition, dispatch })
        };
        let cancelled = self.given_up(task, cancelled);
        let way = invocation::Way { look, open, ticket };
        let answer = match self.invocations.run(&task.request(), way, watch, cancelled).await {
            Answer::Reply(reply) => Answer::Reply(crossing.get().visit(&task.method, reply, &client)),
            other => other,
        };
        Ok((answer, crossing.get()))
    }

    /// The message for what became of a call.
    pub(super) fn say(&self, task: &Task, answer: Answer, crossing: Crossing) -> Option<Said> {
        Some(match answer {
            Answer::Reply(reply) => match crossing.reply(&task.method, reply) {
                Reply::Result(result) => {
                    let call = task.call_with(Arguments::Unknown);
                    task.says(&listing::filter(self.invocations.gate(), &call, &task.upstream.spec.id, result))
                }
                Reply::Error(object) => task.says_error(&object),
            },
            Answer::Denied(refusal) => denied(task, &refusal),
            Answer::Pending(pending) => asking::pending(task, &pending, &self.public_url),
            Answer::Refused(refusal) => {
                task.says_error(&error::object_with(error::INTERNAL, &refusal.text, &data(&refusal)))
            }
            Answer::Failed(failed) => task.says_error(&failure(task, &failed)),
            Answer::Cancelled => return None,
        })
    }

    /// Resolves when nobody wants the call any more: its agent, the key that it was made with, or the gateway.
    pub(super) async fn given_up(&self, task: &Task, cancelled: impl Future<Output = ()>) {
        tokio::select! {
            () = cancelled => {}
            () = task.caller.over() => {}
            () = self.phase_is(Phase::Closed) => {}
        }
    }

    /// Runs a task beside the answer to its POST: the agent may go away while the call runs on.
    pub(super) fn start(&self, id: &str, stream: Arc<EventStream>, work: impl Future<Output = Option<Said>> + 'static) {
        let under_way = UnderWay::new(self.under_way.clone(), id.to_owned(), stream);
        // On the heap before it is handed over: it is large, and starting a task moves it several times.
        let work = Box::pin(work);
        actix_rt::spawn(async move { under_way.end(work.await) });
    }
}

/// A connection that stays until the call is over, even if the server is edited or restarted meanwhile.
pub(super) async fn claimed(
    open: impl AsyncFn() -> Result<Arc<Connection>, UpstreamError>,
) -> Result<(Arc<Connection>, Claim), UpstreamError> {
    loop {
        let connection = open().await?;
        // It may have begun to close since it was given: then there is a newer one.
        if let Some(claim) = connection.claim() {
            connection.look()?;
            return Ok((connection, claim));
        }
    }
}

/// A task that runs. Dropping it, which only a panic or the end of its thread does, still gives the agent an answer.
struct UnderWay {
    count: Arc<watch::Sender<usize>>,
    id: String,
    stream: Arc<EventStream>,
}

impl UnderWay {
    fn new(count: Arc<watch::Sender<usize>>, id: String, stream: Arc<EventStream>) -> Self {
        count.send_modify(|count| *count += 1);
        Self { count, id, stream }
    }

    fn end(self, said: Option<Said>) {
        match said {
            Some(said) => self.stream.finish_with(said.status, said.text),
            None => self.stream.finish(None),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.stream.is_finished() {
            let what = "the gateway broke off; whether the call ran is unknown";
            let object = error::object_with(error::INTERNAL, what, &json!({ "code": "broke_off", "retry": "no" }));
            self.stream.finish(Some(envelope::error(Some(&self.id), &object)));
        }
        self.count.send_modify(|count| *count -= 1);
    }
}

/// The model must learn of a denied tool call, so it is a tool's result; other requests can only be answered by an error.
fn denied(task: &Task, refusal: &Refusal) -> Said {
    let what = task.call().tool.unwrap_or_else(|| task.method.clone());
    let (did, sent) = if refusal.code == "denied_meanwhile" {
        ("broke off", "The server had asked something in return, and was given no answer.")
    } else {
        ("did not make", "Nothing was sent to the server.")
    };
    let advice = match refusal.code {
        "too_many_approvals" | "approval_used" | "approval_outdated" | "stopping" | "tool_held" => "",
        _ => " Don't repeat it unchanged; choose another way, or ask the operator for a rule that allows it.",
    };
    let text = format!(
        "Atryum {did} this call ({what} on {}): {}. {sent}{advice}",
        task.upstream.spec.name,
        refusal.text.trim_end_matches('.'),
    );
    if task.method != "tools/call" {
        return task.says_error(&error::object_with(error::DENIED, &text, &data(refusal)));
    }
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true }).to_string();
    task.says(&crossing_of_own(task.era).result(&task.method, result))
}

/// What the gateway says itself is said as a legacy server would say it, and crosses like that.
pub(super) fn crossing_of_own(agent: Era) -> Crossing {
    Crossing { agent, server: Era::Legacy }
}

fn data(refusal: &Refusal) -> serde_json::Value {
    json!({ "code": refusal.code, "invocation_id": refusal.invocation_id })
}

pub(super) fn failure(task: &Task, failed: &UpstreamError) -> String {
    let message = format!("{}: {}", task.upstream.spec.name, task.upstream.scrub(&failed.to_string()));
    let retry = if failed.was_sent() { "no" } else { "safe" };
    let mut data = json!({ "code": failed.kind(), "retry": retry });
    if let (Some(seconds), Some(data)) = (failed.retry_after_seconds(), data.as_object_mut()) {
        data.insert("retry_after_seconds".into(), seconds.into());
    }
    error::object_with(error::UPSTREAM, &message, &data)
}

/// The answer to a POST: one message if that is all there is, else the stream.
pub(super) async fn respond(
    stream: &Arc<EventStream>,
    headers: &Headers,
    framing: Framing,
    session: Option<String>,
) -> Response {
    // Held while waiting: an agent that goes away is noticed by its drop.
    let reader = stream.read_after(0);
    if !headers.accepts_stream {
        stream.mute();
    }
    if framing == Framing::Primed && headers.accepts_stream {
        // Opened at once, so that whatever happens to the connection, the answer can still be fetched.
        return Response::Stream { reader, framing, session };
    }
    let only = if headers.accepts_json {
        let only = stream.only_message();
        if headers.accepts_stream {
            tokio::time::timeout(PATIENCE, only).await.ok().flatten()
        } else {
            Some(stream.last_message().await)
        }
    } else {
        None
    };
    match only {
        Some(body) => {
            // A handshake that failed opened nothing.
            let session = session.filter(|_| splice::find(&body, &["error"]).is_none());
            Response::Message { status: stream.status(), body: body.to_string(), session }
        }
        None => Response::Stream { reader, framing, session },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_breaks_off_still_gives_its_agent_an_answer() {
        let (count, stream) = (Arc::new(watch::Sender::new(0)), EventStream::of_request());
        let under_way = UnderWay::new(count.clone(), "7".into(), stream.clone());
        assert_eq!(*count.borrow(), 1);
        let broken = tokio::spawn(async move {
            let _under_way = under_way;
            panic!("as this test wants it");
        });
        assert!(broken.await.is_err());
        let answer = stream.only_message().await.unwrap();
        assert!(answer.contains(r#""id":7"#) && answer.contains("broke_off"), "{answer}");
        assert_eq!(*count.borrow(), 0);
    }

    #[tokio::test]
    async fn a_task_that_ends_well_says_what_it_has_to_say_once() {
        let (count, stream) = (Arc::new(watch::Sender::new(0)), EventStream::of_request());
        UnderWay::new(count.clone(), "7".into(), stream.clone()).end(Some(Said { status: 200, text: "answer".into() }));
        assert_eq!(stream.only_message().await.as_deref(), Some("answer"));
        assert_eq!(*count.borrow(), 0);
    }
}
