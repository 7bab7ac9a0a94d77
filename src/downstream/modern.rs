//! The modern era: each request stands alone (2026-07-28).
//!
//! Headers repeat parts of the body so that what stands between can route by them. The gateway decides by the body; so a
//! header that says something else is refused, or whoever trusts headers would be told one thing and the gateway another.

use std::cell::Cell;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::json;
use serde_json::value::RawValue;

use super::alone::{Alone, Hearing};
use super::call::{Asked, Said, Task, respond};
use super::held::SameCall;
use super::line::Line;
use super::pledges::{self, About};
use super::response::{Framing, Headers, Incoming, Response};
use super::{Downstream, bridge, envelope, listen, meta, mirrored, version};
use crate::gate::{Action, Arguments, Call};
use crate::mcp::envelope::Message;
use crate::mcp::log_level::LogLevel;
use crate::mcp::version::Era;
use crate::mcp::{error, method, splice};
use crate::upstream::{Connection, LogWanted, NoSink, Opening, Owner, Setting, Upstream, UpstreamError};

/// A request that is not acceptable as it is: HTTP status and error object.
struct Unacceptable(u16, String);

impl Downstream {
    pub(super) async fn modern(&self, upstream: Arc<Upstream>, incoming: Incoming) -> Response {
        let (id, method, params) = match envelope::parse(&incoming.body) {
            Ok(Message::Request { id, method, params }) => (id.get(), method, params.map(RawValue::get)),
            // There is nothing that a notification could reach: the connection of a request is its cancellation.
            Ok(Message::Notification { .. }) => return Response::Accepted,
            Ok(Message::Response { .. }) => {
                return Response::error(400, None, error::INVALID_REQUEST, "nothing was asked of this client");
            }
            Err(refused) => {
                let id = envelope::salvage_id(&incoming.body).map(RawValue::get);
                return Response::error(400, id, error::INVALID_REQUEST, &refused.to_string());
            }
        };
        if let Err(Unacceptable(status, object)) = check(&incoming.headers, &method, params) {
            return Response::error_object(status, Some(id), &object);
        }
        let asked = Asked { id, method: &method, params: params.map(Into::into) };
        let mut task = Task::new(&upstream, &incoming, None, asked);
        let stream = task.stream.clone();
        task.client = client(params);
        if let Some(refused) = self.refuse_if_stopping(id) {
            return refused;
        }
        let this = self.clone();
        let headers = incoming.headers.clone();
        self.start(id, stream.clone(), async move { this.stand_alone(&task, &incoming.headers).await });
        respond(&stream, &headers, Framing::Plain, None).await
    }

    async fn stand_alone(&self, task: &Task, headers: &Headers) -> Option<Said> {
        if task.method == listen::METHOD {
            return self.listen(task).await;
        }
        let open = async || -> Result<Arc<Connection>, UpstreamError> {
            let open = async |upstream: &Upstream| {
                let opening = Opening::Stateless(task.abilities());
                upstream.open(Owner::Agent(task.agent_id.clone()), opening, Arc::new(NoSink)).await
            };
            self.open_present(&task.upstream, open).await
        };
        if task.method == "server/discover" {
            return Some(match open().await {
                Ok(connection) => task.says(&bridge::discover_result(&connection.handshake)),
                Err(failed) => task.says_error(&super::call::failure(task, &failed)),
            });
        }
        match self.about_pledge(task).await {
            About::Nothing => {}
            About::Said(said) => return Some(said),
            About::Behind(of_server, id) => {
                let said = Box::pin(self.stand_alone(&of_server, headers)).await?;
                return Some(pledges::renamed(said, &id));
            }
        }
        let same = SameCall::of(task, &task.agent_id);
        let held = self.held.take(task.params.as_deref(), &same);
        let of_held = held.as_ref().map(|held| held.connection.clone());
        let mut has_left = false;
        let opened = Cell::new(None);
        let open = async || match &of_held {
            Some(connection) => Ok(connection.clone()),
            None => open().await,
        };
        // What is denied anyway needs no server for it.
        let action = self.invocations.gate().decide(&task.call()).action;
        if task.method == "tools/call" && action != Action::Deny {
            tokio::select! {
                biased;
                () = task.stream.left() => has_left = true,
                checked = check_mirrored(task, headers, &open, &opened) => {
                    if let Err(object) = checked {
                        return Some(task.says_error(&object));
                    }
                }
            }
        }
        let open = async || match opened.take() {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(failed)) if action == Action::Allow => Err(failed),
            Some(Err(_)) | None => open().await,
        };
        let over = async {
            if !has_left {
                task.stream.left().await;
            }
        };
        let progress_token = meta::progress_token(task.params.as_deref()).map(Into::into);
        let hearing = Hearing { stream: task.stream.clone(), log_level: log_level(task), progress_token };
        let agent = Arc::new(Alone::new(hearing, task.abilities()));
        self.run_or_pledge(task, &Line::Alone { agent, same, held: Cell::new(held) }, open, over).await
    }
}

impl Downstream {
    /// Makes a legacy server tell its log to a request that asked for it, while what this gives is held.
    pub(super) async fn want_log(&self, task: &Task, connection: &Arc<Connection>) -> Option<LogWanted> {
        if (task.era, connection.handshake.era) != (Era::Modern, Era::Legacy) {
            return None;
        }
        let level = log_level(task)?;
        splice::find(connection.handshake.capabilities(), &["logging"])?;
        // Nobody was asked before: what needs a person is not set without one.
        let arguments = Arguments::given(Some(&json!({ "level": level.name() }).to_string()));
        let call = Call { method: Setting::LogLevel.method().into(), tool: None, arguments, ..task.call() };
        let may_set = self.invocations.gate().decide(&call).action == Action::Allow;
        if may_set { Some(connection.want_log(level).await) } else { None }
    }
}

type Opened = Result<Arc<Connection>, UpstreamError>;

/// Compares arguments with the headers that mirror them. The connection that this needs is left in `opened` for the call.
async fn check_mirrored(
    task: &Task,
    headers: &Headers,
    open: impl AsyncFn() -> Opened,
    opened: &Cell<Option<Opened>>,
) -> Result<(), String> {
    let connection = open().await;
    let checked = match &connection {
        Ok(connection) => mirrored::check(task, headers, connection).await,
        // That it can't be reached is told by the call itself.
        Err(_) => Ok(()),
    };
    opened.set(Some(connection));
    checked
}

fn log_level(task: &Task) -> Option<LogLevel> {
    LogLevel::named(&meta::get_string(task.params.as_deref(), meta::LOG_LEVEL)?)
}

fn client(params: Option<&str>) -> Option<(String, String)> {
    let info = meta::get(params, meta::CLIENT_INFO)?;
    let version = splice::find_string(info, &["version"]).unwrap_or_default();
    Some((splice::find_string(info, &["name"])?, version))
}

fn check(headers: &Headers, method: &str, params: Option<&str>) -> Result<(), Unacceptable> {
    let mismatch = |what: String| Unacceptable(400, error::object(error::HEADER_MISMATCH, &what));
    if let Some(name) = headers.repeated {
        return Err(mismatch(format!("the header {name} came more than once")));
    }
    let invalid = |what: &str| Unacceptable(400, error::object(error::INVALID_PARAMS, what));
    let asked = meta::get_string(params, meta::PROTOCOL_VERSION);
    check_version(headers, asked.as_deref())?;
    if asked.is_none() {
        return Err(invalid(&format!("params._meta must name {}", meta::PROTOCOL_VERSION)));
    }
    if !meta::get(params, meta::CLIENT_CAPABILITIES).is_some_and(|capabilities| capabilities.starts_with('{')) {
        return Err(invalid(&format!("params._meta must hold {}, an object", meta::CLIENT_CAPABILITIES)));
    }
    match &headers.method {
        None => return Err(mismatch("the header Mcp-Method is missing".into())),
        Some(said) if decoded(said).as_deref() != Some(method) => {
            return Err(mismatch(format!("the header Mcp-Method says {said:?}, the body {method:?}")));
        }
        Some(_) => {}
    }
    if let Some(name) = method::header_name(method, params) {
        match &headers.name {
            None => return Err(mismatch("the header Mcp-Name is missing".into())),
            Some(said) if decoded(said).as_deref() != Some(&name) => {
                return Err(mismatch(format!("the header Mcp-Name says {said:?}, the body {name:?}")));
            }
            Some(_) => {}
        }
    }
    if method::is_removed_in_modern(method) {
        let what = format!("{method} is not a method of {}", version::MODERN);
        return Err(Unacceptable(404, error::object(error::METHOD_NOT_FOUND, &what)));
    }
    Ok(())
}

fn check_version(headers: &Headers, asked: Option<&str>) -> Result<(), Unacceptable> {
    let said = headers.protocol_version.as_deref();
    if let (Some(said), Some(asked)) = (said, asked)
        && said != asked
    {
        let what = format!("the header MCP-Protocol-Version says {said:?}, the body {asked:?}");
        return Err(Unacceptable(400, error::object(error::HEADER_MISMATCH, &what)));
    }
    match said.or(asked) {
        Some(version::MODERN) if said.is_none() => {
            Err(Unacceptable(400, error::object(error::HEADER_MISMATCH, "the header MCP-Protocol-Version is missing")))
        }
        Some(version::MODERN) | None => Ok(()),
        Some(other) => {
            let data = json!({ "supported": [version::MODERN], "requested": other });
            let object = error::object_with(error::UNSUPPORTED_VERSION, "unsupported protocol version", &data);
            Err(Unacceptable(400, object))
        }
    }
}

/// A header's value as it is meant: plain, or base64 between the marks (2026-07-28, standard headers). `None` when the
/// marks are there but what is between them can't be read.
pub(super) fn decoded(value: &str) -> Option<String> {
    let value = value.trim_matches([' ', '\t']);
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Some(value.to_owned()),
        Some(encoded) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
            String::from_utf8(bytes).ok()
        }
    }
}
