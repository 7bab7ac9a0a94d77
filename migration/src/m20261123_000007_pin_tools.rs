//! The definitions of servers' tools as they were first seen or last reviewed.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(tool_pin()).await
    }
}

fn tool_pin() -> TableCreateStatement {
    let mut goes_with_server = ForeignKey::create()
        .name("tool_pin_server_id")
        .from("tool_pin", "server_id")
        .to("server", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take();
    Table::create()
        .table("tool_pin")
        .col(ColumnDef::new("server_id").text().not_null())
        .col(ColumnDef::new("tool").text().not_null())
        .col(ColumnDef::new("digest").text().not_null())
        .col(ColumnDef::new("definition").text().not_null())
        .col(ColumnDef::new("first_seen_at").big_integer().not_null())
        .col(ColumnDef::new("is_added").boolean().not_null())
        .col(ColumnDef::new("reviewed_at").big_integer())
        .col(ColumnDef::new("reviewed_by").text())
        .col(ColumnDef::new("changed_digest").text())
        .col(ColumnDef::new("changed_definition").text())
        .col(ColumnDef::new("changed_at").big_integer())
        .col(ColumnDef::new("returns").big_integer().not_null())
        .primary_key(Index::create().col("server_id").col("tool"))
        .foreign_key(&mut goes_with_server)
        .take()
}
