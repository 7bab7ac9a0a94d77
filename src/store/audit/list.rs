//! Questions to the audit: pages of events, and the checkpoints.

use entity::audit_event::{Column, Entity};
use entity::{audit_checkpoint, audit_event};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait as _, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use serde::Serialize;

use uuid::Uuid;

use super::Row;
use crate::store::{Listed, Page, Store, StoreError, part};
use crate::trail::{Checkpoint, Link, PublicKey};

/// How far a clock may have gone back between a call's id and its first event.
const CLOCK_STEP_MS: i64 = 60_000;

/// Which events a list holds; what is absent does not narrow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Filter {
    /// what happened: a whole kind, or its first words with a `.` at the end, such as `server.`
    pub kind: Option<String>,
    /// who did it
    pub actor: Option<String>,
    /// what it happened to
    pub subject: Option<String>,
    /// ms; then or later
    pub since: Option<i64>,
    /// ms; before then
    pub until: Option<i64>,
    /// a part of the data, in any case
    pub q: Option<String>,
}

impl Filter {
    /// Whether it narrows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let texts = [&self.kind, &self.actor, &self.subject, &self.q];
        texts.iter().all(|text| text.is_none()) && self.since.is_none() && self.until.is_none()
    }

    /// Whether its kind leaves calls out, of which there are far more than of all the rest.
    fn has_no_calls(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| !kind.to_ascii_lowercase().starts_with("call."))
    }
}

/// Returns a page of events, newest first.
pub async fn list(store: &Store, filter: &Filter, page: &Page) -> Result<Listed<Link>, StoreError> {
    let rows = select_newest(filter, page.after()?).limit(page.rows_to_read()).all(store.reads()).await?;
    let rows = rows.into_iter().map(link).collect();
    Ok(Listed::cut(rows, page, |row: &Link| (row.at, row.chain, row.seq)))
}

fn select_newest(filter: &Filter, before: Option<(i64, i64, i64)>) -> Select<Entity> {
    let mut wanted = wanted(filter);
    if let Some((at, chain, seq)) = before {
        let before = Column::Chain.lt(chain).or(Column::Chain.eq(chain).and(Column::Seq.lt(seq)));
        wanted = wanted.add(Column::At.lte(at)).add(Column::At.lt(at).or(before));
    }
    if filter.has_no_calls() {
        // the very words of the index, or the database does not see that it is for this
        wanted = wanted.add(Expr::cust("kind NOT LIKE 'call.%'"));
    }
    let newest_first = Entity::find().filter(wanted).order_by_desc(Column::At).order_by_desc(Column::Chain);
    newest_first.order_by_desc(Column::Seq)
}

/// Returns up to `rows_max` events of a chain after that number, in their order.
pub async fn events_after(store: &Store, chain: i64, seq: i64, rows_max: u64) -> Result<Vec<Link>, StoreError> {
    events_after_in(store.reads(), chain, Some(seq), rows_max).await
}

/// Returns the checkpoints of a chain after that number, in their order.
pub async fn checkpoints(store: &Store, chain: i64, seq: i64, rows_max: u64) -> Result<Vec<Checkpoint>, StoreError> {
    checkpoints_in(store.reads(), chain, Some(seq), rows_max).await
}

/// Returns up to `rows_max` events of all chains after that chain and number, in their order.
pub async fn events_from(
    store: &Store,
    filter: &Filter,
    after: Option<(i64, i64)>,
    rows_max: u64,
) -> Result<Vec<Link>, StoreError> {
    let select = select_from(filter, after).limit(rows_max);
    Ok(select.all(store.reads()).await?.into_iter().map(link).collect())
}

fn select_from(filter: &Filter, after: Option<(i64, i64)>) -> Select<Entity> {
    let after = after.map(|after| is_after((Column::Chain.into_expr(), Column::Seq.into_expr()), after));
    let wanted = Entity::find().filter(wanted(filter).add_option(after));
    wanted.order_by_asc(Column::Chain).order_by_asc(Column::Seq)
}

/// Compared as a pair, which the databases find by the key at once; they would not if each half was compared.
fn is_after((chain, seq): (Expr, Expr), after: (i64, i64)) -> Expr {
    Expr::tuple([chain, seq]).gt(Expr::tuple([after.0.into(), after.1.into()]))
}

/// Returns up to `rows_max` checkpoints of all chains after that chain and number, in their order.
pub async fn checkpoints_from(
    store: &Store,
    after: Option<(i64, i64)>,
    rows_max: u64,
) -> Result<Vec<Checkpoint>, StoreError> {
    use audit_checkpoint::Column;
    let after = after.map(|after| is_after((Column::Chain.into_expr(), Column::Seq.into_expr()), after));
    let wanted = audit_checkpoint::Entity::find().filter(Condition::all().add_option(after));
    let in_order = wanted.order_by_asc(Column::Chain);
    let rows = in_order.order_by_asc(Column::Seq).limit(rows_max).all(store.reads()).await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// Returns the last checkpoint of this gateway's chain that the owner of the key has signed.
pub async fn last_checkpoint(store: &Store, key: &PublicKey) -> Result<Option<Checkpoint>, StoreError> {
    last_signed_in(store.reads(), store.seat(), i64::MAX, key).await
}

/// Events of a chain in their order, up to `rows_max` after that number or from the first row there is.
pub(super) async fn events_after_in(
    connection: &impl ConnectionTrait,
    chain: i64,
    seq: Option<i64>,
    rows_max: u64,
) -> Result<Vec<Link>, StoreError> {
    let of_chain = Entity::find().filter(Column::Chain.eq(chain));
    let after = of_chain.filter(Condition::all().add_option(seq.map(|seq| Column::Seq.gt(seq))));
    let rows = after.order_by_asc(Column::Seq).limit(rows_max).all(connection).await?;
    Ok(rows.into_iter().map(link).collect())
}

/// How many rows a chain has up to that number, and how many that have no number.
pub(super) async fn count_events_in(
    connection: &impl ConnectionTrait,
    chain: i64,
    seq: i64,
) -> Result<u64, StoreError> {
    let is_before = Column::Seq.lte(seq).or(Column::Seq.is_null());
    Ok(Entity::find().filter(Column::Chain.eq(chain)).filter(is_before).count(connection).await?)
}

pub(super) async fn checkpoints_in(
    connection: &impl ConnectionTrait,
    chain: i64,
    seq: Option<i64>,
    rows_max: u64,
) -> Result<Vec<Checkpoint>, StoreError> {
    use audit_checkpoint::Column;
    let of_chain = audit_checkpoint::Entity::find().filter(Column::Chain.eq(chain));
    let after = of_chain.filter(Condition::all().add_option(seq.map(|seq| Column::Seq.gt(seq))));
    let rows = after.order_by_asc(Column::Seq).limit(rows_max).all(connection).await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

pub(super) async fn count_checkpoints_in(
    connection: &impl ConnectionTrait,
    chain: i64,
    seq: i64,
) -> Result<u64, StoreError> {
    use audit_checkpoint::Column;
    let is_before = Column::Seq.lte(seq).or(Column::Seq.is_null());
    let of_chain = audit_checkpoint::Entity::find().filter(Column::Chain.eq(chain));
    Ok(of_chain.filter(is_before).count(connection).await?)
}

/// The last checkpoint up to that number that the owner of the key has signed; the others are nobody's word.
pub(super) async fn last_signed_in(
    connection: &impl ConnectionTrait,
    chain: i64,
    seq: i64,
    key: &PublicKey,
) -> Result<Option<Checkpoint>, StoreError> {
    use audit_checkpoint::Column;
    let of_chain = audit_checkpoint::Entity::find().filter(Column::Chain.eq(chain));
    let mut wanted = of_chain.clone().filter(Column::Seq.lte(seq));
    let mut is_first = true;
    loop {
        let last = wanted.order_by_desc(Column::Seq).limit(1).one(connection).await?.map(checkpoint);
        let Some(last) = last else { return Ok(None) };
        if last.is_signed_by(key) {
            return Ok(Some(last));
        }
        if std::mem::take(&mut is_first) {
            tracing::error!(chain, seq = last.seq, "a checkpoint of the audit is not signed by this gateway");
        }
        wanted = of_chain.clone().filter(Column::Seq.lt(last.seq));
    }
}

pub(super) async fn chains_in(connection: &impl ConnectionTrait) -> Result<Vec<i64>, StoreError> {
    let events = Entity::find().select_only().column(Column::Chain).distinct();
    let mut chains: Vec<i64> = events.into_tuple().all(connection).await?;
    let signed = audit_checkpoint::Entity::find().select_only().column(audit_checkpoint::Column::Chain).distinct();
    chains.extend(signed.into_tuple::<i64>().all(connection).await?);
    chains.sort_unstable();
    chains.dedup();
    Ok(chains)
}

/// About how many bytes the events take after `from` and up to `to`.
pub(super) async fn bytes_between(
    connection: &impl ConnectionTrait,
    chain: i64,
    from: i64,
    to: i64,
) -> Result<i64, StoreError> {
    // the columns of one size: three numbers and two hashes
    let fixed = 3 * 8 + 2 * 64;
    let texts = [Column::Kind, Column::Actor, Column::Subject, Column::Data];
    let bytes =
        texts.into_iter().fold(Expr::val(fixed), |bytes, column| bytes.add(Func::char_length(Expr::col(column))));
    let between =
        Entity::find().filter(Column::Chain.eq(chain)).filter(Column::Seq.gt(from)).filter(Column::Seq.lte(to));
    let sum = between.select_only().column_as(Expr::expr(bytes).sum().cast_as("bigint"), "bytes");
    let found: Option<Option<i64>> = sum.into_tuple().one(connection).await?;
    Ok(found.flatten().unwrap_or(0))
}

pub(super) async fn insert_checkpoint(
    connection: &impl ConnectionTrait,
    signed: &Checkpoint,
) -> Result<(), StoreError> {
    let Checkpoint { chain, seq, hash, at, previous, bytes, key, signature } = signed.clone();
    let row = audit_checkpoint::Model { chain, seq, hash, at, previous, bytes, key, signature };
    audit_checkpoint::Entity::insert(row.into_active_model()).exec_without_returning(connection).await?;
    Ok(())
}

fn wanted(filter: &Filter) -> Condition {
    let kind = filter.kind.as_ref().map(|kind| match kind.strip_suffix('.') {
        Some(_) => Column::Kind.starts_with(kind),
        None => Column::Kind.eq(kind),
    });
    Condition::all()
        .add_option(kind)
        .add_option(filter.actor.as_ref().map(|actor| Column::Actor.eq(actor)))
        .add_option(filter.subject.as_ref().map(|subject| of_subject(subject)))
        .add_option(filter.since.map(|since| Column::At.gte(since)))
        .add_option(filter.until.map(|until| Column::At.lt(until)))
        .add_option(filter.q.as_ref().map(|q| Func::lower(Expr::col(Column::Data)).like(part(q))))
}

/// Events by what they happened to. There is an index but for calls, whose events are many: none of those is older than
/// the call's id, which holds a time.
fn of_subject(subject: &str) -> Condition {
    let is_it = Condition::all().add(Column::Subject.eq(subject));
    match subject.strip_prefix("invocation:") {
        // the very words of the index, as a value that is bound would hide what it is
        None => is_it.add(Expr::cust("substr(subject, 1, 11) <> 'invocation:'")),
        Some(id) => is_it.add_option(began_at(id).map(|at| Column::At.gte(at - CLOCK_STEP_MS))),
    }
}

/// When an id of ours was made (ms).
fn began_at(id: &str) -> Option<i64> {
    let (seconds, nanos) = Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
    i64::try_from(seconds * 1_000 + u64::from(nanos) / 1_000_000).ok()
}

fn link(row: Row) -> Link {
    let audit_event::Model { chain, seq, at, kind, actor, subject, data, prev, hash } = row;
    Link { chain, seq, at, kind, actor, subject, data, prev, hash }
}

fn checkpoint(row: audit_checkpoint::Model) -> Checkpoint {
    let audit_checkpoint::Model { chain, seq, hash, at, previous, bytes, key, signature } = row;
    Checkpoint { chain, seq, hash, at, previous, bytes, key, signature }
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryTrait as _};

    use super::*;

    /// How SQLite would go about it.
    async fn plan(store: &Store, select: Select<Entity>) -> String {
        let mut statement = select.limit(50).build(DbBackend::Sqlite);
        statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let steps = store.reads().query_all_raw(statement).await.unwrap();
        steps.iter().map(|step| step.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_page_is_found_by_an_index_and_not_by_going_through_what_is_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}?mode=rwc", folder.path().join("a.db").display())).await.unwrap();
        let exported = plan(&store, select_from(&Filter::default(), Some((1, 500)))).await;
        assert!(exported.contains("(chain,seq)>(?,?)") && !exported.contains("SCAN"), "{exported}");
        for kind in ["server.", "server.updated", "approval."] {
            let filter = Filter { kind: Some(kind.to_owned()), ..Filter::default() };
            for before in [None, Some((5, 1, 500))] {
                let listed = plan(&store, select_newest(&filter, before)).await;
                assert!(listed.contains("INDEX audit_event_rare"), "{kind}: {listed}");
                assert!(!listed.contains("TEMP B-TREE"), "{kind} in its order: {listed}");
            }
        }
        let filter = Filter { kind: Some("Call.denied".to_owned()), ..Filter::default() };
        assert!(!filter.has_no_calls(), "the index leaves them out in any case of letters");
        store.close().await.unwrap();
    }
}
