//! Several gateways on one database: who sits where, whose each open call is, and what the others have to be told of.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(seat()).await?;
        manager.create_table(news()).await?;
        // Whoever had the database for itself sat on the first one, and may have left calls open.
        let first = Query::insert()
            .into_table("seat")
            .columns(["number", "is_open", "taken_at"])
            .values_panic([1.into(), true.into(), 0.into()])
            .to_owned();
        manager.execute(first).await?;
        let of_call = ColumnDef::new("seat").big_integer().not_null().default(1).take();
        manager.alter_table(Table::alter().table("invocation").add_column(of_call).take()).await?;
        let of_lease = ColumnDef::new("leased_by").big_integer().take();
        manager.alter_table(Table::alter().table("credential").add_column(of_lease).take()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn seat() -> TableCreateStatement {
    let mut seat = Table::create().table("seat").take();
    seat.col(ColumnDef::new("number").big_integer().not_null().primary_key())
        .col(ColumnDef::new("is_open").boolean().not_null())
        .col(ColumnDef::new("taken_at").big_integer().not_null())
        .take()
}

fn news() -> TableCreateStatement {
    let mut news = Table::create().table("news").take();
    news.col(ColumnDef::new("topic").text().not_null().primary_key())
        .col(ColumnDef::new("revision").big_integer().not_null())
        .take()
}
