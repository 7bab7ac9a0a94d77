//! What a server's tool is held to be: its definition as it was first seen or last reviewed, and the one that differs from
//! it and waits for a review.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "tool_pin")]
pub struct Model {
    /// the server's id
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// the tool's name
    #[sea_orm(primary_key, auto_increment = false)]
    pub tool: String,
    /// `sha256:` over the whole definition
    pub digest: String,
    /// the definition's text, cut
    #[sea_orm(column_type = "Text")]
    pub definition: String,
    /// ms; when the tool was first seen
    pub first_seen_at: i64,
    /// it was first seen when other tools of its server were known already
    pub is_added: bool,
    /// ms; none while nobody has looked at it
    pub reviewed_at: Option<i64>,
    /// the operator
    pub reviewed_by: Option<String>,
    /// over the definition that waits for a review
    pub changed_digest: Option<String>,
    /// its text, cut
    #[sea_orm(column_type = "Text")]
    pub changed_definition: Option<String>,
    /// ms; when it was first seen
    pub changed_at: Option<i64>,
    /// how often a change was taken back since somebody looked
    pub returns: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
