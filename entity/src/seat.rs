//! A place for one gateway at the database.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seat")]
pub struct Model {
    /// from 1; the number of its audit chain, too
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// a gateway sits there, or has left without its calls being ended
    pub is_open: bool,
    /// ms; when a gateway last sat down
    pub taken_at: i64,
}

/// No relations are declared: what a gateway left is found by the number of its seat.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
