//! A login of an operator. Only hashes are kept.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login")]
pub struct Model {
    /// hex of SHA-256 over the login token
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// hex of SHA-256 over the CSRF token
    pub csrf_digest: String,
    /// who logged in
    pub operator: String,
    /// ms
    pub created_at: i64,
    /// ms
    pub expires_at: i64,
    /// ms
    pub last_used_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
