//! A thousand ways to alter the audit's tables, chosen by chance: each is found.

use atryum::audit::{Line, line_of_checkpoint, line_of_event, verify_database, verify_export};
use atryum::store::audit::{self, Archive, Filter};
use atryum::trail::{Checkpoint, Event, Head, Link, PublicKey, REMOVED, Removal, Report, Sign};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::json;

use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    of_a_thousand_manipulations_all_are_found,
    what_was_removed_by_age_is_accounted_for_and_nothing_else_is,
    a_gateway_removes_nothing_on_the_word_of_a_checkpoint_that_it_has_not_signed,
    a_row_that_hides_behind_another_one_is_found,
);

const EVENTS: i64 = 120;
const SIGNED_EVERY: i64 = 25;
const TRIALS: u64 = 1_000;

/// Chance that can be had again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % u64::try_from(end).unwrap()).unwrap()
    }

    /// One of the events.
    fn event(&mut self) -> i64 {
        1 + self.below(EVENTS)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(i64::try_from(choices.len()).unwrap())).unwrap()]
    }
}

struct Key(Ed25519KeyPair);

impl Key {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn public(&self) -> PublicKey {
        self.public_key()
    }
}

impl Sign for Key {
    fn public_key(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.public_key().as_ref()).unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

async fn filled(database: &Database, key: &Key) -> Checkpoint {
    let store = database.open().await;
    let mut last = None;
    // on PostgreSQL the first tells that somebody sat down
    for number in audit::end(&store).await.unwrap() + 1..=EVENTS {
        let event = Event::new("test.told", format!("thing:{number}"), &json!({ "number": number, "text": "é\u{7}" }));
        audit::tell(&store, [event]).await.unwrap();
        if number % SIGNED_EVERY == 0 || number == EVENTS {
            last = audit::put_checkpoint(&store, key).await.unwrap();
        }
    }
    assert_eq!(audit::put_checkpoint(&store, key).await.unwrap(), None);
    store.close().await.unwrap();
    last.unwrap()
}

async fn connect(database: &Database) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

async fn run(connection: &DatabaseConnection, statements: &[String]) {
    for statement in statements {
        connection.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

async fn of_a_thousand_manipulations_all_are_found(database: Database) {
    let key = Key::new(1);
    let kept = filled(&database, &key).await;
    let archive = Archive::open(database.url()).await.unwrap();
    let report = verify_database(&archive, Some(key.public()), vec![kept.clone()]).await.unwrap();
    assert_eq!((report.events, report.checkpoints, report.unsigned), (120, 5, 0));
    assert_eq!(report.findings, []);
    let events = archive.events_after(1, 0, 1_000).await.unwrap();
    let connection = connect(&database).await;
    let is_postgres = database.url().starts_with("postgres");
    let mut before = Vec::new();
    for table in ["audit_event", "audit_checkpoint"] {
        let on = if is_postgres { format!(" ON {table}") } else { String::new() };
        before.push(format!("DROP TRIGGER {table}_is_final{on}"));
        before.push(format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
    run(&connection, &before).await;
    let mut chance = Chance(2_026);
    for trial in 0..TRIALS {
        let statements = manipulation(&mut chance, &events, &key);
        run(&connection, &statements).await;
        let report = verify_database(&archive, Some(key.public()), vec![kept.clone()]).await.unwrap();
        assert!(!report.findings.is_empty(), "trial {trial} was not found: {statements:#?}");
        for table in ["audit_event", "audit_checkpoint"] {
            let restore = [format!("DELETE FROM {table}"), format!("INSERT INTO {table} SELECT * FROM kept_{table}")];
            run(&connection, &restore).await;
        }
    }
    let report = verify_database(&archive, Some(key.public()), vec![kept]).await.unwrap();
    assert_eq!(report.findings, [], "what was restored holds");
    archive.close().await.unwrap();
    connection.close().await.unwrap();
}

/// What somebody might do who can write to the database and knows how hashes are made, but has not the key.
fn manipulation(chance: &mut Chance, events: &[Link], key: &Key) -> Vec<String> {
    let seq = chance.event();
    let other = 1 + (seq + chance.below(EVENTS - 1)) % EVENTS;
    let column = chance.of(&["kind", "actor", "subject", "data", "prev", "hash"]);
    let signed = ((chance.below(5) + 1) * SIGNED_EVERY).min(EVENTS);
    match chance.below(22) {
        0 => vec![format!("UPDATE audit_event SET {column} = {column} || ' ' WHERE seq = {seq}")],
        1 => vec![format!("UPDATE audit_event SET {column} = 'x' WHERE seq = {seq}")],
        2 => vec![format!("UPDATE audit_event SET at = at + {} WHERE seq = {seq}", other - seq)],
        3 => vec![format!("DELETE FROM audit_event WHERE seq = {seq}")],
        4 => vec![format!("DELETE FROM audit_event WHERE seq BETWEEN {} AND {}", seq.min(other), seq.max(other))],
        5 => vec![
            format!("DELETE FROM audit_event WHERE seq >= {seq}"),
            format!("DELETE FROM audit_checkpoint WHERE seq >= {seq}"),
        ],
        6 => vec![format!("DELETE FROM audit_event WHERE seq <= {}", signed.min(EVENTS - 1))],
        7 => vec![
            format!("UPDATE audit_event SET seq = 0 WHERE seq = {seq}"),
            format!("UPDATE audit_event SET seq = {seq} WHERE seq = {other}"),
            format!("UPDATE audit_event SET seq = {other} WHERE seq = 0"),
        ],
        8 => {
            let take = |to: i64, from: i64| {
                let from = &events[usize::try_from(from - 1).unwrap()];
                let (subject, data, at) = (&from.subject, &from.data, from.at);
                format!("UPDATE audit_event SET subject = '{subject}', data = '{data}', at = {at} WHERE seq = {to}")
            };
            vec![take(seq, other), take(other, seq)]
        }
        9 => vec!["UPDATE audit_event SET chain = 2".to_owned(), "UPDATE audit_checkpoint SET chain = 2".to_owned()],
        10 => {
            let column = chance.of(&["hash", "key", "signature"]);
            vec![format!("UPDATE audit_checkpoint SET {column} = 'ab' || substr({column}, 2) WHERE seq = {signed}")]
        }
        11 => {
            let column = chance.of(&["at", "previous", "bytes"]);
            vec![format!("UPDATE audit_checkpoint SET {column} = {column} + 1 WHERE seq = {signed}")]
        }
        12 => vec![format!("DELETE FROM audit_checkpoint WHERE seq = {signed}")],
        13 | 14 => wiped(chance, events, signed, key),
        15 | 16 => foreign(chance, events),
        17 => {
            // hashes that are right, and a time that is not
            let mut head = Head { at: i64::MIN, ..end(events) };
            let at = events[0].at - 1 - chance.below(1_000);
            vec![inserted(&head.append(Event::new("test.told", "thing:x", &json!({})), "gateway", at))]
        }
        18 => {
            let (table, place) = (chance.of(&["audit_event", "audit_checkpoint"]), i64::MIN);
            vec![format!("UPDATE {table} SET seq = {place} WHERE seq = {signed}")]
        }
        19 => {
            let mut first = Head { chain: 1, seq: i64::MIN, ..Head::of_empty(1) }.append(
                Event::new("test.told", "thing:x", &json!({})),
                "operator:mallory",
                events[0].at,
            );
            first.seq = i64::MIN;
            first.hash = first.computed_hash();
            vec![inserted(&first)]
        }
        20 => {
            let column = chance.of(&["signature", "key", "hash"]);
            vec![format!("UPDATE audit_checkpoint SET {column} = upper({column}) WHERE seq = {signed}")]
        }
        _ => rewritten(chance, events, seq, key),
    }
}

fn inserted(link: &Link) -> String {
    let Link { chain, seq, at, kind, actor, subject, data, prev, hash } = link;
    format!(
        "INSERT INTO audit_event (chain, seq, at, kind, actor, subject, data, prev, hash) VALUES \
         ({chain}, {seq}, {at}, '{kind}', '{actor}', '{subject}', '{data}', '{prev}', '{hash}')"
    )
}

fn signed_by(checkpoint: &Checkpoint) -> String {
    let Checkpoint { chain, seq, hash, at, previous, bytes, key, signature } = checkpoint;
    format!(
        "INSERT INTO audit_checkpoint (chain, seq, hash, at, previous, bytes, key, signature) VALUES \
         ({chain}, {seq}, '{hash}', {at}, {previous}, {bytes}, '{key}', '{signature}')"
    )
}

fn end(events: &[Link]) -> Head {
    let of_last = |last: &Link| Head { chain: 1, seq: last.seq, at: last.at, hash: last.hash.clone() };
    events.last().map_or(Head::of_empty(1), of_last)
}

/// All up to a checkpoint is gone, and an event says that it was old.
fn wiped(chance: &mut Chance, events: &[Link], signed: i64, key: &Key) -> Vec<String> {
    let at = events.last().unwrap().at;
    let hash = events[usize::try_from(signed - 1).unwrap()].hash.clone();
    let (chain, previous, bytes) = (1, 0, 0);
    let (named, signature) = (key.public().to_string(), String::new());
    let last = Checkpoint { chain, seq: signed, hash, at, previous, bytes, key: named.clone(), signature };
    let forged = Removal::of(1, &last, &Key::new(2));
    let data = match chance.below(4) {
        0 => json!({ "from": 1, "to": signed, "hash": last.hash }),
        1 => forged.data(),
        2 => Removal { key: named, ..forged }.data(),
        // one that the gateway did sign, for another chain
        _ => Removal::of(1, &Checkpoint { chain: 2, ..last }, key).data(),
    };
    let mut head = end(events);
    let mut statements = vec![format!("DELETE FROM audit_event WHERE seq <= {signed}")];
    statements.push(inserted(&head.append(Event::new(REMOVED, "chain:1", &data), "gateway", at)));
    statements
}

/// Another chain beside, its hashes right, its times from before.
fn foreign(chance: &mut Chance, events: &[Link]) -> Vec<String> {
    let number = [2, 7, -1, 0][usize::try_from(chance.below(4)).unwrap()];
    let mut head = Head::of_empty(number);
    let kept = usize::try_from(1 + chance.below(5)).unwrap();
    let told = events.iter().take(kept).map(|link| {
        let event = Event::new("approval.approved", link.subject.clone(), &json!({}));
        inserted(&head.append(event, "operator:ann", link.at - 1_000))
    });
    let mut statements: Vec<String> = told.collect();
    if chance.below(2) == 0 {
        statements.push(signed_by(&Checkpoint::of(&head, (0, 1), 5_000, &Key::new(2))));
    }
    statements
}

/// A new end of the chain with hashes that are right, without an event, with one more or with another one; and with
/// signatures of one's own, with those that were there, or with none.
fn rewritten(chance: &mut Chance, events: &[Link], seq: i64, key: &Key) -> Vec<String> {
    let (before, after) = events.split_at(usize::try_from(seq - 1).unwrap());
    let mut head = end(before);
    let mut told: Vec<Link> = after.to_vec();
    match chance.below(3) {
        0 => drop(told.remove(0)),
        1 => told.insert(0, told[0].clone()),
        _ => told[0].actor = "operator:mallory".to_owned(),
    }
    let mut statements = vec![format!("DELETE FROM audit_event WHERE seq >= {seq}")];
    for link in told {
        let event = Event { kind: link.kind, actor: None, subject: link.subject, data: link.data };
        statements.push(inserted(&head.append(event, &link.actor, link.at)));
    }
    let signatures = chance.below(3);
    if signatures > 0 {
        statements.push(format!("DELETE FROM audit_checkpoint WHERE seq >= {seq}"));
    }
    if signatures > 1 && head.seq > 0 {
        let previous = (seq - 1) / SIGNED_EVERY * SIGNED_EVERY;
        let forged = Checkpoint::of(&head, (previous, 1), 5_000, &Key::new(2));
        // once with a key of one's own, once with the name of the real one
        let named = if chance.below(2) == 0 { forged.key.clone() } else { key.public().to_string() };
        statements.push(signed_by(&Checkpoint { key: named, ..forged }));
    }
    statements
}

async fn what_was_removed_by_age_is_accounted_for_and_nothing_else_is(database: Database) {
    let key = Key::new(1);
    let kept = filled(&database, &key).await;
    let store = database.open().await;
    let verify = async || -> Report {
        let archive = Archive::open(database.url()).await.unwrap();
        let report = verify_database(&archive, Some(key.public()), vec![kept.clone()]).await.unwrap();
        archive.close().await.unwrap();
        report
    };
    let signed = audit::checkpoints(&store, 1, 0, 10).await.unwrap();
    let (oldest, end_of_time) = (signed[0].at, Some(i64::MAX));
    assert_eq!(audit::remove_old(&store, Some(oldest), None, 10, &key).await.unwrap(), None, "none is that old");
    let removed = audit::remove_old(&store, end_of_time, None, 2, &key).await.unwrap().unwrap();
    assert_eq!((removed.from, removed.to), (1, 50));
    assert_eq!(verify().await.findings, []);
    let all = audit::events_after(&store, 1, 0, 1_000).await.unwrap();
    let bytes: i64 = all.iter().map(Link::bytes).sum();
    let removed = audit::remove_old(&store, None, Some(bytes * 2 / 3), 10, &key).await.unwrap().unwrap();
    assert_eq!((removed.from, removed.to), (51, 75), "as much as it takes");
    let report = verify().await;
    assert_eq!((report.findings, report.checkpoints), (Vec::new(), 5), "the checkpoints stay");
    // the next segment, by hand, up to a checkpoint: the same but for the event that tells it
    store.close().await.unwrap();
    database.run("DELETE FROM audit_event WHERE seq <= 100").await;
    let findings = verify().await.findings;
    assert!(findings[0].what.contains("no event tells"), "{findings:?}");
}

async fn a_gateway_removes_nothing_on_the_word_of_a_checkpoint_that_it_has_not_signed(database: Database) {
    let key = Key::new(1);
    filled(&database, &key).await;
    let store = database.open().await;
    let signed = audit::checkpoints(&store, 1, 0, 10).await.unwrap();
    let (second, last) = (signed[1].clone(), signed[4].clone());
    let remove = async |before| audit::remove_old(&store, Some(before), Some(last.bytes), 10, &key).await.unwrap();
    assert_eq!(remove(1).await, None);
    let on = if database.url().starts_with("postgres") { " ON audit_checkpoint" } else { "" };
    database.run(&format!("DROP TRIGGER audit_checkpoint_is_final{on}")).await;
    // an earlier time; a larger size; both in checkpoints of one's own, with the name of the real key
    database.run("UPDATE audit_checkpoint SET at = 0 WHERE seq <= 50").await;
    assert_eq!(remove(1).await, None);
    database.run(&format!("UPDATE audit_checkpoint SET at = {}, bytes = 1000000000 WHERE seq = 50", second.at)).await;
    database.run("UPDATE audit_checkpoint SET bytes = 1000000000 WHERE seq = 120").await;
    assert_eq!(remove(1).await, None);
    let head = Head { chain: 1, seq: 119, at: 0, hash: "ab".repeat(32) };
    let forged = Checkpoint::of(&head, (100, 1_000_000_000), 0, &Key::new(2));
    database.run(&signed_by(&Checkpoint { key: key.public().to_string(), ..forged })).await;
    assert_eq!(remove(1).await, None);
    // nor is what they say signed for by the next one
    audit::tell(&store, [Event::new("test.told", "thing:1", &json!({}))]).await.unwrap();
    let next = audit::put_checkpoint(&store, &key).await.unwrap().unwrap();
    assert_eq!(next.previous, 100, "the last one that is the gateway's");
    assert!(next.bytes > last.bytes && next.bytes < 2 * last.bytes, "{next:?}");
    assert_eq!(audit::last_checkpoint(&store, &key.public()).await.unwrap(), Some(next));
}

async fn a_row_that_hides_behind_another_one_is_found(database: Database) {
    let key = Key::new(1);
    let store = database.open().await;
    let event = Event::new("test.told", "thing:1", &json!({}));
    audit::tell(&store, vec![event; 1_100]).await.unwrap();
    let kept = audit::put_checkpoint(&store, &key).await.unwrap().unwrap();
    store.close().await.unwrap();
    let is_postgres = database.url().starts_with("postgres");
    for table in ["audit_event", "audit_checkpoint"] {
        // the table is made anew without its key; a page of rows ends with the first of two that have one place
        database.run(&format!("CREATE TABLE other AS SELECT * FROM {table}")).await;
        database.run(&format!("DROP TABLE {table}")).await;
        database.run(&format!("ALTER TABLE other RENAME TO {table}")).await;
    }
    let verify = async || {
        let archive = Archive::open(database.url()).await.unwrap();
        let report = verify_database(&archive, Some(key.public()), vec![kept.clone()]).await.unwrap();
        archive.close().await.unwrap();
        report.findings
    };
    assert_eq!(verify().await, []);
    let columns = "at, kind, 'operator:mallory', subject, data, prev, hash";
    for seq in [1_000, 1_100] {
        let insert = format!("INSERT INTO audit_event SELECT chain, seq, {columns} FROM audit_event WHERE seq = {seq}");
        database.run(&insert).await;
        assert!(!verify().await.is_empty(), "a second event {seq}");
        database.run("DELETE FROM audit_event WHERE actor = 'operator:mallory'").await;
    }
    database
        .run(&format!("INSERT INTO audit_event SELECT chain, NULL, {columns} FROM audit_event WHERE seq = 5"))
        .await;
    let archive = Archive::open(database.url()).await.unwrap();
    // SQLite has it first, and it can't be read; PostgreSQL has it nowhere
    match verify_database(&archive, Some(key.public()), vec![kept.clone()]).await {
        Ok(report) => assert!(is_postgres && !report.findings.is_empty(), "{report:?}"),
        Err(error) => assert!(!is_postgres, "{error}"),
    }
    archive.close().await.unwrap();
}

#[tokio::test]
async fn an_export_holds_like_the_database_and_shows_what_was_altered() {
    let database = Database::sqlite().await;
    let key = Key::new(1);
    let kept = filled(&database, &key).await;
    let store = database.open().await;
    let mut lines: Vec<String> = Vec::new();
    let checkpoints = audit::checkpoints_from(&store, None, 100).await.unwrap();
    lines.extend(checkpoints.iter().map(line_of_checkpoint));
    let events = audit::events_from(&store, &Filter::default(), None, 1_000).await.unwrap();
    lines.extend(events.iter().map(line_of_event));
    let verify = |lines: &[String]| {
        let path = database.path("export.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        verify_export(&path, Some(key.public()), vec![kept.clone()]).unwrap()
    };
    let report = verify(&lines);
    assert_eq!((report.events, report.checkpoints, report.findings), (120, 5, Vec::new()));
    let mut chance = Chance(7);
    for trial in 0..400 {
        let mut altered = lines.clone();
        let at = usize::try_from(chance.below(i64::try_from(lines.len()).unwrap())).unwrap();
        match chance.below(8) {
            0 => drop(altered.remove(at)),
            1 => altered.insert(at, lines[at].clone()),
            2 => altered.swap(at, (at + 7) % lines.len()),
            // what is not hashed, and would be read all the same
            3 => altered[at] = lines[at].replacen('{', "{\"actor_name\":\"mallory\",", 1),
            4 => altered[at] = lines[at].replacen(',', ", ", 1),
            5 => altered[at].push('\r'),
            6 => altered[at] = lines[at].replacen("\"chain\":1,", "", 1).replacen('}', ",\"chain\":1}", 1),
            _ => {
                let place = usize::try_from(chance.below(i64::try_from(lines[at].len()).unwrap())).unwrap();
                let mut bytes = lines[at].clone().into_bytes();
                bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
                altered[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        // a checkpoint may stand anywhere before or after its event
        let is_same = |line: &String| matches!(Line::parse(line), Ok(Line::Checkpoint(_)));
        let of_events = |lines: &[String]| lines.iter().filter(|line| !is_same(line)).cloned().collect::<Vec<_>>();
        let of_checkpoints = |lines: &[String]| lines.iter().filter(|line| is_same(line)).cloned().collect::<Vec<_>>();
        if of_events(&altered) == of_events(&lines) && of_checkpoints(&altered) == of_checkpoints(&lines) {
            continue;
        }
        assert!(!verify(&altered).findings.is_empty(), "trial {trial}: line {at}");
    }
}
