//! What authorization servers, and the people whom they send back, ask of the gateway.

mod page;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;

use super::gateway::Gateway;
use super::middleware::headers::PAGE;
use super::problem::{Code, Problem};
use crate::connect::{CallbackError, Outcome, Returned};
use crate::oauth::authorization::Callback;
use crate::vault::SecretText;

/// Where people come back to.
pub const CALLBACK: &str = "/oauth/callback";

/// Takes a person who comes back from a login, and says what came of it.
pub async fn callback(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    // Looking a link over must not use it up.
    if request.method() == Method::HEAD {
        let detail = "HEAD can't be used here; there is GET";
        return Err(Problem::new(Code::MethodNotAllowed, detail).with_header(header::ALLOW, "GET"));
    }
    let Some(returned) = read(request.query_string()) else {
        return Ok(page(&Outcome { server: None, result: Err(CallbackError::Malformed) }));
    };
    let connect = gateway.connect.clone();
    let cookies: Vec<_> = request.cookies().map(|cookies| cookies.clone()).unwrap_or_default();
    // A browser that does not wait must not cut off what can be done only once.
    let finished = actix_web::rt::spawn(async move {
        let cookie =
            |name: &str| cookies.iter().find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned());
        connect.finish(returned, cookie).await
    });
    match finished.await {
        Ok(outcome) => Ok(page(&outcome)),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Gives out what the gateway is as a client of authorization servers that read it.
pub async fn client_metadata(gateway: web::Data<Gateway>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(gateway.connect.place().metadata()?))
}

/// `None`: what has a meaning comes twice.
fn read(query: &str) -> Option<Returned> {
    let mut returned = Returned::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Returned { state, callback: Callback { code, iss, error, error_description } } = &mut returned;
        let is_new = match &*name {
            "state" => state.replace(SecretText::new(value)).is_none(),
            "code" => code.replace(SecretText::new(value)).is_none(),
            "iss" => iss.replace(value.into_owned()).is_none(),
            "error" => error.replace(value.into_owned()).is_none(),
            "error_description" => error_description.replace(value.into_owned()).is_none(),
            _ => true,
        };
        if !is_new {
            return None;
        }
    }
    Some(returned)
}

fn page(outcome: &Outcome) -> HttpResponse {
    let status = match &outcome.result {
        Ok(()) => StatusCode::OK,
        Err(CallbackError::Inside(_)) => StatusCode::SERVICE_UNAVAILABLE,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(page::render(outcome))
}
