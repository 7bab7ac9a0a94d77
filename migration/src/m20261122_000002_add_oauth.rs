//! What the gateway holds for servers that want OAuth, and the logins on the way to it.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One a statement: SQLite adds no two at once.
        for name in ["oauth", "oauth_issuer", "oauth_removed"] {
            let column = ColumnDef::new(name).text().take();
            manager.alter_table(Table::alter().table("server").add_column(column).take()).await?;
        }
        manager.create_table(credential()).await?;
        manager.create_table(oauth_flow()).await?;
        manager
            .create_index(
                Index::create().name("oauth_flow_by_state").table("oauth_flow").col("state_digest").unique().take(),
            )
            .await
    }
}

fn credential() -> TableCreateStatement {
    Table::create()
        .table("credential")
        .col(ColumnDef::new("server_id").text().not_null().primary_key())
        .col(ColumnDef::new("revision").big_integer().not_null())
        .col(ColumnDef::new("base_origin").text().not_null())
        .col(ColumnDef::new("issuer").text().not_null())
        .col(ColumnDef::new("resource").text())
        .col(ColumnDef::new("provider").text().not_null())
        .col(ColumnDef::new("client_id").text().not_null())
        .col(ColumnDef::new("registration").text().not_null())
        .col(ColumnDef::new("auth_method").text().not_null())
        .col(ColumnDef::new("client_secret").binary())
        .col(ColumnDef::new("client_secret_expires_at").big_integer())
        .col(ColumnDef::new("access").binary().not_null())
        .col(ColumnDef::new("refresh").binary())
        .col(ColumnDef::new("scopes").text())
        .col(ColumnDef::new("expires_at").big_integer())
        .col(ColumnDef::new("refreshing_until").big_integer())
        .col(ColumnDef::new("ended_at").big_integer())
        .col(ColumnDef::new("is_client_unknown").boolean().not_null())
        .col(ColumnDef::new("problem").text())
        .col(ColumnDef::new("asked_scopes").text().not_null())
        .col(ColumnDef::new("redirect_uri").text().not_null())
        .col(ColumnDef::new("connected_by").text().not_null())
        .col(ColumnDef::new("connected_at").big_integer().not_null())
        .col(ColumnDef::new("updated_at").big_integer().not_null())
        .foreign_key(&mut goes_with_server("credential"))
        .take()
}

fn oauth_flow() -> TableCreateStatement {
    Table::create()
        .table("oauth_flow")
        .col(ColumnDef::new("id").text().not_null().primary_key())
        .col(ColumnDef::new("state_digest").text().not_null())
        .col(ColumnDef::new("server_id").text().not_null())
        .col(ColumnDef::new("server_revision").big_integer().not_null())
        .col(ColumnDef::new("login").text().not_null())
        .col(ColumnDef::new("operator").text().not_null())
        .col(ColumnDef::new("issuer").text().not_null())
        .col(ColumnDef::new("resource").text())
        .col(ColumnDef::new("redirect_uri").text().not_null())
        .col(ColumnDef::new("provider").text().not_null())
        .col(ColumnDef::new("client_id").text().not_null())
        .col(ColumnDef::new("registration").text().not_null())
        .col(ColumnDef::new("auth_method").text().not_null())
        .col(ColumnDef::new("client_secret").binary())
        .col(ColumnDef::new("client_secret_expires_at").big_integer())
        .col(ColumnDef::new("verifier").binary().not_null())
        .col(ColumnDef::new("scopes").text().not_null())
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .col(ColumnDef::new("expires_at").big_integer().not_null())
        .col(ColumnDef::new("used_at").big_integer())
        .col(ColumnDef::new("finished_at").big_integer())
        .col(ColumnDef::new("problem").text())
        .foreign_key(&mut goes_with_server("oauth_flow"))
        .take()
}

fn goes_with_server(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_server_id"))
        .from(table, "server_id")
        .to("server", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
