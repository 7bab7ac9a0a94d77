//! The tools of a server: what it lists, what each is held to be, and the review of one that is another by now.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{WHAT, find, live};
use crate::gate::{Action, Arguments, Call, Seen};
use crate::http::admin::definition::{self, DefinitionChange};
use crate::http::answer::Listing;
use crate::http::body::Body;
use crate::http::extract::Operator;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::http::query::Query;
use crate::http::time::Time;
use crate::mcp::definition::Definition;
use crate::mcp::splice;
use crate::store;
use crate::store::tool_pin::Row;

/// For whom decisions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ToolsQuery {
    /// The agent whose calls the decisions are about.
    agent: Option<String>,
}

/// One tool of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = Tool)]
pub struct ToolBody {
    /// Its name.
    name: String,
    /// What a call of it by `?agent=` gets; `null` without one, and where it depends on the arguments.
    decision: Option<Action>,
    /// The rule that says so, or whose condition it depends on; `null` when it is the default.
    rule_id: Option<String>,
    /// Over what the server says now that the tool is.
    digest: Option<String>,
    /// Why it is held, whatever the rules allow; `null` when it is not.
    held: Option<String>,
    /// What it is held to be; `null` when it has no pin.
    pin: Option<PinBody>,
    /// The tool as the server sent it.
    #[schema(value_type = Object)]
    tool: Box<RawValue>,
}

/// How far a pin has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PinStatus {
    /// It is as it was first seen, and nobody has reviewed it.
    New,
    /// It is as somebody reviewed it.
    Reviewed,
    /// The server says that it is another one, which waits for a review.
    Changed,
}

/// What a tool is held to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolPin)]
pub struct PinBody {
    status: PinStatus,
    /// Over the definition that it is held to.
    digest: String,
    /// When the tool was first seen.
    first_seen_at: Time,
    reviewed_at: Option<Time>,
    reviewed_by: Option<String>,
    /// The definition that waits for a review.
    change: Option<DefinitionChange>,
}

impl From<&Row> for PinBody {
    fn from(row: &Row) -> Self {
        let status = match (&row.changed_digest, row.reviewed_at) {
            (Some(_), _) => PinStatus::Changed,
            (None, Some(_)) => PinStatus::Reviewed,
            (None, None) => PinStatus::New,
        };
        Self {
            status,
            digest: row.digest.clone(),
            first_seen_at: Time(row.first_seen_at),
            reviewed_at: row.reviewed_at.map(Time),
            reviewed_by: row.reviewed_by.clone(),
            change: definition::waiting(row),
        }
    }
}

/// Lists the tools of a server, as the server sent them.
#[utoipa::path(get, path = "/api/v1/servers/{name}/tools", operation_id = "list_server_tools", tag = "Servers",
    params(("name" = String, Path, description = "The server's name."), ToolsQuery),
    responses((status = 200, description = "All of its tools.", body = Listing<ToolBody>),
              (status = 404, description = "There is none of that name.", body = ProblemBody),
              (status = 502, description = "The server gave no list.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    Query(query): Query<ToolsQuery>,
) -> Result<web::Json<Listing<ToolBody>>, Problem> {
    let upstream = live::running(&gateway, &name).await?;
    let catalog = upstream.catalog().await?;
    let pins = store::tool_pin::list(&gateway.store, &upstream.spec.id).await?;
    let named = |tool: &'_ RawValue| splice::find_string(tool.get(), &["name"]);
    let claims = catalog.iter().filter_map(|tool| Some((named(tool)?, splice::find(tool.get(), &["annotations"]))));
    gateway.gate.keep_hints(&name, claims);
    let items = catalog.iter().map(|tool| {
        let tool_name = named(tool).unwrap_or_default();
        let all = catalog.iter().map(|other| &**other);
        let texts: Vec<&str> =
            all.filter(|other| named(other).as_deref() == Some(&tool_name)).map(RawValue::get).collect();
        let digest = Definition::of(&texts).map(|definition| definition.digest);
        let seen = Seen::Last(digest.as_deref());
        let decision = query.agent.as_deref().map(|agent| {
            let call = Call {
                agent: agent.into(),
                server: name.as_str().into(),
                method: "tools/call".into(),
                tool: Some(tool_name.clone()),
                arguments: Arguments::Unknown,
                hints: None,
            };
            gateway.gate.decide_with(&call, &upstream.spec.id, seen)
        });
        let hold = gateway.gate.pins().hold(&upstream.spec.id, &tool_name, seen);
        let on_hold = gateway.gate.pins().on_hold();
        ToolBody {
            decision: decision.as_ref().filter(|decision| !decision.is_open).map(|decision| decision.action),
            rule_id: decision.and_then(|decision| decision.rule_id).map(|id| id.to_string()),
            held: hold.filter(|hold| on_hold.action(hold) != Action::Allow).map(|hold| hold.reason()),
            pin: pins.iter().find(|pin| pin.tool == tool_name).map(PinBody::from),
            digest: digest.as_deref().map(Into::into),
            name: tool_name,
            tool: tool.clone(),
        }
    });
    Ok(web::Json(Listing::whole(items.collect())))
}

/// What was looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolReview {
    /// The digest of the definition that was shown: the one that waits, or the pinned one.
    digest: String,
}

/// Takes the definition that was shown for the one that the tool is held to, and lets the tool go.
#[utoipa::path(post, path = "/api/v1/servers/{name}/tools/{tool}/review", operation_id = "review_tool", tag = "Servers",
    params(("name" = String, Path, description = "The server's name."),
           ("tool" = String, Path, description = "The tool's name.")),
    request_body = ToolReview,
    responses((status = 200, description = "What it is held to be from now on.", body = PinBody),
              (status = 404, description = "There is no such server, or it was never seen to have the tool.", body = ProblemBody),
              (status = 409, description = "The definition is another one than was shown.", body = ProblemBody)))]
pub async fn review(
    gateway: web::Data<Gateway>,
    operator: Operator,
    path: web::Path<(String, String)>,
    Body(shown): Body<ToolReview>,
) -> Result<web::Json<PinBody>, Problem> {
    let (name, tool) = path.into_inner();
    find(&gateway, &name).await?;
    let reviewed = store::tool_pin::review(&gateway.store, &name, &tool, &shown.digest, operator.name()).await;
    let row = reviewed.map_err(|error| {
        Problem::from(error).named(WHAT, &format!("{name}/{tool}")).recoded(Code::Conflict, Code::DigestMismatch)
    })?;
    gateway.publish_pins().await?;
    Ok(web::Json(PinBody::from(&row)))
}
