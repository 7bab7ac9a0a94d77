//! The order of the rules, and what happens when none matches.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::{self, RuleBody};
use crate::gate::Action;
use crate::http::answer::Listing;
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::store;

/// The rules in the order in which they are to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleOrder {
    /// The ids of all rules, each once.
    ids: Vec<String>,
}

/// Puts the rules in an order.
#[utoipa::path(put, path = "/api/v1/rules/order", operation_id = "order_rules", tag = "Rules", request_body = RuleOrder,
    responses((status = 200, description = "All rules, in their order.", body = Listing<RuleBody>),
              (status = 409, description = "The ids are not those of all rules.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn put(
    gateway: web::Data<Gateway>,
    Body(order): Body<RuleOrder>,
) -> Result<web::Json<Listing<RuleBody>>, Problem> {
    let rows = store::rule::reorder(&gateway.store, &order.ids).await?;
    gateway.publish_rules().await?;
    Ok(web::Json(Listing::whole(json::all(&gateway, rows).await?)))
}

/// What happens to a call that no rule matches.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultAction {
    action: Action,
}

/// Reads the default action.
#[utoipa::path(get, path = "/api/v1/rules/default", operation_id = "read_default_action", tag = "Rules",
    responses((status = 200, description = "The default action.", body = DefaultAction)))]
pub async fn read_default(gateway: web::Data<Gateway>) -> Result<web::Json<DefaultAction>, Problem> {
    let stored = store::rule::find_default_action(&gateway.store).await?;
    // As the gate reads it: what it does not know is no reason to let a call through.
    Ok(web::Json(DefaultAction { action: Action::parse(&stored).unwrap_or(Action::Deny) }))
}

/// Sets the default action.
#[utoipa::path(put, path = "/api/v1/rules/default", operation_id = "put_default_action", tag = "Rules",
    request_body = DefaultAction,
    responses((status = 200, description = "It holds from now on.", body = DefaultAction),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn put_default(
    gateway: web::Data<Gateway>,
    Body(wanted): Body<DefaultAction>,
) -> Result<web::Json<DefaultAction>, Problem> {
    store::rule::put_default_action(&gateway.store, wanted.action.as_str()).await?;
    gateway.publish_rules().await?;
    Ok(web::Json(wanted))
}
