//! An agent: a caller that speaks MCP to the gateway.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "agent")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// unique; what rules and the journal call it
    pub name: String,
    /// JSON array of globs: the servers it may reach
    #[sea_orm(column_type = "Text")]
    pub servers: String,
    /// ms; after it every key of the agent is refused
    pub expires_at: Option<i64>,
    /// counts edits, from 1
    pub revision: i64,
    /// ms
    pub created_at: i64,
    /// ms
    pub updated_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
