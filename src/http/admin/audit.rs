//! The audit: what was done, by whom, in a chain that shows what was altered. List and checkpoints; the export stands beside.

pub mod export;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::http::answer::Listing;
use crate::http::gateway::Gateway;
use crate::http::problem::{Problem, ProblemBody};
use crate::http::query::{self, Query};
use crate::http::time::Time;
use crate::store;
use crate::store::audit::Filter;
use crate::trail::{Checkpoint, Link};

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct AuditEventBody {
    /// Which chain; each gateway process has one.
    chain: i64,
    /// Its number in the chain, from 1, without gaps.
    seq: i64,
    at: Time,
    /// What happened.
    #[schema(example = "server.updated")]
    kind: String,
    /// Who did it: `operator:…`, `agent:…` or `gateway`.
    #[schema(example = "operator:administrator")]
    actor: String,
    /// What it happened to.
    #[schema(example = "server:calc")]
    subject: String,
    /// What there is to tell; secrets by their field alone, arguments and results by their digest.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The hash of the event before, hex.
    prev: String,
    /// SHA-256 over all of the above, hex.
    hash: String,
}

impl TryFrom<Link> for AuditEventBody {
    type Error = Problem;

    fn try_from(link: Link) -> Result<Self, Problem> {
        let Link { chain, seq, at, kind, actor, subject, data, prev, hash } = link;
        // what is no JSON was altered; the rest of the list is still to be read
        let data = RawValue::from_string(data).or_else(|_| RawValue::from_string("null".to_owned()));
        let data = data.map_err(|error| Problem::internal(&error))?;
        Ok(Self { chain, seq, at: Time(at), kind, actor, subject, data, prev, hash })
    }
}

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// What happened: a whole kind, or the first part of one up to its dot, such as `server.`
    kind: Option<String>,
    /// Who did it, such as `operator:administrator`.
    actor: Option<String>,
    /// What it happened to, such as `server:calc`.
    subject: Option<String>,
    /// Then or later.
    since: Option<Time>,
    /// Before then.
    until: Option<Time>,
    /// A part of the data, in any case.
    q: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists events, newest first.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", tag = "Audit", params(AuditQuery),
    responses((status = 200, description = "A page of events.", body = Listing<AuditEventBody>),
              (status = "4XX", description = "Refused.", body = ProblemBody)))]
pub async fn list(
    gateway: web::Data<Gateway>,
    Query(query): Query<AuditQuery>,
) -> Result<web::Json<Listing<AuditEventBody>>, Problem> {
    let page = query::page(query.limit, query.cursor)?;
    let filter = Filter {
        kind: query.kind,
        actor: query.actor,
        subject: query.subject,
        since: query.since.map(|time| time.0),
        until: query.until.map(|time| time.0),
        q: query.q,
    };
    let listed = store::audit::list(&gateway.store, &filter, &page).await?;
    let items = listed.items.into_iter().map(AuditEventBody::try_from).collect::<Result<_, _>>()?;
    Ok(web::Json(Listing { items, next_cursor: listed.next_cursor }))
}

/// A signature over the chain up to one event.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheckpoint {
    /// Always `checkpoint`, as in the export.
    #[schema(example = "checkpoint")]
    r#type: &'static str,
    chain: i64,
    /// The number of the event.
    seq: i64,
    /// The hash of the event, hex.
    hash: String,
    at: Time,
    /// The number of the checkpoint before.
    previous: i64,
    /// About how many bytes all events take up to here, with those that were removed.
    bytes: i64,
    /// The public key, hex.
    key: String,
    /// Ed25519, hex.
    signature: String,
}

impl From<Checkpoint> for AuditCheckpoint {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { chain, seq, hash, at, previous, bytes, key, signature } = checkpoint;
        Self { r#type: "checkpoint", chain, seq, hash, at: Time(at), previous, bytes, key, signature }
    }
}

/// What the record can be checked with.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditSignature {
    /// Ed25519, hex. Keep it elsewhere: whoever checks should not have it from the record.
    public_key: String,
    /// The last checkpoint, if there is one. Keep it elsewhere: events up to it can't be cut off unnoticed.
    checkpoint: Option<AuditCheckpoint>,
}

/// Reads the public key and the last checkpoint.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", operation_id = "read_audit_checkpoint", tag = "Audit",
    responses((status = 200, description = "The key and the last checkpoint.", body = AuditSignature)))]
pub async fn checkpoint(gateway: web::Data<Gateway>) -> Result<web::Json<AuditSignature>, Problem> {
    let key = gateway.audit.public_key();
    let last = store::audit::last_checkpoint(&gateway.store, &key).await?;
    Ok(web::Json(AuditSignature { public_key: key.to_string(), checkpoint: last.map(AuditCheckpoint::from) }))
}

/// Signs all that was told so far, and reads the key and that checkpoint.
#[utoipa::path(post, path = "/api/v1/audit/checkpoint", operation_id = "sign_audit", tag = "Audit",
    responses((status = 200, description = "The key and the last checkpoint.", body = AuditSignature)))]
pub async fn sign(gateway: web::Data<Gateway>) -> Result<web::Json<AuditSignature>, Problem> {
    gateway.audit.checkpoint().await?;
    checkpoint(gateway).await
}
