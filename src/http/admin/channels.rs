//! Channels by which people are told that an approval waits: list, create, read, update, delete, and a trial of one.

pub mod deliveries;
pub mod draft;
pub mod json;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use self::draft::{ChannelDraft, ChannelPatch};
use self::json::{ChannelBody, body};
use crate::http::answer::{self, Listing};
use crate::http::body::Body;
use crate::http::gateway::Gateway;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::store;
use crate::trail::Event;

/// What a channel is called in a refusal.
const WHAT: &str = "channel";

/// Which channels are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChannelQuery {
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists channels by name.
#[utoipa::path(get, path = "/api/v1/channels", operation_id = "list_channels", tag = "Channels", params(ChannelQuery),
    responses((status = 200, description = "A page of channels.", body = Listing<ChannelBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<ChannelQuery>,
) -> Result<web::Json<Listing<ChannelBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let listed = store::channel::list(&gateway.store, &page).await?;
    let items = listed.items.into_iter().map(body).collect::<Result<_, _>>()?;
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// Adds a channel. What waits already is told by it, too.
#[utoipa::path(post, path = "/api/v1/channels", operation_id = "create_channel", tag = "Channels",
    request_body = ChannelDraft,
    responses((status = 201, description = "It is added; `Location` says where.", body = ChannelBody),
              (status = 409, description = "The name is taken.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn create(gateway: web::Data<Gateway>, Body(draft): Body<ChannelDraft>) -> Result<HttpResponse, Problem> {
    let row = store::channel::insert(&gateway.store, draft.into_row(&gateway)?)
        .await
        .map_err(|error| Problem::from(error).recoded(Code::Conflict, Code::NameTaken))?;
    gateway.notifier.nudge();
    let (location, revision) = (format!("/api/v1/channels/{}", row.name), row.revision);
    Ok(answer::created_revised(location, revision, &body(row)?))
}

/// Reads a channel.
#[utoipa::path(get, path = "/api/v1/channels/{name}", operation_id = "read_channel", tag = "Channels",
    params(("name" = String, Path, description = "The channel's name.")),
    responses((status = 200, description = "The channel; `ETag` holds its revision.", body = ChannelBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn read(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let row = find(&gateway, &name).await?;
    Ok(answer::revised(row.revision, &body(row)?))
}

/// Edits a channel. What it could not tell so far is tried at once.
#[utoipa::path(patch, path = "/api/v1/channels/{name}", operation_id = "update_channel", tag = "Channels",
    params(("name" = String, Path, description = "The channel's name."),
           ("If-Match" = Option<String>, Header, description = "The `ETag` of what the edit was made from.")),
    request_body = ChannelPatch,
    responses((status = 200, description = "The channel as it is now stored.", body = ChannelBody),
              (status = 409, description = "`name` and `kind` can't be changed.", body = ProblemBody),
              (status = 412, description = "It was edited since it was read.", body = ProblemBody),
              (status = 422, description = "A field can't be used.", body = ProblemBody)))]
pub async fn update(
    gateway: web::Data<Gateway>,
    name: web::Path<String>,
    IfMatch(expected): IfMatch,
    Body(patch): Body<ChannelPatch>,
) -> Result<HttpResponse, Problem> {
    let edited = store::channel::update(&gateway.store, &name, expected, |row| patch.apply(&gateway, row));
    let row = edited.await.map_err(|problem: Problem| problem.named(WHAT, &name))?;
    gateway.notifier.nudge();
    Ok(answer::revised(row.revision, &body(row)?))
}

/// Deletes a channel with what is known of what it told.
#[utoipa::path(delete, path = "/api/v1/channels/{name}", operation_id = "delete_channel", tag = "Channels",
    params(("name" = String, Path, description = "The channel's name.")),
    responses((status = 204, description = "It tells nothing any more."),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn delete(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    store::channel::delete(&gateway.store, &name).await.map_err(|error| Problem::from(error).named(WHAT, &name))?;
    gateway.notifier.forget(&name);
    Ok(answer::done())
}

/// What came of a trial.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelTest)]
pub struct ChannelTestBody {
    /// Whether it was taken.
    ok: bool,
    /// Why not, in one sentence.
    reason: Option<String>,
    duration_ms: u64,
}

/// Sends a notice that is about nothing, now and once, and says what came of it.
#[utoipa::path(post, path = "/api/v1/channels/{name}/test", operation_id = "test_channel", tag = "Channels",
    params(("name" = String, Path, description = "The channel's name.")),
    responses((status = 200, description = "What came of it; `ok` says whether it was taken.", body = ChannelTestBody),
              (status = 404, description = "There is none of that name.", body = ProblemBody)))]
pub async fn test(gateway: web::Data<Gateway>, name: web::Path<String>) -> Result<web::Json<ChannelTestBody>, Problem> {
    let row = find(&gateway, &name).await?;
    // before: what can't be told is not run
    let event = Event::new("channel.tested", format!("channel:{}", row.name), &json!({ "revision": row.revision }));
    store::audit::tell(&gateway.store, [event]).await?;
    let tested = gateway.notifier.test(&row).await?;
    Ok(web::Json(ChannelTestBody {
        ok: tested.problem.is_none(),
        reason: tested.problem,
        duration_ms: u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX),
    }))
}

async fn find(gateway: &Gateway, name: &str) -> Result<store::channel::Row, Problem> {
    store::channel::find(&gateway.store, name).await?.ok_or_else(|| Problem::no_such(WHAT, name))
}
