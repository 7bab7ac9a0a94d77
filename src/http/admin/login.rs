//! Operators' logins: in with a one-time code, out, and who one is.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::http::body::Body;
use crate::http::extract::{self, Operator, SESSION_COOKIE};
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::time::Time;
use crate::identity::IdentityError;

/// What logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The code of a one-time link: what stands after `#code=`.
    #[schema(write_only)]
    code: String,
}

/// A session that began.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Who logged in.
    operator: String,
    /// To be sent as `x-csrf-token` with every request, beside the cookie.
    csrf_token: String,
    expires_at: Time,
}

/// Logs in with the code of a one-time link. The code is spent by it.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "login", tag = "Operators", security(()),
    request_body = LoginRequest,
    responses((status = 200, description = "A session; its other half is the cookie `atryum_session`.", body = Session),
              (status = 401, description = "The code does not hold.", body = ProblemBody),
              (status = 429, description = "Too many failed attempts.", body = ProblemBody)))]
pub async fn login(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    Body(wanted): Body<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    let login = gateway.operators.log_in(&wanted.code, clock::now_ms()).await.map_err(|error| {
        let IdentityError::Refused(refusal) = error else { return error.into() };
        let address = request.peer_addr().map(|peer| peer.ip());
        extract::refused(&gateway, address, refusal, "a link holds once and for 10 minutes; ask for a new one")
    })?;
    let cookie = Cookie::build(SESSION_COOKIE, login.token.expose().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(gateway.public_url.starts_with("https://"))
        .finish();
    let body = Session {
        operator: login.operator.name,
        csrf_token: login.csrf.expose().to_owned(),
        expires_at: Time(login.expires_at),
    };
    Ok(HttpResponse::Ok().cookie(cookie).json(body))
}

/// A link that logs in.
#[derive(Serialize, ToSchema)]
pub struct LoginLink {
    /// To be opened in a browser, once and within ten minutes.
    #[schema(example = "http://127.0.0.1:8080/ui/#code=…")]
    url: String,
}

/// Makes a one-time link, for an operator who has a token and wants the page.
#[utoipa::path(post, path = "/api/v1/login-links", operation_id = "create_login_link", tag = "Operators",
    responses((status = 201, description = "Whoever opens it first is logged in.", body = LoginLink)))]
pub async fn create_link(gateway: web::Data<Gateway>) -> Result<HttpResponse, Problem> {
    let code = gateway.operators.begin_link(clock::now_ms()).await?;
    let url = format!("{}/ui/#code={}", gateway.public_url, code.expose());
    Ok(HttpResponse::Created().json(LoginLink { url }))
}

/// Ends the session that the request belongs to.
#[utoipa::path(post, path = "/api/v1/logout", operation_id = "logout", tag = "Operators",
    responses((status = 204, description = "The session has ended, everywhere.")))]
pub async fn logout(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    for token in extract::shown_logins(&request)? {
        gateway.operators.log_out(&token).await?;
    }
    let mut gone = Cookie::build(SESSION_COOKIE, "").path("/").http_only(true).same_site(SameSite::Strict).finish();
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// The operator of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The name that the record of their acts holds.
    operator: String,
    /// What they may do.
    #[schema(example = "administrator")]
    role: &'static str,
}

/// Reads who one is.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "read_me", tag = "Operators",
    responses((status = 200, description = "The operator of this request.", body = Me),
              (status = 401, description = "Nobody that is known.", body = ProblemBody)))]
pub async fn me(operator: Operator) -> web::Json<Me> {
    web::Json(Me { operator: operator.name().to_owned(), role: "administrator" })
}
