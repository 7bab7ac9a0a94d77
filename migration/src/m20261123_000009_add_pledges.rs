//! Calls that wait for a person and were answered with a task: what it takes to make them later, and what came of them.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(pledge()).await?;
        for (name, columns) in [
            ("pledge_agent_id", &["agent_id", "expires_at"] as &[&'static str]),
            ("pledge_expires_at", &["expires_at"]),
        ] {
            let mut index = Index::create().name(name).table("pledge").take();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn pledge() -> TableCreateStatement {
    Table::create()
        .table("pledge")
        .col(ColumnDef::new("id").text().not_null().primary_key())
        .col(ColumnDef::new("agent_id").text().not_null())
        .col(ColumnDef::new("server_id").text().not_null())
        .col(ColumnDef::new("params").text().not_null())
        .col(ColumnDef::new("approval_id").text())
        .col(ColumnDef::new("invocation_id").text().not_null())
        .col(ColumnDef::new("carrier").text().not_null())
        .col(ColumnDef::new("round").big_integer().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("outcome").text())
        .col(ColumnDef::new("outcome_bytes").big_integer().not_null())
        .col(ColumnDef::new("behind").text())
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .col(ColumnDef::new("updated_at").big_integer().not_null())
        .col(ColumnDef::new("expires_at").big_integer().not_null())
        .take()
}
