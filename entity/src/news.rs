//! How often something was edited that every gateway holds in memory.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "news")]
pub struct Model {
    /// what was edited, such as `rules`
    #[sea_orm(primary_key, auto_increment = false)]
    pub topic: String,
    /// goes up with each edit
    pub revision: i64,
}

/// No relations are declared: a topic is a word and no table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
