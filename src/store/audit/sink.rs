//! How far each of those has come who are told the audit elsewhere.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use super::{list, read_head};
use crate::store::{Store, StoreError};
use crate::trail::PublicKey;

/// How far a sink has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkPosition {
    /// the chain of this gateway
    pub chain: i64,
    /// the number of the last event that it was told
    pub seq: i64,
    /// the number of the last checkpoint that it was told
    pub signed: i64,
}

/// Returns how far a sink has come; one that was never told anything has to be begun with [`begin_sink`].
pub async fn sink_position(store: &Store, name: &str) -> Result<SinkPosition, StoreError> {
    let chain = store.seat();
    let select = Query::select()
        .columns(["seq", "signed"])
        .from("audit_sink")
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("chain").eq(chain))
        .take();
    let Some(row) = store.reads().query_one(&select).await? else {
        return Ok(SinkPosition { chain, seq: 0, signed: 0 });
    };
    Ok(SinkPosition { chain, seq: row.try_get("", "seq")?, signed: row.try_get("", "signed")? })
}

/// Has a sink that was never told anything begin with the last checkpoint, or with the first event if nothing is signed
/// yet: so what it is told can be verified from its beginning.
pub async fn begin_sink(store: &Store, name: &str, key: &PublicKey) -> Result<(), StoreError> {
    let edit = store.begin_journal().await?;
    let chain = edit.turn.seat();
    let last = list::last_signed_in(edit.connection(), chain, i64::MAX, key).await?;
    let (seq, signed) = last.map_or((0, 0), |last| (last.seq, last.previous));
    let mut insert = Query::insert();
    insert.into_table("audit_sink").columns(["name", "chain", "seq", "signed"]);
    insert.values_panic([name.into(), chain.into(), seq.into(), signed.into()]);
    insert.on_conflict(OnConflict::columns(["name", "chain"]).do_nothing().to_owned());
    edit.connection().execute(&insert).await?;
    edit.commit().await
}

/// Notes how far a sink has come, also in the chain of a seat that this gateway took since.
pub async fn put_sink_position(store: &Store, name: &str, to: SinkPosition) -> Result<(), StoreError> {
    let edit = store.begin_journal().await?;
    let mut put = Query::insert();
    put.into_table("audit_sink").columns(["name", "chain", "seq", "signed"]);
    put.values_panic([name.into(), to.chain.into(), to.seq.into(), to.signed.into()]);
    put.on_conflict(OnConflict::columns(["name", "chain"]).update_columns(["seq", "signed"]).to_owned());
    edit.connection().execute(&put).await?;
    edit.commit().await
}

/// Returns the number of the last event.
pub async fn end(store: &Store) -> Result<i64, StoreError> {
    Ok(read_head(store.reads(), store.seat()).await?.seq)
}
