//! Between the eras: what a message of one side has to become for the other.
//!
//! Where both sides speak the same era nothing is touched. The legacy side has a handshake and a session; the modern side
//! has `_meta` on each request and `resultType` on each result.

use serde_json::json;
use serde_json::value::RawValue;

use crate::mcp::promise;
use crate::mcp::question::{self, Abilities, InputRequired, Question};
use crate::mcp::version::{self, Era};
use crate::mcp::{envelope, error, meta, method, splice};
use crate::upstream::{Audience, Connection, Handshake, Reply};

/// What a modern result has and a legacy one doesn't.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// What a modern request has beside its own parameters when it answers its server's questions.
pub(super) const ANSWERS: [&str; 2] = ["inputResponses", "requestState"];

/// Who asks whom: the agent's era, then the server's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing {
    pub(super) agent: Era,
    pub(super) server: Era,
}

impl Crossing {
    /// The parameters as the server understands them. `log_level` is what a legacy session asked for, as text.
    pub(super) fn params(self, params: Option<String>, client: &Client) -> Option<String> {
        match (self.agent, self.server) {
            (Era::Modern, Era::Legacy) => params.map(|params| {
                let params = splice::without(&params, |key| ANSWERS.contains(&key));
                meta::strip_reserved(&params)
            }),
            (Era::Legacy, Era::Modern) => Some(client.annotate(params.as_deref().unwrap_or("{}"))),
            (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => params,
        }
    }

    /// The reply as the agent understands it.
    pub(super) fn reply(self, method: &str, reply: Reply) -> Reply {
        match reply {
            Reply::Result(result)
                if (self.agent, self.server) == (Era::Legacy, Era::Modern) && !is_complete(&result) =>
            {
                let what = "the server wants something from its client first, in a way that this revision doesn't know";
                Reply::Error(error::object(error::INTERNAL, what))
            }
            Reply::Result(result) => Reply::Result(self.result(method, result)),
            Reply::Error(object) => Reply::Error(self.error(object)),
        }
    }

    /// A legacy server may not go on before somebody has visited a page. Then the agent is asked for that, and makes the
    /// same call again.
    pub(super) fn visit(self, method: &str, reply: Reply, client: &Client) -> Reply {
        let object = match &reply {
            Reply::Error(object)
                if (self.agent, self.server) == (Era::Modern, Era::Legacy)
                    && error::code_of(object) == Some(error::LEGACY_VISIT_REQUIRED) =>
            {
                object
            }
            _ => return reply,
        };
        let pages: Vec<&RawValue> = splice::find(object, &["data", "elicitations"])
            .and_then(|pages| serde_json::from_str(pages).ok())
            .unwrap_or_default();
        let what = splice::find_string(object, &["message"]).unwrap_or_default();
        if pages.is_empty() || !method::may_ask(method) {
            return Reply::Error(error::object(error::INTERNAL, &what));
        }
        if !client.abilities.allow(question::ELICIT, Some(r#"{"mode":"url"}"#)) {
            let data = json!({ "requiredCapabilities": { "elicitation": { "url": {} } } });
            return Reply::Error(error::object_with(error::MISSING_CAPABILITY, &what, &data));
        }
        let asked = pages.iter().enumerate().map(|(at, page)| Question {
            key: format!("visit-{}", at + 1),
            method: question::ELICIT.into(),
            params: Some(splice::without(page.get(), |key| key == "elicitationId")),
        });
        Reply::Result(InputRequired { questions: asked.collect(), state: None }.text())
    }

    /// The result as the agent understands it.
    pub(super) fn result(self, method: &str, result: String) -> String {
        match (self.agent, self.server) {
            (Era::Modern, Era::Legacy) => complete(method, result),
            (Era::Legacy, Era::Modern) => splice::without(&result, |key| MODERN_MEMBERS.contains(&key)),
            (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => result,
        }
    }

    /// The error object as the agent understands it.
    pub(super) fn error(self, object: String) -> String {
        match (self.agent, self.server, error::code_of(&object)) {
            (Era::Modern, Era::Legacy, Some(error::LEGACY_RESOURCE_NOT_FOUND)) => {
                splice::set(&object, &["code"], &error::INVALID_PARAMS.to_string())
            }
            // The gateway spoke the modern revision, not the agent: the fault is not the agent's.
            (Era::Legacy, Era::Modern, Some(-32099..=-32020)) => {
                splice::set(&object, &["code"], &error::INTERNAL.to_string())
            }
            _ => object,
        }
    }
}

/// What a legacy session declared once, for requests that must say it each time.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Text of `clientInfo`.
    pub(super) info: Option<String>,
    /// Text of the level, quotes and all.
    pub(super) log_level: Option<String>,
    /// What it can be asked.
    pub(super) abilities: Abilities,
}

impl Client {
    fn annotate(&self, params: &str) -> String {
        // What answers a question means nothing where the agent was asked in its own era's way.
        let params = splice::without(params, |key| ANSWERS.contains(&key));
        let mut params = splice::set(&params, &["_meta", meta::PROTOCOL_VERSION], &envelope::quoted(version::MODERN));
        params = splice::set(&params, &["_meta", meta::CLIENT_CAPABILITIES], &self.abilities.text());
        if let Some(info) = &self.info {
            params = splice::set(&params, &["_meta", meta::CLIENT_INFO], info);
        }
        if let Some(level) = &self.log_level {
            params = splice::set(&params, &["_meta", meta::LOG_LEVEL], level);
        }
        params
    }
}

/// Whether it is a result at all, and not a question (`input_required`) or a promise (`task`).
fn is_complete(result: &str) -> bool {
    splice::find_string(result, &["resultType"]).is_none_or(|kind| kind == "complete")
}

/// What the gateway answers in the server's place: a modern server is told a legacy agent's log level with each request.
pub(super) fn answer_here(agent: Era, method: &str, connection: &Connection) -> Option<Reply> {
    let is_told_each_time = (agent, connection.handshake.era) == (Era::Legacy, Era::Modern);
    (is_told_each_time && method == "logging/setLevel").then(|| Reply::Result("{}".into()))
}

fn complete(method: &str, result: String) -> String {
    if !is_complete(&result) {
        return result;
    }
    let mut result = add(result, "resultType", "\"complete\"");
    if method::is_cacheable(method) {
        // A legacy server's lists may differ between connections: nobody may keep or share them.
        result = add(result, "ttlMs", "0");
        result = add(result, "cacheScope", "\"private\"");
    }
    result
}

fn add(result: String, member: &str, value: &str) -> String {
    if splice::find(&result, &[member]).is_some() { result } else { splice::set(&result, &[member], value) }
}

/// The revision that a legacy agent is told: its own server's word; where the server was not asked in the agent's name,
/// what the agent asked for.
pub(super) fn agreed_version<'a>(connection: &'a Connection, asked: &'a str) -> &'a str {
    let is_own = connection.handshake.era == Era::Legacy && connection.audience == Audience::Session;
    if is_own { &connection.handshake.version } else { asked }
}

/// The answer to a legacy agent's `initialize`, whatever the server's era.
pub(super) fn initialize_result(connection: &Connection, version: &str) -> String {
    let handshake = &connection.handshake;
    if handshake.era == Era::Modern {
        return translated_result(handshake, version);
    }
    if connection.audience == Audience::Session {
        return handshake.result.clone();
    }
    splice::set(&handshake.result, &["protocolVersion"], &envelope::quoted(version))
}

fn translated_result(handshake: &Handshake, asked_version: &str) -> String {
    let info = handshake.server_info().unwrap_or(r#"{"name":"unnamed","version":"0"}"#);
    let instructions = handshake.instructions().map(|text| format!(r#","instructions":{text}"#)).unwrap_or_default();
    format!(
        r#"{{"protocolVersion":{},"capabilities":{},"serverInfo":{info}{instructions}}}"#,
        envelope::quoted(asked_version),
        without_modern_only(handshake.capabilities()),
    )
}

/// What a legacy agent would misunderstand: extensions are negotiated per request in the modern era.
fn without_modern_only(capabilities: &str) -> String {
    splice::without(capabilities, |key| key == "extensions")
}

/// The answer to a modern agent's `server/discover`, whatever the server's era.
pub(super) fn discover_result(handshake: &Handshake) -> String {
    if handshake.era == Era::Modern {
        return with_tasks(handshake.result.clone());
    }
    let capabilities = splice::without(handshake.capabilities(), |key| key == "tasks");
    let mut result = format!(
        r#"{{"resultType":"complete","supportedVersions":{},"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}"#,
        json!([version::MODERN]),
    );
    if let Some(instructions) = handshake.instructions() {
        result = splice::set(&result, &["instructions"], instructions);
    }
    if let Some(info) = handshake.server_info() {
        result = splice::set(&result, &["_meta", meta::SERVER_INFO], info);
    }
    with_tasks(result)
}

/// A call that waits for a person is answered with a task, whatever the server knows of tasks.
fn with_tasks(result: String) -> String {
    let place = ["capabilities", "extensions", promise::EXTENSION];
    if splice::find(&result, &place).is_some() { result } else { splice::set(&result, &place, "{}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Crossing = Crossing { agent: Era::Modern, server: Era::Legacy };
    const BACK: Crossing = Crossing { agent: Era::Legacy, server: Era::Modern };

    #[test]
    fn a_modern_agent_gets_what_its_sdk_insists_on() {
        let list = OUT.result("tools/list", r#"{"tools":[]}"#.into());
        assert_eq!(list, r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
        assert_eq!(OUT.result("tools/call", r#"{"content":[]}"#.into()), r#"{"content":[],"resultType":"complete"}"#);
        assert_eq!(OUT.error(r#"{"code":-32002,"message":"m"}"#.into()), r#"{"code":-32602,"message":"m"}"#);
    }

    #[test]
    fn a_legacy_agent_sees_nothing_of_the_modern_era() {
        let result = r#"{"resultType":"complete","tools":[{"n":1.0}],"ttlMs":1,"cacheScope":"public"}"#;
        assert_eq!(BACK.result("tools/list", result.into()), r#"{"tools":[{"n":1.0}]}"#);
        assert!(BACK.error(r#"{"code":-32022,"message":"m"}"#.into()).contains("-32603"));
        let client = Client { info: Some(r#"{"name":"a"}"#.into()), ..Client::default() };
        let params = BACK.params(Some(r#"{"name":"t"}"#.into()), &client).unwrap();
        assert_eq!(meta::get_string(Some(&params), meta::PROTOCOL_VERSION).as_deref(), Some("2026-07-28"));
    }

    #[test]
    fn a_legacy_agent_is_not_given_a_question_for_a_result() {
        let asked = |kind: &str| Reply::Result(format!(r#"{{"resultType":"{kind}","inputRequests":{{}}}}"#));
        assert!(matches!(BACK.reply("tools/call", asked("input_required")), Reply::Error(_)));
        assert!(matches!(BACK.reply("tools/call", asked("task")), Reply::Error(_)));
        assert!(matches!(BACK.reply("tools/call", asked("complete")), Reply::Result(_)));
        let same = Crossing { agent: Era::Modern, ..BACK };
        assert!(matches!(same.reply("tools/call", asked("input_required")), Reply::Result(_)));
    }

    #[test]
    fn a_page_that_must_be_visited_first_is_asked_for() {
        let object = concat!(
            r#"{"code":-32042,"message":"m","data":{"elicitations":"#,
            r#"[{"mode":"url","elicitationId":"e","url":"https://x.example/","message":"Log in"}]}}"#
        );
        let asked = concat!(
            r#"{"resultType":"input_required","inputRequests":{"visit-1":{"method":"elicitation/create","#,
            r#""params":{"mode":"url","url":"https://x.example/","message":"Log in"}}}}"#
        );
        let visit = |declared| {
            let client = Client { abilities: Abilities::read(declared), ..Client::default() };
            OUT.visit("tools/call", Reply::Error(object.into()), &client)
        };
        assert_eq!(visit(r#"{"elicitation":{"url":{}}}"#), Reply::Result(asked.into()));
        let Reply::Error(refused) = visit(r#"{"elicitation":{}}"#) else { panic!("nobody can be asked for it") };
        assert_eq!(error::code_of(&refused), Some(error::MISSING_CAPABILITY));
    }

    #[test]
    fn the_same_era_is_left_alone() {
        let same = Crossing { agent: Era::Legacy, ..OUT };
        let odd = r#"{ "z":1.0 , "a" : null }"#;
        assert_eq!(same.result("tools/list", odd.into()), odd);
    }
}
