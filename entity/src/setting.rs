//! A setting of the whole gateway, such as the default action or the revision of the rule set.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "setting")]
pub struct Model {
    /// its name
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// its value, as text
    #[sea_orm(column_type = "Text")]
    pub value: String,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
