//! A key of an agent. Only a keyed hash is kept.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_key")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// whose it is
    pub agent_id: String,
    /// the first characters, to tell keys apart
    pub prefix: String,
    /// hex of HMAC-SHA-256 over the whole key, unique
    pub digest: String,
    /// ms
    pub created_at: i64,
    /// ms
    pub expires_at: Option<i64>,
    /// ms, written at most once a minute
    pub last_used_at: Option<i64>,
    /// ms
    pub revoked_at: Option<i64>,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
