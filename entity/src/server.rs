//! A registered server: the intended state of one upstream.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "server")]
pub struct Model {
    /// UUIDv7; rules and secrets hang on this, not on the name
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// the segment in `/mcp/{name}`, unique
    pub name: String,
    /// `stdio` or `http`
    pub mode: String,
    /// whether agents may reach it
    pub enabled: bool,
    /// stdio: the executable
    pub command: Option<String>,
    /// stdio: JSON array of strings
    #[sea_orm(column_type = "Text")]
    pub args: String,
    /// stdio: working directory
    pub cwd: Option<String>,
    /// stdio: one process for all agents
    pub shared: bool,
    /// http: the address, as it was typed
    pub base_url: Option<String>,
    /// http: how long an answer, or a sign of progress, is waited for
    pub timeout_seconds: Option<i64>,
    /// http: `none`, `bearer`, `headers` or `oauth`
    pub auth_type: Option<String>,
    /// http: scheme, host and port that the credential was given for; another one than that of `base_url` when the
    /// credential was removed because the address moved
    pub credential_origin: Option<String>,
    /// http: JSON, what was typed for a login by OAuth; its secret is in `secret`
    #[sea_orm(column_type = "Text", nullable)]
    pub oauth: Option<String>,
    /// http: whose client the typed client id is; known since the first login
    pub oauth_issuer: Option<String>,
    /// http: JSON, what an edit took away and nothing has replaced yet
    #[sea_orm(column_type = "Text", nullable)]
    pub oauth_removed: Option<String>,
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
