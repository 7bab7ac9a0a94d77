//! A way to tell people that something waits for them.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "channel")]
pub struct Model {
    /// UUIDv7; secrets are sealed to it
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// unique
    pub name: String,
    /// `webhook`, `slack`, `ntfy` or `command`
    pub kind: String,
    /// whether anything is told by it
    pub enabled: bool,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub agents: String,
    /// JSON array of globs
    #[sea_orm(column_type = "Text")]
    pub servers: String,
    /// how long nobody has to have answered before it tells
    pub delay_seconds: i64,
    /// whether it tells with which arguments
    pub wants_arguments: bool,
    /// command: JSON array of strings
    #[sea_orm(column_type = "Text", nullable)]
    pub command: Option<String>,
    /// scheme, host and port of the address
    pub origin: Option<String>,
    /// the vault's envelope of the address
    #[serde(skip)]
    pub url: Option<Vec<u8>>,
    /// the vault's envelope of the signing secret, or of the token
    #[serde(skip)]
    pub secret: Option<Vec<u8>>,
    /// why the last attempt failed; none since one that did not
    #[sea_orm(column_type = "Text", nullable)]
    #[serde(skip)]
    pub problem: Option<String>,
    /// ms; since when attempts fail
    #[serde(skip)]
    pub failing_since: Option<i64>,
    /// ms; when something was told last
    #[serde(skip)]
    pub last_sent_at: Option<i64>,
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
