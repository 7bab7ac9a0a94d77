//! The audit, looked through: an index over what is no call, and checkpoints that are not altered by mistake either.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        // Nearly all events are of calls. Whoever asks for another kind need not go through those, and no call pays for it.
        let rare = "CREATE INDEX audit_event_rare ON audit_event (at, chain, seq) WHERE kind NOT LIKE 'call.%'";
        connection.execute_unprepared(rare).await?;
        if manager.get_database_backend() == DbBackend::Sqlite {
            let forbid = "CREATE TRIGGER audit_checkpoint_is_final BEFORE UPDATE ON audit_checkpoint \
                          BEGIN SELECT RAISE(ABORT, 'a checkpoint of the audit is never altered'); END";
            connection.execute_unprepared(forbid).await?;
            return Ok(());
        }
        let function = "CREATE FUNCTION audit_checkpoint_is_final() RETURNS trigger LANGUAGE plpgsql AS \
                        $$ BEGIN RAISE EXCEPTION 'a checkpoint of the audit is never altered'; END $$";
        connection.execute_unprepared(function).await?;
        let forbid = "CREATE TRIGGER audit_checkpoint_is_final BEFORE UPDATE ON audit_checkpoint \
                      FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_is_final()";
        connection.execute_unprepared(forbid).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
