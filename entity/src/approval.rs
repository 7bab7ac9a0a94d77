//! A question to a person about what an agent wants to do, and the answer.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// the call that asked first
    pub invocation_id: String,
    /// who asks
    pub agent: String,
    /// the agent's id: one of the same name made later is another
    pub agent_id: String,
    /// the server's name
    pub server: String,
    /// the server's id
    pub server_id: String,
    /// the server's revision when it was asked
    pub server_revision: i64,
    /// such as `tools/call`
    pub method: String,
    /// what is to be called
    pub tool: Option<String>,
    /// over the tool's definition, when it could be read
    pub definition_digest: Option<String>,
    /// the JSON text of the arguments, as it was received
    #[sea_orm(column_type = "Text")]
    pub arguments: Option<String>,
    /// the JSON text of what else the call is made with, when there is something
    #[sea_orm(column_type = "Text")]
    pub other_params: Option<String>,
    /// the JSON text that a person put in place of the arguments
    #[sea_orm(column_type = "Text")]
    pub edited_arguments: Option<String>,
    /// `sha256:` over what is approved: agent, server and revision, method, tool, definition, argument bytes
    pub digest: String,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`
    pub status: String,
    /// the person's words
    #[sea_orm(column_type = "Text")]
    pub reason: Option<String>,
    /// ms
    pub created_at: i64,
    /// ms
    pub expires_at: i64,
    /// ms
    pub decided_at: Option<i64>,
    /// the operator
    pub decided_by: Option<String>,
    /// ms; since when no call waits for the answer
    pub left_at: Option<i64>,
    /// ms; until when the answer is good for the same call
    pub holds_until: Option<i64>,
    /// ms; when a yes was spent
    pub used_at: Option<i64>,
    /// the call that it was spent on
    pub used_by: Option<String>,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
