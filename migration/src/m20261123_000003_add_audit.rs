//! The audit: events in their chains, the signatures over them, and how far each of those told elsewhere has come.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(event()).await?;
        manager.create_table(checkpoint()).await?;
        manager.create_table(sink()).await?;
        manager.create_index(Index::create().name("audit_event_at").table("audit_event").col("at").take()).await?;
        manager
            .create_index(Index::create().name("audit_event_subject").table("audit_event").col("subject").take())
            .await?;
        forbid_change(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn event() -> TableCreateStatement {
    Table::create()
        .table("audit_event")
        .col(number("chain"))
        .col(number("seq"))
        .col(number("at"))
        .col(text("kind"))
        .col(text("actor"))
        .col(text("subject"))
        .col(text("data"))
        .col(text("prev"))
        .col(text("hash"))
        .primary_key(Index::create().col("chain").col("seq"))
        .take()
}

fn checkpoint() -> TableCreateStatement {
    Table::create()
        .table("audit_checkpoint")
        .col(number("chain"))
        .col(number("seq"))
        .col(text("hash"))
        .col(number("at"))
        .col(number("previous"))
        .col(number("bytes"))
        .col(text("key"))
        .col(text("signature"))
        .primary_key(Index::create().col("chain").col("seq"))
        .take()
}

fn sink() -> TableCreateStatement {
    Table::create()
        .table("audit_sink")
        .col(text("name"))
        .col(number("chain"))
        .col(number("seq"))
        .col(number("signed"))
        .primary_key(Index::create().col("name").col("chain"))
        .take()
}

/// An event is never altered, not by mistake either. Whoever owns the database can take this away; then the hashes tell.
async fn forbid_change(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Sqlite {
        let forbid = "CREATE TRIGGER audit_event_is_final BEFORE UPDATE ON audit_event \
                      BEGIN SELECT RAISE(ABORT, 'an event of the audit is never altered'); END";
        connection.execute_unprepared(forbid).await?;
        return Ok(());
    }
    let function = "CREATE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS \
                    $$ BEGIN RAISE EXCEPTION 'an event of the audit is never altered'; END $$";
    connection.execute_unprepared(function).await?;
    let forbid = "CREATE TRIGGER audit_event_is_final BEFORE UPDATE ON audit_event \
                  FOR EACH ROW EXECUTE FUNCTION audit_event_is_final()";
    connection.execute_unprepared(forbid).await?;
    Ok(())
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}
