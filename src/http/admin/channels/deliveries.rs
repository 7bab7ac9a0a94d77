//! What was told by a channel, and what is still to be told.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ChannelQuery, find};
use crate::http::answer::Listing;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::http::time::Time;
use crate::store::delivery::{self, Row, WAITING};

/// One notice: that an approval waits, told by one channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryBody {
    /// The message's id, the same each time it is sent (`webhook-id`, `ATRYUM_NOTICE_ID`).
    id: String,
    approval_id: String,
    /// `waiting`, `sent`, `failed`, or `withdrawn` when nobody needed it any more.
    #[schema(example = "sent")]
    state: String,
    /// How often it was begun to be sent.
    tries: i64,
    /// Why the last try failed.
    reason: Option<String>,
    /// While it waits: not before then.
    next_try_at: Option<Time>,
    created_at: Time,
    finished_at: Option<Time>,
}

impl From<Row> for DeliveryBody {
    fn from(row: Row) -> Self {
        let next_try_at = (row.state == WAITING).then_some(Time(row.next_at));
        Self {
            id: row.id,
            approval_id: row.approval_id,
            state: row.state,
            tries: row.tries,
            reason: row.problem,
            next_try_at,
            created_at: Time(row.created_at),
            finished_at: row.finished_at.map(Time),
        }
    }
}

/// Lists what was told by a channel, newest first. It is kept for as long as the approval is.
#[utoipa::path(get, path = "/api/v1/channels/{name}/deliveries", operation_id = "list_deliveries", tag = "Channels",
    params(("name" = String, Path, description = "The channel's name."), ChannelQuery),
    responses((status = 200, description = "A page of notices.", body = Listing<DeliveryBody>),
              (status = 404, description = "There is no channel of that name.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    Query(query): Query<ChannelQuery>,
) -> Result<web::Json<Listing<DeliveryBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let channel = find(&gateway, &name).await?;
    let listed = delivery::list(&gateway.store, &channel.id, &page).await?;
    let items = listed.items.into_iter().map(DeliveryBody::from).collect();
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}
