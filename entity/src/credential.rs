//! What the gateway holds for one server that wants OAuth. The plain texts never leave the vault.

use sea_orm::entity::prelude::*;

/// One row; see the module.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// the server it is for
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// goes up with each change; whoever changes a row names the one that it read
    pub revision: i64,
    /// the origin of the base URL that it was obtained for
    pub base_origin: String,
    /// who gave it out, byte for byte
    pub issuer: String,
    /// the server's name there, byte for byte
    pub resource: Option<String>,
    /// JSON: where the authorization server is asked, and what it can do
    pub provider: String,
    /// who the gateway is there
    pub client_id: String,
    /// `manual`, `metadata_document`, `dynamic`
    pub registration: String,
    /// `client_secret_basic`, `client_secret_post`, `none`
    pub auth_method: String,
    /// the vault's envelope; of a client that was registered manually, the secret is kept with the server
    pub client_secret: Option<Vec<u8>>,
    /// ms
    pub client_secret_expires_at: Option<i64>,
    /// the vault's envelope
    pub access: Vec<u8>,
    /// the vault's envelope
    pub refresh: Option<Vec<u8>>,
    /// JSON: the scopes that were given
    pub scopes: Option<String>,
    /// ms; of the access token
    pub expires_at: Option<i64>,
    /// ms; until then one gateway, and no other, may use the refresh token
    pub refreshing_until: Option<i64>,
    /// the seat of that gateway
    pub leased_by: Option<i64>,
    /// ms; since then a person has to log in anew
    pub ended_at: Option<i64>,
    /// the authorization server knows the client no more: a login registers anew
    pub is_client_unknown: bool,
    /// why the last refresh failed
    pub problem: Option<String>,
    /// JSON: the scopes that were asked for
    pub asked_scopes: String,
    /// where people came back to; a client that registered itself is known with this address alone
    pub redirect_uri: String,
    /// the operator who logged in
    pub connected_by: String,
    /// ms
    pub connected_at: i64,
    /// ms; when the tokens were given
    pub updated_at: i64,
}

/// No relations are declared: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
