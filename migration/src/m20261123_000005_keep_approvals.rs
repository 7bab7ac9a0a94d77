//! Approvals that outlive the call that asked: what they are for, until when the answer holds, and what it was used for.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table("approval").add_column(column).take()).await?;
        }
        let connection = manager.get_connection();
        // Their calls are gone, and their digests are over something else.
        connection.execute_unprepared("UPDATE approval SET status = 'cancelled' WHERE status = 'pending'").await?;
        // One question at a time about the same thing. The builder knows no indexes over a part of a table.
        connection
            .execute_unprepared(
                "CREATE UNIQUE INDEX approval_pending_digest ON approval (digest) WHERE status = 'pending'",
            )
            .await?;
        for (name, columns) in
            [("approval_digest", &["digest", "id"] as &[&'static str]), ("approval_agent_id", &["agent_id", "status"])]
        {
            let mut index = Index::create().name(name).table("approval").take();
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

fn columns() -> [ColumnDef; 11] {
    let text = |name: &'static str| ColumnDef::new(name).text().take();
    let number = |name: &'static str| ColumnDef::new(name).big_integer().take();
    [
        text("agent_id").not_null().default("").take(),
        text("server_id").not_null().default("").take(),
        number("server_revision").not_null().default(0).take(),
        text("definition_digest"),
        text("arguments"),
        text("other_params"),
        text("edited_arguments"),
        number("left_at"),
        number("holds_until"),
        number("used_at"),
        text("used_by"),
    ]
}
