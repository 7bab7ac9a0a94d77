//! What is asked of a server that runs: test, logs, restart.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::find;
use super::json::ConnectionBody;
use crate::http::answer;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::http::query::Query;
use crate::store;
use crate::trail::Event;
use crate::upstream::{Credentials, TestReport, Upstream};

/// Lines of a log when the caller names no number.
const TAIL_DEFAULT: usize = 200;
/// Most lines of a log.
const TAIL_MAX: usize = 10_000;

/// What a test saw.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerTest)]
pub struct TestBody {
    /// Whether the server can be used.
    ok: bool,
    connection: ConnectionBody,
    credentials: Credentials,
    duration_ms: u64,
    /// How many tools it lists; `null` when it offers none.
    tools: Option<u64>,
    /// How many prompts it lists; `null` when it offers none.
    prompts: Option<u64>,
    /// How many resources it lists; `null` when it offers none.
    resources: Option<u64>,
    /// One after the other, up to the first that failed.
    steps: Vec<StepBody>,
}

/// One step of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerTestStep)]
pub struct StepBody {
    name: &'static str,
    ok: bool,
    /// What was seen.
    detail: String,
    duration_ms: u64,
}

impl From<TestReport> for TestBody {
    fn from(report: TestReport) -> Self {
        let steps = report.steps.into_iter().map(|step| StepBody {
            name: step.name,
            ok: step.ok,
            detail: step.detail,
            duration_ms: step.duration_ms,
        });
        Self {
            ok: report.ok,
            connection: ConnectionBody::from(&report.status),
            credentials: report.status.credentials,
            duration_ms: report.duration_ms,
            tools: report.tools,
            prompts: report.prompts,
            resources: report.resources,
            steps: steps.collect(),
        }
    }
}

/// Tests a server: always a real handshake, on a connection of its own.
#[utoipa::path(post, path = "/api/v1/servers/{name}/test", operation_id = "test_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 200, description = "What was seen; `ok` says whether it can be used.", body = TestBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn test(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<web::Json<TestBody>, Problem> {
    let upstream = running(&gateway, &name).await?;
    tell(&gateway, "server.tested", &name).await?;
    Ok(web::Json(upstream.test().await.into()))
}

/// How much of a log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// How many lines, 1 to 10000; 200 when absent.
    tail: Option<usize>,
}

/// The last lines of a server's log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerLogs)]
pub struct LogsBody {
    /// Oldest first; the server's own secrets are masked.
    lines: Vec<String>,
}

/// Reads the last lines of a server's log: what its process wrote to stderr, or an exchange with a remote one a line.
#[utoipa::path(get, path = "/api/v1/servers/{name}/logs", operation_id = "read_server_logs", tag = "Servers",
    params(("name" = String, Path, description = "The server's name."), LogsQuery),
    responses((status = 200, description = "The last lines.", body = LogsBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn logs(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<web::Json<LogsBody>, Problem> {
    let tail = query.tail.unwrap_or(TAIL_DEFAULT);
    if !(1..=TAIL_MAX).contains(&tail) {
        let detail = format!("the query parameter \"tail\" can't be used: 1 to {TAIL_MAX} is expected");
        return Err(Problem::new(Code::InvalidParameter, detail));
    }
    Ok(web::Json(LogsBody { lines: running(&gateway, &name).await?.logs(tail) }))
}

/// Drains a server and starts it anew.
#[utoipa::path(post, path = "/api/v1/servers/{name}/restart", operation_id = "restart_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 204, description = "Its processes were ended; the next call starts one."),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn restart(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let upstream = running(&gateway, &name).await?;
    tell(&gateway, "server.restarted", &name).await?;
    upstream.restart().await;
    Ok(answer::done())
}

/// Has the audit tell what is about to be done: what can't be told is not done.
async fn tell(gateway: &Gateway, kind: &str, name: &str) -> Result<(), Problem> {
    let event = Event::new(kind, format!("server:{name}"), &json!({}));
    Ok(store::audit::tell(&gateway.store, [event]).await?)
}

pub(super) async fn running(gateway: &Gateway, name: &str) -> Result<std::sync::Arc<Upstream>, Problem> {
    let row = find(gateway, name).await?;
    gateway.directory.find(&row.name).ok_or_else(|| {
        let detail = format!("the server {name:?} is registered but not running yet; try again in a moment");
        Problem::new(Code::Unavailable, detail)
    })
}
