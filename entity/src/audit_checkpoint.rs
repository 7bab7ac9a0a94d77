//! A signature over the end of a chain of events. Rows are added, and stay when the events are removed.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "audit_checkpoint")]
pub struct Model {
    /// which chain
    #[sea_orm(primary_key, auto_increment = false)]
    pub chain: i64,
    /// the number of the event
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// hex; the hash of the event
    pub hash: String,
    /// ms
    pub at: i64,
    /// the number of the checkpoint before; 0 when it is the first
    pub previous: i64,
    /// about how many bytes all events take up to here, with those that were removed
    pub bytes: i64,
    /// hex; the public key
    pub key: String,
    /// hex; Ed25519
    pub signature: String,
}

/// No relations are declared: a checkpoint outlives its events.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
