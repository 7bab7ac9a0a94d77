//! Registering a server, and trying one that is not registered.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::draft::ServerDraft;
use super::json::{self, ServerBody};
use super::live::TestBody;
use super::seal;
use crate::http::answer;
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::store::{self, server::NewServer};
use crate::trail::Event;
use crate::upstream::{Definition, Mode, OAuthSettings};

/// Registers a server.
#[utoipa::path(post, path = "/api/v1/servers", operation_id = "create_server", tag = "Servers",
    request_body = ServerDraft,
    responses((status = 201, description = "It is registered; `Location` says where.", body = ServerBody),
              (status = 409, description = "The name is taken.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn create(gateway: web::Data<Gateway>, Body(draft): Body<ServerDraft>) -> Result<HttpResponse, Problem> {
    let enabled = draft.enabled.unwrap_or(true);
    let definition = draft.into_definition(&gateway)?;
    let id = store::new_id();
    let secrets = seal(&gateway, &id, &definition)?;
    let new = new_server(id, enabled, definition)?;
    let row = store::server::insert(&gateway.store, new, secrets)
        .await
        .map_err(|error| Problem::from(error).recoded(Code::Conflict, Code::NameTaken))?;
    gateway.registry.nudge().await;
    let (location, revision) = (format!("/api/v1/servers/{}", row.name), row.revision);
    Ok(answer::created_revised(location, revision, &json::body(&gateway, row).await?))
}

fn new_server(id: String, enabled: bool, definition: Definition) -> Result<NewServer, Problem> {
    let mode = definition.mode.word().to_owned();
    let new = NewServer { id, name: definition.name, mode, enabled, args: "[]".into(), ..NewServer::default() };
    Ok(match definition.mode {
        Mode::Stdio(stdio) => NewServer {
            command: Some(stdio.command),
            args: serde_json::to_string(&stdio.args).map_err(|error| Problem::internal(&error))?,
            cwd: stdio.cwd,
            shared: stdio.shared,
            ..new
        },
        Mode::Http(http) => NewServer {
            auth_type: Some(http.auth_type().word().into()),
            credential_origin: http.credential_origin(),
            oauth: http.oauth().and_then(OAuthSettings::to_json),
            base_url: Some(http.base_url),
            timeout_seconds: Some(http.timeout_seconds),
            ..new
        },
    })
}

/// Tries a server that is not registered. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/servers/test", operation_id = "test_server_draft", tag = "Servers",
    request_body = ServerDraft,
    responses((status = 200, description = "What was seen; `ok` says whether it can be used.", body = TestBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn try_draft(
    gateway: web::Data<Gateway>,
    Body(draft): Body<ServerDraft>,
) -> Result<web::Json<TestBody>, Problem> {
    let definition = draft.into_definition(&gateway)?;
    // before: what can't be told is not run
    store::audit::tell(&gateway.store, [tried(&definition)]).await?;
    Ok(web::Json(gateway.registry.try_definition(definition).await.into()))
}

/// What is run or asked; of secrets only their fields.
fn tried(definition: &Definition) -> Event {
    let data = match &definition.mode {
        Mode::Stdio(stdio) => {
            let variables: Vec<_> = stdio.env.keys().collect();
            json!({ "args": stdio.args, "command": stdio.command, "cwd": stdio.cwd, "env": variables, "mode": "stdio" })
        }
        Mode::Http(http) => json!({ "base_url": http.base_url, "mode": "http" }),
    };
    Event::new("server.draft_tested", format!("server:{}", definition.name), &data)
}
