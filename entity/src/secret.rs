//! A sealed secret of a server. The plain text never leaves the vault.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "secret")]
pub struct Model {
    /// the server it belongs to
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// the slot, such as `env:API_KEY`
    #[sea_orm(primary_key, auto_increment = false)]
    pub field: String,
    /// the vault's envelope
    pub sealed: Vec<u8>,
    /// ms
    pub updated_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
