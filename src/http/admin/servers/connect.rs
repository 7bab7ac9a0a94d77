//! Logging in at a server that wants OAuth: the way there, and how it went.

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{WHAT, find};
use crate::connect::{Begun, Progress};
use crate::egress;
use crate::http::extract::Operator;
use crate::http::gateway::Gateway;
use crate::http::oauth::CALLBACK;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::http::time::Time;

/// As long as a flow.
const COOKIE_MINUTES: i64 = 10;

/// A login that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectFlow)]
pub struct BegunBody {
    /// What one asks by how it went.
    flow_id: String,
    /// To be opened in a browser, by the person who is to log in: https, or an address of this machine.
    #[schema(example = "https://login.example.com/authorize?response_type=code&…")]
    authorize_url: String,
    /// Ten minutes from now.
    expires_at: Time,
}

/// How a login went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectProgress)]
pub struct ProgressBody {
    status: Word,
    /// Why it failed or expired.
    reason: Option<String>,
}

/// How a login is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectStatus)]
pub enum Word {
    /// A person is on the way.
    Pending,
    /// The server can be used.
    Succeeded,
    /// It led to nothing.
    Failed,
    /// Nobody came back in time.
    Expired,
}

impl From<Progress> for Word {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Pending => Self::Pending,
            Progress::Succeeded => Self::Succeeded,
            Progress::Failed => Self::Failed,
            Progress::Expired => Self::Expired,
        }
    }
}

/// Begins to log in at a server that wants OAuth. Calls go on with what is held until the new login has worked.
#[utoipa::path(post, path = "/api/v1/servers/{name}/connect", operation_id = "connect_server", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 200, description = "A person opens `authorize_url`. When a browser's session began it, the same browser has to come back.", body = BegunBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody),
              (status = 409, description = "The server has no login by OAuth, or nobody could come back.", body = ProblemBody),
              (status = 502, description = "`discovery_failed` or `registration_failed`; `kind` says why.", body = ProblemBody)))]
pub async fn begin(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    name: web::Path<String>,
    operator: Operator,
) -> Result<HttpResponse, Problem> {
    check_place(&gateway, &request)?;
    let begun = gateway.connect.begin(&name, operator.starter()).await;
    let begun = begun.map_err(|error| Problem::from(error).named(WHAT, &name))?;
    let mut answer = HttpResponse::Ok();
    if let Some(cookie) = cookie(&gateway, &begun) {
        answer.cookie(cookie);
    }
    let Begun { flow_id, authorize_url, expires_at, .. } = begun;
    Ok(answer.json(BegunBody { flow_id, authorize_url, expires_at: Time(expires_at) }))
}

/// Reads how a login went. It can be asked about for an hour after its time.
#[utoipa::path(get, path = "/api/v1/servers/{name}/connect/{id}", operation_id = "read_connect", tag = "Servers",
    params(("name" = String, Path, description = "The server's name."),
           ("id" = String, Path, description = "As its beginning was answered.")),
    responses((status = 200, description = "How it is.", body = ProgressBody),
              (status = 404, description = "There is no such server or login.", body = ProblemBody)))]
pub async fn look(
    gateway: web::Data<Gateway>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<ProgressBody>, Problem> {
    let (name, flow_id) = path.into_inner();
    let server = find(&gateway, &name).await?;
    let found = gateway.connect.look(&server.id, &flow_id).await?;
    let (progress, reason) = found.ok_or_else(|| Problem::no_such("login", &flow_id))?;
    Ok(web::Json(ProgressBody { status: progress.into(), reason }))
}

/// What the browser brings back: only with the callback, and only for as long as that is taken.
fn cookie(gateway: &Gateway, begun: &Begun) -> Option<Cookie<'static>> {
    let (name, value) = begun.cookie.clone()?;
    // A proxy may have put the gateway below a path of its own.
    let below = Url::parse(&gateway.public_url).ok()?.path().trim_end_matches('/').to_owned();
    let cookie = Cookie::build(name, value)
        .path(format!("{below}{CALLBACK}"))
        .http_only(true)
        // The callback comes by way of another site.
        .same_site(SameSite::Lax)
        .secure(gateway.public_url.starts_with("https://"))
        .max_age(Duration::minutes(COOKIE_MINUTES));
    Some(cookie.finish())
}

/// A browser keeps its cookies by host: one that has the page open under another name would come back without.
fn check_place(gateway: &Gateway, request: &HttpRequest) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return Ok(());
    };
    if egress::has_same_host(origin, &gateway.public_url) {
        return Ok(());
    }
    let detail = format!(
        "this page was opened at {origin}, and people come back from the login to {}, where the browser would not be known; \
         open the page there, and connect again",
        gateway.public_url
    );
    Err(Problem::new(Code::Conflict, detail))
}
