//! The legacy era: a handshake, then a session (Streamable HTTP, 2024-11-05 to 2025-11-25).

mod resources;

use std::sync::Arc;

use serde_json::value::RawValue;

use super::bridge;
use super::call::{Asked, Said, Task, respond};
use super::line::Line;
use super::promises::Outlasting;
use super::response::{Framing, Incoming, Response};
use super::session::{Begun, May, Session};
use super::sessions::Place;
use super::stream::EventStream;
use super::{Downstream, Phase, envelope, version};
use crate::gate::{Action, Arguments, Call};
use crate::mcp::envelope::Message;
use crate::mcp::version::Era;
use crate::mcp::{error, method, splice};
use crate::upstream::{Audience, Connection, Reply, Setting, Sink, Upstream, UpstreamError};

impl Downstream {
    pub(super) async fn legacy(&self, upstream: Arc<Upstream>, incoming: Incoming) -> Response {
        if let Some(asked) = &incoming.headers.protocol_version
            && !version::SPOKEN.contains(&asked.as_str())
        {
            let what = format!("MCP-Protocol-Version {asked:?} is not spoken here; {} are", version::SPOKEN.join(", "));
            let id = envelope::salvage_id(&incoming.body).map(RawValue::get);
            return Response::error(400, id, error::INVALID_REQUEST, &what);
        }
        if let Some(batch) = envelope::batch(&incoming.body) {
            return self.batch(upstream, &incoming, &batch).await;
        }
        let message = match envelope::parse(&incoming.body) {
            Ok(message) => message,
            Err(refused) => {
                let id = envelope::salvage_id(&incoming.body).map(RawValue::get);
                return Response::error(400, id, error::INVALID_REQUEST, &refused.to_string());
            }
        };
        match message {
            Message::Request { id, method, params } if method == "initialize" => {
                self.initialize(upstream, &incoming, id.get(), params.map(RawValue::get)).await
            }
            message => match self.session(&upstream, &incoming) {
                Ok(session) => self.in_session(upstream, &incoming, &session, message).await,
                Err(response) => response,
            },
        }
    }

    pub(super) fn session(&self, upstream: &Upstream, incoming: &Incoming) -> Result<Arc<Session>, Response> {
        let Some(id) = &incoming.headers.session else {
            let id = envelope::salvage_id(&incoming.body).map(RawValue::get);
            let what = "the header Mcp-Session-Id is missing; begin with initialize";
            return Err(Response::error(400, id, error::INVALID_REQUEST, what));
        };
        let session = self.sessions.find(id, &incoming.agent.id, &upstream.spec.id).ok_or(Response::NoSession)?;
        session.touch();
        Ok(session)
    }

    async fn initialize(
        &self,
        upstream: Arc<Upstream>,
        incoming: &Incoming,
        id: &str,
        params: Option<&str>,
    ) -> Response {
        let Some(asked) = params.and_then(|params| splice::find_string(params, &["protocolVersion"])) else {
            let what = "initialize needs params with a protocolVersion";
            return Response::error(400, Some(id), error::INVALID_PARAMS, what);
        };
        if let Some(refused) = self.refuse_if_stopping(id) {
            return refused;
        }
        let Some(place) = self.sessions.place() else {
            let what =
                format!("all {} sessions are in use; end one, or raise http.sessions_max", self.sessions.count_max());
            return Response::error(503, Some(id), error::UPSTREAM, &what);
        };
        let agreed = version::negotiate(&asked).to_owned();
        let params = splice::set(params.unwrap_or("{}"), &["protocolVersion"], &envelope::quoted(&agreed));
        let session = Arc::new(Session::new(
            new_session_id(),
            incoming.agent.id.clone(),
            upstream.spec.id.clone(),
            agreed,
            params.clone(),
            self.promises.clone(),
        ));
        let asked = Asked { id, method: "initialize", params: Some(params) };
        let task = Task::new(&upstream, incoming, Some(&session), asked);
        let stream = task.stream.clone();
        let session_id = session.id.to_string();
        let this = self.clone();
        self.start(id, stream.clone(), async move { this.open_session(&task, session, place).await });
        match respond(&stream, &incoming.headers, Framing::Resumable, Some(session_id.clone())).await {
            // What was not opened has no name.
            Response::Message { status, body, .. } if !self.sessions.has(&session_id) => {
                Response::Message { status, body, session: None }
            }
            response => response,
        }
    }

    /// The session is known before the agent learns of it, and only when its connection stands.
    async fn open_session(&self, task: &Task, session: Arc<Session>, place: Place) -> Option<Said> {
        let opened = tokio::select! {
            opened = self.connect(task, &session) => opened,
            () = self.phase_is(Phase::Stopping) => Err(UpstreamError::Stopped { was_sent: false }),
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(failed) => return Some(task.says_error(&super::call::failure(task, &failed))),
        };
        // An agent that gave up waiting will never name this session: its process would idle for nobody.
        if !task.stream.has_reader() {
            return None;
        }
        let result = bridge::initialize_result(&connection, session.version());
        self.sessions.insert(session, place);
        Some(task.says(&result))
    }

    /// The session's connection. When all processes are taken, one whose client seems to be gone is made free.
    async fn connect(&self, task: &Task, session: &Arc<Session>) -> Result<Arc<Connection>, UpstreamError> {
        let may = || self.may_again(task);
        let open = async |upstream: &Upstream| {
            let opened = session.connection(upstream, &may).await;
            if !matches!(opened, Err(UpstreamError::TooMany { .. })) || !self.sessions.make_room(&session.server_id) {
                return opened;
            }
            upstream.has_room().await;
            session.connection(upstream, &may).await
        };
        self.open_present(&task.upstream, open).await
    }

    /// What the agent set before is set again only where the rules still let it.
    pub(super) fn may_again(&self, task: &Task) -> May {
        let (gate, agent) = (self.invocations.gate().clone(), task.agent.clone());
        let server = task.upstream.spec.name.clone();
        Arc::new(move |setting: Setting, subject: Option<&str>| {
            let (method, tool) = (setting.method().to_owned(), subject.map(ToOwned::to_owned));
            let call = Call {
                agent: agent.clone(),
                server: server.clone(),
                method,
                tool,
                // What it was set to is not kept here; a rule that has to know it says no.
                arguments: Arguments::Unknown,
                hints: None,
            };
            gate.decide(&call).action != Action::Deny
        })
    }

    async fn in_session(
        &self,
        upstream: Arc<Upstream>,
        incoming: &Incoming,
        session: &Arc<Session>,
        message: Message<'_>,
    ) -> Response {
        match message {
            Message::Request { id, method, params } => {
                if let Some(refused) = self.refuse_if_stopping(id.get()) {
                    return refused;
                }
                let asked =
                    Asked { id: id.get(), method: &method, params: params.map(|params| params.get().to_owned()) };
                let task = Task::new(&upstream, incoming, Some(session), asked);
                let stream = task.stream.clone();
                self.request(task, session.clone(), stream.clone());
                let framing = Framing::of_session(session.version());
                let response = respond(&stream, &incoming.headers, framing, None).await;
                if matches!(response, Response::Message { .. }) {
                    session.forget(&stream);
                }
                response
            }
            Message::Notification { method, params } => {
                match notification(session, &method, params.map(RawValue::get)) {
                    Ok(()) => Response::Accepted,
                    Err(what) => Response::error(400, None, error::INVALID_REQUEST, &what),
                }
            }
            Message::Response { id, outcome } => {
                answer(session, id, outcome);
                Response::Accepted
            }
        }
    }

    fn request(&self, task: Task, session: Arc<Session>, sink: Arc<EventStream>) {
        let this = self.clone();
        let (id, stream) = (task.id.clone(), task.stream.clone());
        // At once: what cancels it may come in the same batch.
        let begun = session.begin(&id, &stream);
        self.start(&id, stream, async move { this.request_in(&task, &session, begun, sink).await });
    }

    async fn request_in(
        &self,
        task: &Task,
        session: &Arc<Session>,
        begun: Option<Begun>,
        sink: Arc<dyn Sink>,
    ) -> Option<Said> {
        if task.method == "ping" {
            return Some(task.says("{}"));
        }
        let Some(begun) = begun else {
            let what = format!("a request with the id {} is still in flight in this session", task.id);
            return Some(task.says_error(&error::object(error::INVALID_REQUEST, &what)));
        };
        if resources::is_meant(&task.method) {
            return self.subscribe_in(task, session, sink, begun.cancelled()).await;
        }
        let open = async || self.connect(task, session).await;
        let line = Line::InSession { session: session.clone(), sink: Outlasting::of(task, session, sink) };
        let said = self.run(task, &line, open, begun.cancelled()).await?;
        if said.is_result() {
            session.remember(&task.method, task.params.as_deref());
        }
        Some(said)
    }

    /// 2025-03-26 knows batches. Each element is a message of its own and is gated as such.
    async fn batch(&self, upstream: Arc<Upstream>, incoming: &Incoming, batch: &[&RawValue]) -> Response {
        let session = match self.session(&upstream, incoming) {
            Ok(session) => session,
            Err(response) => return response,
        };
        if session.version() != version::BATCHED {
            let what = format!("a batch is not a message in {}; send one message at a time", session.version());
            return Response::error(400, None, error::INVALID_REQUEST, &what);
        }
        if batch.is_empty() {
            return Response::error(400, None, error::INVALID_REQUEST, "the batch is empty");
        }
        let mut streams = Vec::new();
        let mut answers = Vec::new();
        if let Some(refused) = self.refuse_if_stopping("null") {
            return refused;
        }
        for element in batch {
            match envelope::parse(element.get()) {
                Ok(Message::Request { id, method, .. }) if method == "initialize" => {
                    let object = error::object(error::INVALID_REQUEST, "initialize can't be part of a batch");
                    answers.push(envelope::error(Some(id.get()), &object));
                }
                Ok(Message::Request { id, method, params }) => {
                    let params = params.map(|params| params.get().to_owned());
                    let asked = Asked { id: id.get(), method: &method, params };
                    let task = Task::new(&upstream, incoming, Some(&session), asked);
                    streams.push(task.stream.clone());
                    self.request(task, session.clone(), session.standing());
                }
                Ok(Message::Notification { method, params }) => {
                    let _ = notification(&session, &method, params.map(RawValue::get));
                }
                Ok(Message::Response { id, outcome }) => answer(&session, id, outcome),
                Err(refused) => {
                    let id = envelope::salvage_id(element.get()).map(RawValue::get);
                    answers.push(envelope::error(id, &error::object(error::INVALID_REQUEST, &refused.to_string())));
                }
            }
        }
        for stream in streams {
            let answer = stream.last_message().await;
            if !answer.is_empty() {
                answers.push(answer.to_string());
            }
        }
        if answers.is_empty() {
            return Response::Accepted;
        }
        Response::Message { status: 200, body: format!("[{}]", answers.join(",")), session: None }
    }
}

/// Passes an agent's notification on, or says why it is none.
fn notification(session: &Session, method: &str, params: Option<&str>) -> Result<(), String> {
    if !method.starts_with("notifications/") {
        return Err(format!("{method:?} without an id is no notification; nothing was done"));
    }
    if method == "notifications/cancelled" {
        if let Some(id) = params.and_then(|params| splice::find(params, &["requestId"])) {
            session.cancel(id);
        }
        return Ok(());
    }
    if !method::is_told_by_clients(method) {
        return Err(format!("{method:?} is not known as something that a client tells its server; nothing was done"));
    }
    if method == "notifications/initialized" {
        session.initialized();
    }
    let Some(connection) = session.present() else { return Ok(()) };
    // A modern server has no session that this could be about; a shared one has others.
    let is_passed_on = connection.audience == Audience::Session && connection.handshake.era == Era::Legacy;
    if is_passed_on && let Err(error) = connection.notify(method, params) {
        // A notification has no answer; a lost connection shows with the next request.
        tracing::debug!(method, error = %error, "a notification could not be passed on");
    }
    Ok(())
}

/// An agent's answer to something that its server asked it.
fn answer(session: &Session, id: &RawValue, outcome: envelope::Reply<'_>) {
    let Ok(id) = id.get().parse() else { return };
    let reply = match outcome {
        envelope::Reply::Result(result) => Reply::Result(result.get().to_owned()),
        envelope::Reply::Error(error) => Reply::Error(error.get().to_owned()),
    };
    session.answer(id, &reply);
}

/// More than 128 bits of chance.
pub(super) fn new_session_id() -> Arc<str> {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()).into()
}
