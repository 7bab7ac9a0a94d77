//! The sealed secrets of servers.
//!
//! Envelopes come in and go out as bytes; they are never opened here. Secrets change in the same transaction as the
//! server they belong to: see `store::server`.

use entity::secret::{ActiveModel, Column, Entity};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{Store, StoreError};

/// A row of the table.
pub type Row = entity::secret::Model;

/// The table's name.
pub const TABLE: &str = "secret";

/// What becomes of one slot.
#[derive(Clone, Debug)]
pub struct Change {
    /// the slot, such as `env:API_KEY`
    pub field: String,
    /// the new envelope; none empties the slot
    pub sealed: Option<Vec<u8>>,
}

/// Returns all secrets of a server, by slot.
pub async fn load_all(store: &Store, server_id: &str) -> Result<Vec<Row>, StoreError> {
    let of_server = Entity::find().filter(Column::ServerId.eq(server_id));
    Ok(of_server.order_by_asc(Column::Field).all(store.reads()).await?)
}

/// Returns the slots that are filled, of every server: pairs of server id and field, without the envelopes.
pub async fn list_fields(store: &Store) -> Result<Vec<(String, String)>, StoreError> {
    use sea_orm::QuerySelect;
    let columns = Entity::find().select_only().columns([Column::ServerId, Column::Field]);
    let ordered = columns.order_by_asc(Column::ServerId).order_by_asc(Column::Field);
    Ok(ordered.into_tuple().all(store.reads()).await?)
}

pub(super) async fn list_fields_of(
    connection: &impl ConnectionTrait,
    server_id: &str,
) -> Result<Vec<String>, StoreError> {
    use sea_orm::QuerySelect;
    let fields = Entity::find().select_only().column(Column::Field).filter(Column::ServerId.eq(server_id));
    Ok(fields.order_by_asc(Column::Field).into_tuple().all(connection).await?)
}

/// What the audit tells of changes of secrets: their slots and nothing else.
pub(super) fn told(changes: &[Change]) -> serde_json::Value {
    let fields = |is_set| {
        let of_kind = changes.iter().filter(move |change| change.sealed.is_some() == is_set);
        of_kind.map(|change| change.field.as_str()).collect::<Vec<_>>()
    };
    serde_json::json!({ "set": fields(true), "removed": fields(false) })
}

pub(super) async fn apply(
    connection: &impl ConnectionTrait,
    server_id: &str,
    changes: Vec<Change>,
    now: i64,
) -> Result<(), StoreError> {
    for Change { field, sealed } in changes {
        match sealed {
            Some(sealed) => {
                put(connection, Row { server_id: server_id.to_owned(), field, sealed, updated_at: now }).await?;
            }
            None => {
                Entity::delete_by_id((server_id.to_owned(), field)).exec(connection).await?;
            }
        }
    }
    Ok(())
}

async fn put(connection: &impl ConnectionTrait, row: Row) -> Result<(), StoreError> {
    let replace = OnConflict::columns([Column::ServerId, Column::Field])
        .update_columns([Column::Sealed, Column::UpdatedAt])
        .to_owned();
    let row = ActiveModel {
        server_id: Set(row.server_id),
        field: Set(row.field),
        sealed: Set(row.sealed),
        updated_at: Set(row.updated_at),
    };
    Entity::insert(row).on_conflict(replace).exec_without_returning(connection).await?;
    Ok(())
}
