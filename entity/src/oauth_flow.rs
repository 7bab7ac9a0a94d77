//! A login at an authorization server that was begun. Of its state only a hash is kept.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_flow")]
pub struct Model {
    /// what pages and the command line ask by
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// hex of SHA-256 over the state
    pub state_digest: String,
    /// the server that it is for
    pub server_id: String,
    /// as which it was begun
    pub server_revision: i64,
    /// the operator's login that began it
    pub login: String,
    /// the operator's name
    pub operator: String,
    /// where it was begun, byte for byte
    pub issuer: String,
    /// the server's name there, byte for byte
    pub resource: Option<String>,
    /// where the person comes back to
    pub redirect_uri: String,
    /// JSON: where the authorization server is asked, and what it can do
    pub provider: String,
    /// who the gateway is there
    pub client_id: String,
    /// `manual`, `metadata_document`, `dynamic`
    pub registration: String,
    /// `client_secret_basic`, `client_secret_post`, `none`
    pub auth_method: String,
    /// the vault's envelope
    pub client_secret: Option<Vec<u8>>,
    /// ms
    pub client_secret_expires_at: Option<i64>,
    /// the vault's envelope
    pub verifier: Vec<u8>,
    /// JSON: the scopes that were asked for
    pub scopes: String,
    /// ms
    pub created_at: i64,
    /// ms
    pub expires_at: i64,
    /// ms; since then no callback is taken
    pub used_at: Option<i64>,
    /// ms
    pub finished_at: Option<i64>,
    /// why it failed; none of a finished one: it didn't
    pub problem: Option<String>,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
