//! A question to a person about one call.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// the call that waits
    pub invocation_id: String,
    /// who asks
    pub agent: String,
    /// the server's name
    pub server: String,
    /// such as `tools/call`
    pub method: String,
    /// what is to be called
    pub tool: Option<String>,
    /// `sha256:` over what is approved: agent, server and revision, method, tool, argument bytes
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
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
