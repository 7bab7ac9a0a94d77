//! A one-time login link. Only a hash is kept.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_link")]
pub struct Model {
    /// hex of SHA-256 over the code
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// ms
    pub created_at: i64,
    /// ms
    pub expires_at: i64,
    /// ms
    pub used_at: Option<i64>,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
