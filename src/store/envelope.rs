//! Every envelope of the vault, wherever it stands.
//!
//! Envelopes go out with their places and come back; they are never opened here. Whoever adds a column that holds
//! envelopes names it in [`COLUMNS`], or a change of the master key would leave it behind.

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use super::{Store, StoreError, channel, credential, oauth_flow, secret, setting};

/// Where an envelope stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// the table
    pub table: &'static str,
    /// what the row is found by, together with the field where a row is one field
    pub row: &'a str,
    /// the field
    pub field: &'a str,
}

/// A column that holds envelopes.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// its table
    pub table: &'static str,
    /// its name, which is the field's, too, unless another column names that
    pub name: &'static str,
    /// the column that a row is found by
    row: &'static str,
    /// the column that names the field, where each field is a row
    field: Option<&'static str>,
}

/// Every column that holds envelopes.
pub const COLUMNS: [Column; 8] = [
    Column { table: secret::TABLE, name: "sealed", row: "server_id", field: Some("field") },
    of_credential(credential::Sealed::ClientSecret),
    of_credential(credential::Sealed::Access),
    of_credential(credential::Sealed::Refresh),
    of_flow(oauth_flow::Sealed::ClientSecret),
    of_flow(oauth_flow::Sealed::Verifier),
    of_channel(channel::Sealed::Url),
    of_channel(channel::Sealed::Secret),
];

const fn of_credential(field: credential::Sealed) -> Column {
    Column { table: credential::Sealed::TABLE, name: field.column(), row: "server_id", field: None }
}

const fn of_flow(field: oauth_flow::Sealed) -> Column {
    Column { table: oauth_flow::Sealed::TABLE, name: field.column(), row: "id", field: None }
}

const fn of_channel(field: channel::Sealed) -> Column {
    Column { table: channel::Sealed::TABLE, name: field.column(), row: "id", field: None }
}

/// Whether there is any envelope.
pub async fn has_any(store: &Store) -> Result<bool, StoreError> {
    for column in COLUMNS {
        let select = Query::select().expr(Expr::val(1)).from(column.table).and_where(is_filled(column)).limit(1).take();
        if store.reads().query_one(&select).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_filled(column: Column) -> Expr {
    Expr::col(column.name).is_not_null()
}

/// Replaces every envelope by what `seal` makes of it, and sets settings, all at once or not at all. Returns how many
/// envelopes there were.
pub async fn replace_all<E: From<StoreError>>(
    store: &Store,
    settings: &[(&str, &str)],
    mut seal: impl FnMut(Place<'_>, &[u8]) -> Result<Vec<u8>, E>,
) -> Result<usize, E> {
    let mut edit = store.begin_edit().await?;
    let mut count = 0;
    for column in COLUMNS {
        for (row, field, sealed) in find_all(edit.connection(), column).await? {
            let place = Place { table: column.table, row: &row, field: &field };
            let sealed = seal(place, &sealed)?;
            replace(edit.connection(), column, place, sealed).await?;
            count += 1;
        }
    }
    for (key, value) in settings {
        setting::put_in(edit.connection(), key, value).await?;
    }
    // the lock of PostgreSQL can be lost in the meantime, and somebody may be sealing with the old key
    store.inner.guard.check().await?;
    let data = serde_json::json!({ "envelopes": count });
    edit.tell(crate::trail::Event::new("vault.master_key_changed", "vault", &data));
    edit.commit().await?;
    Ok(count)
}

async fn find_all(
    connection: &DatabaseTransaction,
    column: Column,
) -> Result<Vec<(String, String, Vec<u8>)>, StoreError> {
    let field = column.field.map_or_else(|| Expr::val(column.name), Expr::col);
    let select = Query::select()
        .expr_as(Expr::col(column.row), "row")
        .expr_as(field, "field")
        .expr_as(Expr::col(column.name), "sealed")
        .from(column.table)
        .and_where(is_filled(column))
        .take();
    let rows = connection.query_all(&select).await?;
    let parse = |row: sea_orm::QueryResult| {
        Ok((row.try_get("", "row")?, row.try_get("", "field")?, row.try_get("", "sealed")?))
    };
    rows.into_iter().map(parse).collect::<Result<_, sea_orm::DbErr>>().map_err(StoreError::from)
}

async fn replace(
    connection: &DatabaseTransaction,
    column: Column,
    place: Place<'_>,
    sealed: Vec<u8>,
) -> Result<(), StoreError> {
    let mut update = Query::update();
    update.table(column.table).value(column.name, sealed).and_where(Expr::col(column.row).eq(place.row));
    if let Some(field) = column.field {
        update.and_where(Expr::col(field).eq(place.field));
    }
    connection.execute(&update).await?;
    Ok(())
}
