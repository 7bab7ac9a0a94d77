//! Rules that look at a call's arguments, end by themselves, are only tried out, and are counted; and in the record what a
//! rule that is only tried out would have said.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rule = [
            ColumnDef::new("condition").text().take(),
            ColumnDef::new("shadow").boolean().not_null().default(false).take(),
            ColumnDef::new("expires_at").big_integer().take(),
            ColumnDef::new("hits").big_integer().not_null().default(0).take(),
            ColumnDef::new("last_hit_at").big_integer().take(),
        ];
        let invocation =
            [ColumnDef::new("shadow_rule_id").text().take(), ColumnDef::new("shadow_action").text().take()];
        // One column a statement: SQLite knows no other way.
        for (table, columns) in [("rule", rule.to_vec()), ("invocation", invocation.to_vec())] {
            for column in columns {
                manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
            }
        }
        Ok(())
    }
}
