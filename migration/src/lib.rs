//! The schema, step by step.
//!
//! Each step is a file named `m<date>_<number>_<verb>_<what>`. A step that was released is never edited: its tables are
//! written out here and not taken from the entities, which move on. See the README beside this folder.

pub use sea_orm_migration::prelude::*;

mod m20261122_000001_create_tables;
mod m20261122_000002_add_oauth;
mod m20261123_000003_add_audit;
mod m20261123_000004_add_rule_conditions;
mod m20261123_000005_keep_approvals;
mod m20261123_000006_add_seats;
mod m20261123_000007_pin_tools;
mod m20261123_000008_add_channels;
mod m20261123_000009_add_pledges;
mod m20261123_000010_slim_indexes;
mod m20261123_000011_index_rare_events;

/// All steps, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_create_tables::Migration),
            Box::new(m20261122_000002_add_oauth::Migration),
            Box::new(m20261123_000003_add_audit::Migration),
            Box::new(m20261123_000004_add_rule_conditions::Migration),
            Box::new(m20261123_000005_keep_approvals::Migration),
            Box::new(m20261123_000006_add_seats::Migration),
            Box::new(m20261123_000007_pin_tools::Migration),
            Box::new(m20261123_000008_add_channels::Migration),
            Box::new(m20261123_000009_add_pledges::Migration),
            Box::new(m20261123_000010_slim_indexes::Migration),
            Box::new(m20261123_000011_index_rare_events::Migration),
        ]
    }
}

impl Migrator {
    /// Returns the first migration in `applied` that this binary does not have: the mark of a newer release.
    #[must_use]
    pub fn first_unknown(applied: impl IntoIterator<Item = String>) -> Option<String> {
        let known = Self::migrations();
        let is_known = |name: &String| known.iter().any(|migration| migration.name() == name);
        applied.into_iter().find(|name| !is_known(name))
    }
}
