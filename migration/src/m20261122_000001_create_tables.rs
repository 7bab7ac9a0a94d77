//! The first schema: every table, with the indexes its questions need.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            setting(),
            server(),
            secret(),
            rule(),
            agent(),
            agent_key(),
            login(),
            login_link(),
            invocation(),
            approval(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for (key, value) in [("rule_set_revision", "1"), ("default_action", "ask")] {
            let row = Query::insert()
                .into_table("setting")
                .columns(["key", "value"])
                .values_panic([key.into(), value.into()])
                .take();
            manager.execute(row).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        // SQLite can roll back a schema too: a step that fails leaves nothing behind
        Some(true)
    }
}

fn setting() -> TableCreateStatement {
    Table::create().table("setting").col(id("key")).col(string("value")).take()
}

fn server() -> TableCreateStatement {
    Table::create()
        .table("server")
        .col(id("id"))
        .col(string("name").unique_key())
        .col(string("mode"))
        .col(boolean("enabled"))
        .col(optional_string("command"))
        .col(string("args"))
        .col(optional_string("cwd"))
        .col(boolean("shared"))
        .col(optional_string("base_url"))
        .col(optional_number("timeout_seconds"))
        .col(optional_string("auth_type"))
        .col(optional_string("credential_origin"))
        .col(number("revision"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

fn secret() -> TableCreateStatement {
    Table::create()
        .table("secret")
        .col(string("server_id"))
        .col(string("field"))
        .col(ColumnDef::new("sealed").binary().not_null())
        .col(number("updated_at"))
        .primary_key(Index::create().col("server_id").col("field"))
        .foreign_key(&mut goes_with("secret", "server_id", "server"))
        .take()
}

fn rule() -> TableCreateStatement {
    Table::create()
        .table("rule")
        .col(id("id"))
        .col(ColumnDef::new("position").integer().not_null())
        .col(boolean("enabled"))
        .col(string("action"))
        .col(string("agents"))
        .col(string("servers"))
        .col(string("tools"))
        .col(string("methods"))
        .col(string("description"))
        .col(string("guidance"))
        .col(number("revision"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

fn agent() -> TableCreateStatement {
    Table::create()
        .table("agent")
        .col(id("id"))
        .col(string("name").unique_key())
        .col(string("servers"))
        .col(optional_number("expires_at"))
        .col(number("revision"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

fn agent_key() -> TableCreateStatement {
    Table::create()
        .table("agent_key")
        .col(id("id"))
        .col(string("agent_id"))
        .col(string("prefix"))
        .col(string("digest").unique_key())
        .col(number("created_at"))
        .col(optional_number("expires_at"))
        .col(optional_number("last_used_at"))
        .col(optional_number("revoked_at"))
        .foreign_key(&mut goes_with("agent_key", "agent_id", "agent"))
        .take()
}

fn login() -> TableCreateStatement {
    Table::create()
        .table("login")
        .col(id("digest"))
        .col(string("csrf_digest"))
        .col(string("operator"))
        .col(number("created_at"))
        .col(number("expires_at"))
        .col(number("last_used_at"))
        .take()
}

fn login_link() -> TableCreateStatement {
    Table::create()
        .table("login_link")
        .col(id("digest"))
        .col(number("created_at"))
        .col(number("expires_at"))
        .col(optional_number("used_at"))
        .take()
}

fn invocation() -> TableCreateStatement {
    // names instead of foreign keys: the record outlives the server, the rule and the agent it speaks of
    Table::create()
        .table("invocation")
        .col(id("id"))
        .col(string("request_id"))
        .col(string("agent"))
        .col(optional_string("client_name"))
        .col(optional_string("client_version"))
        .col(optional_string("session"))
        .col(string("server_id"))
        .col(string("server"))
        .col(string("method"))
        .col(optional_string("tool"))
        .col(optional_string("arguments"))
        .col(string("arguments_digest"))
        .col(string("action"))
        .col(optional_string("rule_id"))
        .col(number("rule_set_revision"))
        .col(optional_string("decided_by"))
        .col(optional_string("approval_id"))
        .col(string("state"))
        .col(ColumnDef::new("is_error").boolean())
        .col(optional_string("error"))
        .col(optional_string("result"))
        .col(optional_number("result_bytes"))
        .col(number("received_at"))
        .col(optional_number("decided_at"))
        .col(optional_number("dispatched_at"))
        .col(optional_number("finished_at"))
        .col(optional_number("upstream_us"))
        .col(optional_number("overhead_us"))
        .take()
}

fn approval() -> TableCreateStatement {
    Table::create()
        .table("approval")
        .col(id("id"))
        .col(string("invocation_id"))
        .col(string("agent"))
        .col(string("server"))
        .col(string("method"))
        .col(optional_string("tool"))
        .col(string("digest"))
        .col(string("status"))
        .col(optional_string("reason"))
        .col(number("created_at"))
        .col(number("expires_at"))
        .col(optional_number("decided_at"))
        .col(optional_string("decided_by"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    [
        ("invocation_received_at", "invocation", &["received_at"] as &[&'static str]),
        ("invocation_agent_received_at", "invocation", &["agent", "received_at"]),
        ("invocation_server_received_at", "invocation", &["server", "received_at"]),
        ("invocation_state", "invocation", &["state"]),
        ("approval_status_expires_at", "approval", &["status", "expires_at"]),
        ("agent_key_agent_id", "agent_key", &["agent_id"]),
        ("rule_position", "rule", &["position"]),
    ]
    .into_iter()
    .map(|(name, table, columns)| {
        let mut index = Index::create().name(name).table(table).take();
        for column in columns {
            index.col(*column);
        }
        index
    })
    .collect()
}

fn goes_with(table: &'static str, column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_{column}"))
        .from(table, column)
        .to(parent, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

fn id(name: &'static str) -> ColumnDef {
    string(name).primary_key().take()
}

fn string(name: &'static str) -> ColumnDef {
    // text and not varchar(n): a limit belongs to the parser, which can say so in words
    ColumnDef::new(name).text().not_null().take()
}

fn optional_string(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

fn optional_number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

fn boolean(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}
