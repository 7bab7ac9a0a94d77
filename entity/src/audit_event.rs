//! Something that happened, in its place in a chain. Rows are added and, by age, removed; never altered.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "audit_event")]
pub struct Model {
    /// which chain
    #[sea_orm(primary_key, auto_increment = false)]
    pub chain: i64,
    /// its number, from 1, without gaps
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// ms
    pub at: i64,
    /// what happened, such as `server.updated`
    pub kind: String,
    /// who did it, such as `operator:ann`
    pub actor: String,
    /// what it happened to, such as `server:calc`
    pub subject: String,
    /// JSON object
    pub data: String,
    /// hex; the hash of the event before
    pub prev: String,
    /// hex; over all of the above
    pub hash: String,
}

/// No relations are declared: the record outlives what it speaks of.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
