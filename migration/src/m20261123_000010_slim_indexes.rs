//! Fewer pages for each call: what is written with every call stands in as few places as its questions need.
//!
//! In SQLite each place is a page that is written whole. Events are kept by chain and number and nowhere else; by what
//! they happened to they are looked up unless that is a call, whose id tells when it began; and calls are looked up by
//! their state unless they are completed, as nearly all of them are.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SQLITE: [&str; 6] = [
    "CREATE TABLE slim_event (chain bigint NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, kind text NOT NULL, \
     actor text NOT NULL, subject text NOT NULL, data text NOT NULL, prev text NOT NULL, hash text NOT NULL, \
     PRIMARY KEY (chain, seq)) WITHOUT ROWID",
    "INSERT INTO slim_event (chain, seq, at, kind, actor, subject, data, prev, hash) \
     SELECT chain, seq, at, kind, actor, subject, data, prev, hash FROM audit_event ORDER BY chain, seq",
    "DROP TABLE audit_event",
    "ALTER TABLE slim_event RENAME TO audit_event",
    "CREATE INDEX audit_event_at ON audit_event (at)",
    "CREATE TRIGGER audit_event_is_final BEFORE UPDATE ON audit_event \
     BEGIN SELECT RAISE(ABORT, 'an event of the audit is never altered'); END",
];

const BOTH: [&str; 3] = [
    "CREATE INDEX audit_event_subject ON audit_event (subject) WHERE substr(subject, 1, 11) <> 'invocation:'",
    "DROP INDEX invocation_state",
    "CREATE INDEX invocation_state ON invocation (state) WHERE state <> 'completed'",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let is_sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let own: &[&str] = if is_sqlite { &SQLITE } else { &["DROP INDEX audit_event_subject"] };
        for statement in own.iter().chain(&BOTH) {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
