//! One rule of the rule set.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "rule")]
pub struct Model {
    /// UUIDv7
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// order in the set, from 1, unique
    pub position: i32,
    /// a disabled rule never matches
    pub enabled: bool,
    /// `allow`, `deny` or `ask`
    pub action: String,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub agents: String,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub servers: String,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub tools: String,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub methods: String,
    /// CEL over the call; none: always
    #[sea_orm(column_type = "Text")]
    pub condition: Option<String>,
    /// for the operator
    #[sea_orm(column_type = "Text")]
    pub description: String,
    /// told to the model when denied
    #[sea_orm(column_type = "Text")]
    pub guidance: String,
    /// evaluated and recorded, not enforced
    pub shadow: bool,
    /// ms; matches nothing from then on
    pub expires_at: Option<i64>,
    /// calls that it decided
    pub hits: i64,
    /// ms; of the last of them
    pub last_hit_at: Option<i64>,
    /// counts edits, from 1
    pub revision: i64,
    /// ms
    pub created_at: i64,
    /// ms
    pub updated_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
