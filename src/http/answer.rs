//! The shapes of answers that resources share.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T: ToSchema> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> Listing<T> {
    /// Builds the only page of a list that is always given whole.
    #[must_use]
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// Answers with a resource at a revision: what `If-Match` takes later.
#[must_use]
pub fn revised(revision: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ETAG, entity_tag(revision))).json(body)
}

/// Answers with a resource that was made.
#[must_use]
pub fn created(location: String, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created().insert_header((header::LOCATION, location)).json(body)
}

/// Answers with a resource that was made and can be edited.
#[must_use]
pub fn created_revised(location: String, revision: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, entity_tag(revision)))
        .json(body)
}

/// Answers that it is done and there is nothing to say.
#[must_use]
pub fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

fn entity_tag(revision: i64) -> String {
    format!("\"{revision}\"")
}
