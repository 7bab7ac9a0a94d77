//! A call that waits for a person and was answered with a task: how to make it, and what came of it.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "pledge")]
pub struct Model {
    /// the task's id, as its agent knows it
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// whose it is
    pub agent_id: String,
    /// the server's id
    pub server_id: String,
    /// the JSON text of the call's parameters, as they were received
    #[sea_orm(column_type = "Text")]
    pub params: String,
    /// the question that it waits for
    pub approval_id: Option<String>,
    /// the row of the call that is made for it
    pub invocation_id: String,
    /// the process that makes it
    pub carrier: String,
    /// how often its server asked something of the agent
    pub round: i64,
    /// `working`, `input_required`, `completed`, `failed`, `cancelled`
    pub state: String,
    /// the JSON text of the result or error, or of what the server asks
    #[sea_orm(column_type = "Text")]
    pub outcome: Option<String>,
    /// its length; 0 without one
    pub outcome_bytes: i64,
    /// the server's own task that the call became, by the server's name for it
    pub behind: Option<String>,
    /// ms
    pub created_at: i64,
    /// ms
    pub updated_at: i64,
    /// ms; when it may be forgotten
    pub expires_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
