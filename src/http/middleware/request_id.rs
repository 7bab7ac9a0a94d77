//! A name for every request, and one line about it in the log.
//!
//! The name is made here and accepted from nobody: an id that a caller may choose is one that can be made to lie. The
//! line holds the method, the route's pattern, the status and the time; never the query, a header or a body.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _};
use tracing::Instrument as _;
use uuid::Uuid;

use super::headers;
use crate::http::body;
use crate::http::problem::{self, Code, Problem};

/// The header that carries the name.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The name of one request: a `UUIDv7`, so that names sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl std::fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Returns the name of the request that is being answered on this task.
#[must_use]
pub fn current() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// Returns the name of a request.
#[must_use]
pub fn of(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default()
}

/// What goes on under the name of the request that is being answered, on whichever task it is run.
pub fn carried<F: Future>(act: F) -> impl Future<Output = F::Output> {
    let id = CURRENT.try_with(|id| *id).ok();
    let named = async move {
        match id {
            Some(id) => CURRENT.scope(id, act).await,
            None => act.await,
        }
    };
    named.in_current_span()
}

/// Names the request, answers it inside its span, and finishes the answer.
pub async fn name(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = RequestId(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let span = tracing::info_span!("request", request.id = %id);
    CURRENT.scope(id, answer(id, request, next).instrument(span)).await
}

async fn answer(
    id: RequestId,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    // No handle of the request may be kept over this: the router wants it alone. What fails behind it comes back as an
    // answer; an error is left only if a middleware of our own gives one, and none does.
    let answer = next.call(request).await?.map_into_boxed_body();
    let mut answer = as_problem(answer);
    headers::finish(answer.response_mut());
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        answer.headers_mut().insert(HEADER, value);
    }
    let route = answer.request().match_pattern();
    tracing::info!(
        http.method = %method,
        http.route = route.as_deref().unwrap_or("none"),
        http.status = answer.status().as_u16(),
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    Ok(answer)
}

/// An error that the framework answered in its own words leaves as a problem document, too.
fn as_problem(answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let is_ours = match answer.response().error() {
        Some(error) => error.as_error::<Problem>().is_some(),
        // Not an error, or an answer that a handler wrote with care.
        None => true,
    };
    let is_document = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == problem::CONTENT_TYPE);
    if is_ours || is_document {
        return answer;
    }
    if let Some(broken) = answer.response().error().and_then(|error| error.as_error::<PayloadError>()) {
        let broken = body::broken(broken).error_response();
        return ServiceResponse::new(answer.into_parts().0, broken);
    }
    let words = answer.response().error().map(ToString::to_string).unwrap_or_default();
    let code = Code::of_status(answer.status());
    let detail = if answer.status().is_server_error() {
        tracing::error!(error = %words, "a request failed");
        "the gateway failed on this request; its log says why under this request_id".to_owned()
    } else {
        words
    };
    let (request, _) = answer.into_parts();
    ServiceResponse::new(request, Problem::new(code, detail).error_response())
}
