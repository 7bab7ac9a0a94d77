//! Forgetting what is held to log in at a server.

use actix_web::{HttpResponse, web};

use super::{WHAT, find};
use crate::http::answer;
use crate::http::extract::Operator;
use crate::http::gateway::Gateway;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::store::server::{Changes, Kept, Row};
use crate::store::{self, secret};
use crate::upstream::{AuthType, BEARER_TOKEN_FIELD, HEADER_FIELD};

/// Forgets what is held: what a login by OAuth brought, which is revoked where that is offered; else the token or the
/// headers. The configuration stays.
#[utoipa::path(delete, path = "/api/v1/servers/{name}/credential", operation_id = "forget_credential", tag = "Servers",
    params(("name" = String, Path, description = "The server's name.")),
    responses((status = 204, description = "Nothing is held any more. What could not be revoked is told in the log."),
              (status = 404, description = "There is no such server, or nothing was held.", body = ProblemBody)))]
pub async fn forget(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    operator: Operator,
) -> Result<HttpResponse, Problem> {
    let row = find(&gateway, &name).await?;
    let is_static =
        matches!(row.auth_type.as_deref().and_then(AuthType::parse), Some(AuthType::Bearer | AuthType::Headers));
    if is_static {
        store::server::update(&gateway.store, &name, None, |row, kept| clear(&name, row, kept)).await?;
        gateway.registry.nudge().await;
        return Ok(answer::done());
    }
    let forgotten = gateway.connect.forget(&name, operator.name()).await;
    let is_gone = forgotten.map_err(|error| Problem::from(error).named(WHAT, &name))?;
    if is_gone { Ok(answer::done()) } else { Err(nothing(&name)) }
}

fn clear(name: &str, row: &mut Row, kept: Kept) -> Result<Changes, Problem> {
    let is_login = |field: &String| field == BEARER_TOKEN_FIELD || field.starts_with(HEADER_FIELD);
    let fields = kept.fields.into_iter().filter(is_login);
    let secrets: Vec<_> = fields.map(|field| secret::Change { field, sealed: None }).collect();
    if secrets.is_empty() {
        return Err(nothing(name));
    }
    row.credential_origin = None;
    Ok(Changes { secrets, forgets_login: false })
}

fn nothing(name: &str) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("nothing is held to log in at the server {name:?}; there is nothing to forget"),
    )
}
