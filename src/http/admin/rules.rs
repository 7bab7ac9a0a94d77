//! Rules: list, create, read, update, delete; their order, the default action and the trials stand beside.

pub mod draft;
pub mod json;
pub mod order;
pub mod simulation;
pub mod trial;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use self::draft::{RuleDraft, RulePatch};
use self::json::RuleBody;
use crate::http::answer::{self, Listing};
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::store::{self, StoreError};

const WHAT: &str = "rule";

/// Which rules are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    /// How many, 1 to 200; all when neither this nor a cursor is given, as their order is one thing.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the rules, in the order in which they are tried.
#[utoipa::path(get, path = "/api/v1/rules", operation_id = "list_rules", tag = "Rules", params(RuleQuery),
    responses((status = 200, description = "All rules, or a page of them.", body = Listing<RuleBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(wanted): Query<RuleQuery>,
) -> Result<web::Json<Listing<RuleBody>>, Problem> {
    if wanted.limit.is_none() && wanted.cursor.is_none() {
        let rows = store::rule::list(&gateway.store).await?;
        return Ok(web::Json(Listing::whole(json::all(&gateway, rows).await?)));
    }
    let page = query::page(wanted.limit, wanted.cursor)?;
    let listed = store::rule::list_page(&gateway.store, &page).await?;
    Ok(web::Json(Listing { items: json::all(&gateway, listed.items).await?, next_cursor: listed.next_cursor }))
}

/// Adds a rule, before the rule `before` or at the end.
#[utoipa::path(post, path = "/api/v1/rules", operation_id = "create_rule", tag = "Rules", request_body = RuleDraft,
    responses((status = 201, description = "It decides from now on.", body = RuleBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn create(gateway: web::Data<Gateway>, Body(draft): Body<RuleDraft>) -> Result<HttpResponse, Problem> {
    let (new, before) = draft.into_new()?;
    let row = store::rule::insert(&gateway.store, new, before.as_deref()).await.map_err(|error| {
        if matches!(error, StoreError::NotFound { .. }) {
            return Problem::field("/before", "there is no rule with that id");
        }
        error.into()
    })?;
    gateway.publish_rules().await?;
    let (location, revision) = (format!("/api/v1/rules/{}", row.id), row.revision);
    Ok(answer::created_revised(location, revision, &json::one(&gateway, row).await?))
}

/// Reads a rule.
#[utoipa::path(get, path = "/api/v1/rules/{id}", operation_id = "read_rule", tag = "Rules",
    params(("id" = String, Path, description = "The rule's id.")),
    responses((status = 200, description = "The rule; `ETag` holds its revision.", body = RuleBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let row = store::rule::find(&gateway.store, &id).await?.ok_or_else(|| Problem::no_such(WHAT, &id))?;
    Ok(answer::revised(row.revision, &json::one(&gateway, row).await?))
}

/// Edits a rule; its place is changed through the order.
#[utoipa::path(patch, path = "/api/v1/rules/{id}", operation_id = "update_rule", tag = "Rules",
    params(("id" = String, Path, description = "The rule's id."),
           ("If-Match" = Option<String>, Header, description = "The `ETag` of what the edit was made from.")),
    request_body = RulePatch,
    responses((status = 200, description = "The rule as it decides from now on.", body = RuleBody),
              (status = 404, description = "There is none with that id.", body = ProblemBody),
              (status = 412, description = "It was edited since it was read.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn update(
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    IfMatch(expected): IfMatch,
    Body(patch): Body<RulePatch>,
) -> Result<HttpResponse, Problem> {
    let row = store::rule::update(&gateway.store, &id, expected, |row| patch.apply(row)).await;
    let row = row.map_err(|problem: Problem| problem.named(WHAT, &id))?;
    gateway.publish_rules().await?;
    Ok(answer::revised(row.revision, &json::one(&gateway, row).await?))
}

/// Deletes a rule; the rules after it move up.
#[utoipa::path(delete, path = "/api/v1/rules/{id}", operation_id = "delete_rule", tag = "Rules",
    params(("id" = String, Path, description = "The rule's id.")),
    responses((status = 204, description = "It decides nothing any more."),
              (status = 404, description = "There is none with that id.", body = ProblemBody)))]
pub async fn delete(gateway: web::Data<Gateway>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    store::rule::delete(&gateway.store, &id).await.map_err(|error| Problem::from(error).named(WHAT, &id))?;
    gateway.publish_rules().await?;
    Ok(answer::done())
}
