//! What servers' tools are held to be.
//!
//! Listings come in, pins go out. What a server says of a tool that nobody knows is written as it is; what differs from
//! what is written waits beside it until somebody looks, or until the server says the old again. Whether a call may go is
//! never decided here.

use std::collections::HashMap;

use entity::tool_pin::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::{Value, json};

use super::{Edit, Store, StoreError, setting};
use crate::clock;
use crate::mcp::definition::Listed;
use crate::trail::Event;

/// A row of the table.
pub type Row = entity::tool_pin::Model;

/// Most tools of a server that are pinned.
pub const PINS_MAX: usize = 2_000;

/// How often a server may take a change back before somebody has to look.
pub const RETURNS_MAX: i64 = 3;

/// Most tools that one event names; it counts the others.
const TOLD_MAX: usize = 100;

const WHAT: &str = "tool";

/// A pin without its texts.
#[derive(Clone, Debug, PartialEq, Eq, sea_orm::FromQueryResult)]
pub struct Brief {
    /// the server's id
    pub server_id: String,
    /// the tool's name
    pub tool: String,
    /// over the definition that it is held to
    pub digest: String,
    /// over the one that waits for a review
    pub changed_digest: Option<String>,
    /// ms; when the tool was first seen
    pub first_seen_at: i64,
    /// it was first seen when other tools of its server were known already
    pub is_added: bool,
    /// ms; when somebody looked last
    pub reviewed_at: Option<i64>,
    /// how often a change was taken back since then
    pub returns: i64,
}

/// All pins, and what is to be done about tools that are not as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// every server's
    pub pins: Vec<Brief>,
    /// the word that was set for tools whose definition changed
    pub on_changed: Option<String>,
    /// the word that was set for tools that a known server added
    pub on_added: Option<String>,
}

/// What is to be set; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// for tools whose definition changed
    pub on_changed: Option<String>,
    /// for tools that a known server added
    pub on_added: Option<String>,
}

/// Returns the pins of all servers and the settings, as they were at one moment.
pub async fn load(store: &Store) -> Result<Snapshot, StoreError> {
    let moment = store.begin_snapshot().await?;
    let columns = [
        Column::ServerId,
        Column::Tool,
        Column::Digest,
        Column::ChangedDigest,
        Column::FirstSeenAt,
        Column::IsAdded,
        Column::ReviewedAt,
        Column::Returns,
    ];
    let brief = Entity::find().select_only().columns(columns).order_by_asc(Column::ServerId).order_by_asc(Column::Tool);
    let pins = brief.into_model::<Brief>().all(&moment).await?;
    let on_changed = setting::find_in(&moment, setting::DEFINITION_CHANGED).await?;
    let on_added = setting::find_in(&moment, setting::DEFINITION_ADDED).await?;
    moment.commit().await?;
    Ok(Snapshot { pins, on_changed, on_added })
}

/// Returns the pins of one server, by tool.
pub async fn list(store: &Store, server_id: &str) -> Result<Vec<Row>, StoreError> {
    of_server(store.reads(), server_id).await
}

/// Returns the pin of one tool.
pub async fn find(store: &Store, server_id: &str, tool: &str) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id((server_id.to_owned(), tool.to_owned())).one(store.reads()).await?)
}

/// Notes what a server was seen to say of its tools; `true` when that is news.
///
/// Tools beyond [`PINS_MAX`] are not pinned. Of a server that is gone nothing is noted. Whether it can take a change back by
/// what it says there is `may_restore`.
pub async fn note(store: &Store, server_id: &str, seen: &[Listed], may_restore: bool) -> Result<bool, StoreError> {
    let mut edit = store.begin_edit().await?;
    // Held to the end: what two connections see at once is noted one after the other.
    let Some(server) = super::server::name_locked(edit.connection(), server_id).await? else { return Ok(false) };
    let now = clock::now_ms();
    let rows = of_server(edit.connection(), server_id).await?;
    let is_known = !rows.is_empty();
    let mut room = PINS_MAX.saturating_sub(rows.len());
    let mut known: HashMap<String, Row> = rows.into_iter().map(|row| (row.tool.clone(), row)).collect();
    let mut news = News::default();
    for listed in seen {
        match known.remove(&listed.tool) {
            Some(row) if row.digest == *listed.definition.digest && !may_restore => {}
            Some(row) => news.compare(row, listed, now),
            None if room > 0 => {
                room -= 1;
                news.pinned.push(pinned(server_id, listed, is_known, now));
            }
            None => {}
        }
    }
    let is_news = !(news.pinned.is_empty() && news.changed.is_empty() && news.restored.is_empty());
    news.write(&mut edit, &server).await?;
    edit.commit().await?;
    Ok(is_news)
}

/// Takes what an operator was shown of a tool for what it is to be held to: `digest` says which of the two it was, the
/// changed definition or the pinned one. Returns the pin as it is then.
///
/// A conflict says that the tool is neither by now.
pub async fn review(store: &Store, server: &str, tool: &str, digest: &str, by: &str) -> Result<Row, StoreError> {
    let mut edit = store.begin_edit().await?;
    let missing = StoreError::NotFound { what: WHAT };
    let id = super::server::id_locked(edit.connection(), server).await?;
    let row = Entity::find_by_id((id, tool.to_owned())).one(edit.connection()).await?.ok_or(missing)?;
    let old = row.digest.clone();
    let mut reviewed = Row {
        reviewed_at: Some(clock::now_ms()),
        reviewed_by: Some(by.to_owned()),
        changed_digest: None,
        changed_definition: None,
        changed_at: None,
        returns: 0,
        ..row.clone()
    };
    if row.changed_digest.as_deref() == Some(digest) {
        digest.clone_into(&mut reviewed.digest);
        reviewed.definition = row.changed_definition.unwrap_or_default();
    } else if row.digest != digest {
        let what = "what was shown is not what the server says by now that the tool is: the digest differs";
        return Err(StoreError::conflict(what.to_owned()));
    }
    put(edit.connection(), reviewed.clone()).await?;
    let data = json!({ "server": server, "from": old, "to": reviewed.digest, "waited": row.changed_digest });
    let event = Event::new("tool.reviewed", format!("tool:{server}/{tool}"), &data);
    edit.tell(event.by(format!("operator:{by}")));
    edit.commit().await?;
    Ok(reviewed)
}

/// Sets what is to be done about tools that are not as they were.
pub async fn put_words(store: &Store, words: &Words) -> Result<(), StoreError> {
    let mut edit = store.begin_edit().await?;
    let mut changed = serde_json::Map::new();
    let wanted = [(setting::DEFINITION_CHANGED, &words.on_changed), (setting::DEFINITION_ADDED, &words.on_added)];
    for (key, word) in wanted {
        let Some(word) = word else { continue };
        let old = setting::find_in(edit.connection(), key).await?;
        setting::put_in(edit.connection(), key, word).await?;
        changed.insert(key.to_owned(), json!({ "from": old, "to": word }));
    }
    if !changed.is_empty() {
        edit.tell(Event::new("settings.updated", "settings", &json!({ "changed": changed })));
    }
    edit.commit().await
}

/// What a listing brought.
#[derive(Default)]
struct News {
    pinned: Vec<Row>,
    changed: Vec<Row>,
    restored: Vec<Row>,
}

impl News {
    fn compare(&mut self, row: Row, listed: &Listed, now: i64) {
        let digest = &*listed.definition.digest;
        if row.digest == digest {
            // Who changes and takes back again and again is not believed.
            if row.changed_digest.is_some() && row.returns < RETURNS_MAX {
                let returns = row.returns + 1;
                self.restored.push(Row {
                    changed_digest: None,
                    changed_definition: None,
                    changed_at: None,
                    returns,
                    ..row
                });
            }
        } else if row.changed_digest.as_deref() != Some(digest) {
            self.changed.push(Row {
                changed_digest: Some(digest.to_owned()),
                changed_definition: Some(listed.text.clone()),
                changed_at: Some(now),
                ..row
            });
        }
    }

    async fn write(self, edit: &mut Edit, server: &str) -> Result<(), StoreError> {
        let digest = |row: &Row| json!({ "tool": row.tool, "digest": row.digest });
        let change = |row: &Row| json!({ "tool": row.tool, "from": row.digest, "to": row.changed_digest });
        edit.told.extend(told("tools.pinned", server, &self.pinned, digest));
        edit.told.extend(told("tools.changed", server, &self.changed, change));
        edit.told.extend(told("tools.restored", server, &self.restored, digest));
        // A row has twelve values, and a statement a bound on those.
        let mut pinned = self.pinned.into_iter().map(IntoActiveModel::into_active_model);
        loop {
            let some: Vec<ActiveModel> = pinned.by_ref().take(TOLD_MAX).collect();
            if some.is_empty() {
                break;
            }
            Entity::insert_many(some).exec_without_returning(edit.connection()).await?;
        }
        for row in self.changed.into_iter().chain(self.restored) {
            put(edit.connection(), row).await?;
        }
        Ok(())
    }
}

fn told(kind: &str, server: &str, rows: &[Row], tell: impl Fn(&Row) -> Value) -> Option<Event> {
    let tools: Vec<Value> = rows.iter().take(TOLD_MAX).map(tell).collect();
    let data = json!({ "count": rows.len(), "tools": tools });
    // Whoever makes the gateway look has not said what it sees.
    (!rows.is_empty()).then(|| Event::new(kind, format!("server:{server}"), &data).by("gateway"))
}

fn pinned(server_id: &str, listed: &Listed, is_added: bool, now: i64) -> Row {
    Row {
        server_id: server_id.to_owned(),
        tool: listed.tool.clone(),
        digest: listed.definition.digest.to_string(),
        definition: listed.text.clone(),
        first_seen_at: now,
        is_added,
        reviewed_at: None,
        reviewed_by: None,
        changed_digest: None,
        changed_definition: None,
        changed_at: None,
        returns: 0,
    }
}

async fn put(connection: &impl ConnectionTrait, row: Row) -> Result<(), StoreError> {
    Entity::update(row.into_active_model().reset_all()).exec(connection).await?;
    Ok(())
}

async fn of_server(connection: &impl ConnectionTrait, server_id: &str) -> Result<Vec<Row>, StoreError> {
    let of_server = Entity::find().filter(Column::ServerId.eq(server_id)).order_by_asc(Column::Tool);
    Ok(of_server.all(connection).await?)
}
