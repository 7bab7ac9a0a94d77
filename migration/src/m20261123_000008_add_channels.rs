//! Channels by which people are told that an approval waits, and what was told by them.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(channel()).await?;
        manager.create_table(delivery()).await?;
        let once = Index::create()
            .name("delivery_once")
            .table("delivery")
            .col("channel_id")
            .col("approval_id")
            .unique()
            .take();
        manager.create_index(once).await?;
        let due =
            Index::create().name("delivery_due").table("delivery").col("channel_id").col("state").col("next_at").take();
        manager.create_index(due).await?;
        // An approval that is removed takes them along, and is not to look through all of them for that.
        let of_approval = Index::create().name("delivery_approval_id").table("delivery").col("approval_id").take();
        manager.create_index(of_approval).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn channel() -> TableCreateStatement {
    Table::create()
        .table("channel")
        .col(ColumnDef::new("id").text().not_null().primary_key())
        .col(ColumnDef::new("name").text().not_null().unique_key())
        .col(ColumnDef::new("kind").text().not_null())
        .col(ColumnDef::new("enabled").boolean().not_null())
        .col(ColumnDef::new("agents").text().not_null())
        .col(ColumnDef::new("servers").text().not_null())
        .col(ColumnDef::new("delay_seconds").big_integer().not_null())
        .col(ColumnDef::new("wants_arguments").boolean().not_null())
        .col(ColumnDef::new("command").text())
        .col(ColumnDef::new("origin").text())
        .col(ColumnDef::new("url").binary())
        .col(ColumnDef::new("secret").binary())
        .col(ColumnDef::new("problem").text())
        .col(ColumnDef::new("failing_since").big_integer())
        .col(ColumnDef::new("last_sent_at").big_integer())
        .col(ColumnDef::new("revision").big_integer().not_null())
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .col(ColumnDef::new("updated_at").big_integer().not_null())
        .take()
}

fn delivery() -> TableCreateStatement {
    Table::create()
        .table("delivery")
        .col(ColumnDef::new("id").text().not_null().primary_key())
        .col(ColumnDef::new("channel_id").text().not_null())
        .col(ColumnDef::new("approval_id").text().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("tries").big_integer().not_null())
        .col(ColumnDef::new("next_at").big_integer().not_null())
        .col(ColumnDef::new("claimed_until").big_integer())
        .col(ColumnDef::new("problem").text())
        .col(ColumnDef::new("created_at").big_integer().not_null())
        .col(ColumnDef::new("finished_at").big_integer())
        .foreign_key(&mut goes_with("channel"))
        .foreign_key(&mut goes_with("approval"))
        .take()
}

fn goes_with(owner: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("delivery_{owner}_id"))
        .from("delivery", format!("{owner}_id"))
        .to(owner, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
