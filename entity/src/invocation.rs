//! The durable life of one call.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "invocation")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// the same id as in the log and in the answer's header
    pub request_id: String,
    /// name of the agent
    pub agent: String,
    /// what the client says of itself
    pub client_name: Option<String>,
    /// what the client says of itself
    pub client_version: Option<String>,
    /// the MCP session, if any
    pub session: Option<String>,
    /// the server's id
    pub server_id: String,
    /// the server's name
    pub server: String,
    /// such as `tools/call`
    pub method: String,
    /// tool or prompt name, or resource URI
    pub tool: Option<String>,
    /// the JSON text, as it was received
    #[sea_orm(column_type = "Text")]
    pub arguments: Option<String>,
    /// `sha256:` and hex over that text
    pub arguments_digest: String,
    /// what was decided: `allow`, `deny`, `ask`
    pub action: String,
    /// the rule that matched
    pub rule_id: Option<String>,
    /// of the rule set that decided
    pub rule_set_revision: i64,
    /// `rule`, `default` or `person`
    pub decided_by: Option<String>,
    /// the approval, when one was asked for
    pub approval_id: Option<String>,
    /// see the contract: `received` … `completed`
    pub state: String,
    /// the tool said that it failed
    pub is_error: Option<bool>,
    /// why there is no result
    #[sea_orm(column_type = "Text")]
    pub error: Option<String>,
    /// the JSON text, cut at 64 KiB
    #[sea_orm(column_type = "Text")]
    pub result: Option<String>,
    /// length before the cut
    pub result_bytes: Option<i64>,
    /// ms
    pub received_at: i64,
    /// ms
    pub decided_at: Option<i64>,
    /// ms
    pub dispatched_at: Option<i64>,
    /// ms
    pub finished_at: Option<i64>,
    /// microseconds between dispatch and answer
    pub upstream_us: Option<i64>,
    /// microseconds spent in the gateway, a person's time left out
    pub overhead_us: Option<i64>,
    /// the rule in shadow mode that would have decided
    pub shadow_rule_id: Option<String>,
    /// what it would have said: `allow`, `deny`, `ask`
    pub shadow_action: Option<String>,
    /// the seat of the gateway that has the call
    pub seat: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
