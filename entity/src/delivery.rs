//! One notice: that an approval waits, told by one channel.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    /// UUIDv7; what is sent has it as its id, each time it is sent
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// by which channel
    pub channel_id: String,
    /// what waits
    pub approval_id: String,
    /// `waiting`, `sent`, `failed`, `withdrawn`
    pub state: String,
    /// how often it was begun to be sent
    pub tries: i64,
    /// ms; not before
    pub next_at: i64,
    /// ms; until then one gateway has it
    pub claimed_until: Option<i64>,
    /// why the last try failed
    #[sea_orm(column_type = "Text", nullable)]
    pub problem: Option<String>,
    /// ms
    pub created_at: i64,
    /// ms
    pub finished_at: Option<i64>,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
