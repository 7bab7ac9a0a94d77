//! Whether the database is sound and has this release's schema.
//!
//! A connection comes in; a database that may be used goes out, or the reason why not. Nothing is repaired here, and
//! nothing is made anew in place of what is damaged.

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::StoreError;

/// Checks SQLite's pages, then brings the schema up to this release; refuses one from a newer release.
///
/// The caller holds the process lock, so no other gateway migrates at the same time.
pub(super) async fn bring_up(edits: &DatabaseConnection) -> Result<(), StoreError> {
    if edits.get_database_backend() == DbBackend::Sqlite {
        check_pages(edits).await?;
    }
    let applied = Migrator::get_migration_models(edits).await?;
    if let Some(migration) = Migrator::first_unknown(applied.into_iter().map(|row| row.version)) {
        return Err(StoreError::Newer { migration });
    }
    for pending in Migrator::get_pending_migrations(edits).await? {
        let migrated = Migrator::up(edits, Some(1)).await;
        migrated.map_err(|source| StoreError::Migration { migration: pending.name().to_owned(), source })?;
    }
    Ok(())
}

async fn check_pages(edits: &DatabaseConnection) -> Result<(), StoreError> {
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let found: Option<String> = match edits.query_one_raw(check).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    match found.as_deref() {
        Some("ok") => Ok(()),
        found => Err(StoreError::Corrupt { detail: found.unwrap_or("the check gave no answer").to_owned() }),
    }
}
